"""People, identities, filters and the household."""

from __future__ import annotations

from collections.abc import Mapping

from webhook.people.passwords import MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH
from webhook.web.http.schema import (
    BY_ID,
    FILTER_LISTS,
    FLAG,
    ID,
    ITEM,
    TEXT,
    TEXTS,
    TEXTUAL,
    TIME,
    WHOLE,
    Schema,
    choice,
    in_path,
    listed,
    many,
    operation,
    ref,
    thing,
)

IDENTITY = thing(
    id=ID,
    source=TEXTUAL,
    user=TEXTUAL,
    server=TEXT,
    server_name=TEXT,
    last_seen=TIME,
    spelled=TEXTUAL,
)
FILTERS: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {**FILTER_LISTS, "home_videos": FLAG},
}
SHARED: Mapping[str, Schema] = {"players": TEXTS, "libraries": TEXTS, "people": TEXTS}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 64}
ZONE: Schema = {**TEXT, "description": "A time zone's name such as Europe/Berlin; null is UTC."}


def schemas() -> dict[str, Schema]:
    return {
        "Identity": IDENTITY,
        "Unclaimed": {
            "allOf": [
                IDENTITY,
                thing(
                    webhooks={"type": "integer"},
                    last={
                        "type": ["object", "null"],
                        "description": "What the last of them says: action, item and player.",
                    },
                ),
            ]
        },
        "Filters": FILTERS,
        "Person": thing(
            id=ID,
            name=TEXTUAL,
            owner=FLAG,
            filters={"type": "object"},
            identities=many(ref("Identity")),
        ),
        "PersonShown": {
            "allOf": [
                ref("Person"),
                thing(
                    timezone=ZONE,
                    has_password={**FLAG, "description": "Whether they can sign in."},
                ),
            ]
        },
        "Preview": thing(
            looked_at=WHOLE,
            stopped={
                "type": "array",
                "items": thing(webhook=ID, received_at=TIME, **ITEM, library=TEXT, player=TEXT, why=TEXTUAL),
            },
        ),
        "HouseholdRule": thing(id=ID, **SHARED),
    }


def paths() -> dict[str, dict[str, Schema]]:
    by_name = [in_path("name", NAME)]
    shown = ref("PersonShown")
    identity = thing(identity={"type": "string", "examples": ["plex:Anna"]})
    given: Schema = {"type": "object", "additionalProperties": False}
    password: Schema = {"type": "string", "minLength": MIN_PASSWORD_LENGTH, "maxLength": MAX_PASSWORD_LENGTH}
    changed = {**given, "properties": {"name": NAME, "timezone": ZONE}}
    return {
        "/people": {
            "get": operation("Everybody, with the identities they claim", listed(ref("Person"))),
            "post": operation(
                "Add a person", ref("Person"), body=thing(name={"type": "string", "maxLength": 64})
            ),
        },
        "/people/{name}": {
            "get": operation("One person", shown, by_name),
            "patch": operation("Give a person another name or time zone", shown, by_name, changed),
            "delete": operation(
                "Remove a person with all that is theirs: plays, accounts, deliveries, library, tokens",
                thing(name=TEXTUAL, removed=FLAG, gone={"type": "object", "additionalProperties": WHOLE}),
                by_name,
            ),
        },
        "/people/{name}/claim": {
            "post": operation("Let a person claim an identity", ref("Person"), by_name, identity)
        },
        "/people/{name}/release": {"post": operation("Give up a claim", ref("Person"), by_name, identity)},
        "/people/{name}/filters": {
            "put": operation("Set what a person lets through", ref("Person"), by_name, ref("Filters"))
        },
        "/people/{name}/filters/preview": {
            "post": operation(
                "Which of a person's last 100 webhooks these filters would stop; nothing is changed",
                ref("Preview"),
                by_name,
                ref("Filters"),
            )
        },
        "/people/{name}/invite": {
            "post": operation(
                "A one-time link by which a person sets a password; an earlier one is not valid any more",
                thing(person=TEXTUAL, url=TEXTUAL, valid_until=TIME),
                by_name,
            )
        },
        "/people/{name}/password": {
            "put": operation(
                "Set one's own password, by the one before; every sign-in of theirs ends",
                thing(name=TEXTUAL, changed=FLAG),
                by_name,
                {**given, **thing(known=TEXTUAL, password=password)},
            )
        },
        "/identities": {
            "get": operation(
                "The identities nobody claims; or, asked so, those that are ignored",
                listed({"anyOf": [ref("Unclaimed"), ref("Identity")]}),
                [choice("ignored", ["true", "false"])],
            )
        },
        "/household": {
            "get": operation("For whom what plays counts; the owner's to see", listed(ref("HouseholdRule"))),
            "post": operation(
                "Let what plays on players, of libraries, count for people",
                ref("HouseholdRule"),
                body={"type": "object", "additionalProperties": False, "properties": SHARED},
            ),
        },
        "/household/{id}": {
            "delete": operation(
                "Take a household rule back; its plays stay",
                thing(id=ID, removed=FLAG),
                BY_ID,
            )
        },
    }
