"""What needs a person, and what settles it."""

from __future__ import annotations

from collections.abc import Mapping

from webhook.web.http.schema import (
    BY_ID,
    CANDIDATE,
    DELIVERY,
    FLAG,
    IDS,
    ITEM,
    MATCH,
    NUMBER,
    PERSON,
    TEXT,
    TEXTUAL,
    TIME,
    WHOLE,
    Schema,
    choice,
    listed,
    many,
    operation,
    paging,
    ref,
    thing,
)

UNMATCHED: Mapping[str, Schema] = {
    **DELIVERY,
    "candidates": many(CANDIDATE),
    "ids": IDS,
    "show_ids": IDS,
    "source": TEXT,
    "key": TEXT,
}
UNRESOLVED_MATCH: Schema = {
    **MATCH,
    "properties": {"key": {"type": "string", "maxLength": 300}, **MATCH["properties"]},
    "required": ["key"],
}


def schemas() -> dict[str, Schema]:
    return {
        "Unmatched": thing(**UNMATCHED),
        "Unresolved": thing(
            key=TEXTUAL,
            **ITEM,
            reason=TEXT,
            candidates=many(CANDIDATE),
            plays=WHOLE,
            since=TIME,
        ),
        "Silent": thing(
            source=TEXTUAL,
            server=TEXT,
            server_name=TEXT,
            last_seen=TIME,
            days={"type": "integer"},
            says=TEXTUAL,
        ),
    }


def paths() -> dict[str, dict[str, Schema]]:
    number: Schema = {"type": "integer"}
    anything: Schema = many({"type": "object"})
    kinds = ("unclaimed", "unmatched", "unresolved", "parked", "limited", "dead", "silent")
    counts = thing(**dict.fromkeys(kinds, number))
    ignore = thing(identity={"type": "string", "examples": ["plex:Anna"]})
    ignore["properties"]["ignored"] = {"type": "boolean", "default": True}
    limit, _ = paging()
    by_key: Schema = {"name": "after", "in": "query", "schema": {"type": "string", "maxLength": 300}}
    title: Schema = {
        "name": "title",
        "in": "query",
        "required": True,
        "schema": {"type": "string", "maxLength": 200},
    }
    year: Schema = {"name": "year", "in": "query", "schema": NUMBER}
    return {
        "/needs-you": {
            "get": operation(
                "What waits for a person: how much of each kind, and the newest of each",
                thing(count=number, counts=counts, last_play_at=TIME, **dict.fromkeys(kinds, anything)),
            )
        },
        "/unmatched": {
            "get": operation(
                "What waits for a person's choice", listed(ref("Unmatched")), [PERSON, *paging()]
            )
        },
        "/unmatched/{id}/match": {
            "post": operation(
                "Say what it is, for an episode the whole show; what waited for it goes out",
                thing(
                    keys=many(TEXTUAL),
                    deliveries=many(number),
                    delivery=ref("DeliveryTrace"),
                ),
                BY_ID,
                MATCH,
            )
        },
        "/unresolved": {
            "get": operation(
                "What imports brought without an id and no lookup found",
                thing(items=many(ref("Unresolved")), next=TEXT),
                [PERSON, limit, by_key],
            )
        },
        "/unresolved/match": {
            "post": operation(
                "Say what it is, for an episode the whole show; it is written into all its plays",
                thing(key=TEXTUAL, plays=WHOLE),
                body=UNRESOLVED_MATCH,
            )
        },
        "/unresolved/dismiss": {
            "post": operation(
                "Leave an item of imported plays without ids, and ask no more",
                thing(key=TEXTUAL, dismissed=number),
                body=thing(key={"type": "string", "maxLength": 300}),
            )
        },
        "/identities/ignore": {
            "post": operation(
                "Say that nobody tracks a user, or with `ignored` false take that back",
                thing(identity=TEXTUAL, ignored=FLAG, identities=number),
                body=ignore,
            )
        },
        "/silent": {"get": operation("The servers that fell silent", listed(ref("Silent")))},
        "/silent/dismiss": {
            "post": operation(
                "Take a server off the list of the silent, until it is heard again; the owner's to do",
                thing(source=TEXTUAL, server=TEXT, dismissed=FLAG),
                body={
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["source"],
                    "properties": {
                        "source": {"type": "string", "maxLength": 200},
                        "server": {**TEXT, "maxLength": 200},
                    },
                },
            )
        },
        "/search": {
            "get": operation(
                "Films or shows of a title, as the lookups know them",
                listed(CANDIDATE),
                [{**choice("kind", ["movie", "show"]), "required": True}, title, year],
            )
        },
    }
