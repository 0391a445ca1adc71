"""The OpenAPI document: what the JSON API takes and gives, kept by hand and tested to match its routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from webhook import sources, trackers
from webhook.event import Action, Kind
from webhook.rules import OPTIONAL
from webhook.trace import LIMIT, MOST
from webhook.web.views import DELIVERY_STATES, STATES

Schema = dict[str, Any]

TEXT: Schema = {"type": ["string", "null"]}
NUMBER: Schema = {"type": ["integer", "null"]}
DECIMAL: Schema = {"type": ["number", "null"]}
FLAG: Schema = {"type": ["boolean", "null"]}
TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
ID: Schema = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
IDS: Schema = {"type": "object", "additionalProperties": {"type": ["integer", "string"]}}
ANY_LIST: Schema = {"type": ["array", "null"], "items": {}}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def thing(**properties: Schema) -> Schema:
    """An object that always has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def listed(item: Schema) -> Schema:
    return thing(items={"type": "array", "items": item}, next=NUMBER)


ITEM: Mapping[str, Schema] = {
    "kind": {"enum": [*Kind]},
    "title": TEXT,
    "show": TEXT,
    "season": NUMBER,
    "number": NUMBER,
    "year": NUMBER,
}
DELIVERY: Mapping[str, Schema] = {
    "id": ID,
    "tracker": {"type": "string"},
    "person": {"type": "string"},
    "action": {"enum": [*Action]},
    "mark": {"type": "boolean"},
    "state": {"enum": [*DELIVERY_STATES]},
    "attempts": {"type": "integer"},
    "reason": TEXT,
    "explanation": TEXT,
    "answer": TEXT,
    "due_at": TIME,
    "happened_at": TIME,
    "settled_at": TIME,
    "webhook": NUMBER,
    "play": NUMBER,
    **ITEM,
    "progress": DECIMAL,
    "estimated": {"type": "boolean"},
    "remote_id": TEXT,
    "candidates": ANY_LIST,
}
EVENT: Mapping[str, Schema] = {
    "action": {"enum": [*Action]},
    **ITEM,
    "ids": IDS,
    "show_ids": IDS,
    "position_ms": NUMBER,
    "duration_ms": NUMBER,
    "progress": DECIMAL,
    "completed": FLAG,
    "rating": DECIMAL,
    "at": TIME,
    "user": TEXT,
    "server": TEXT,
    "player": TEXT,
    "library": TEXT,
    "person": TEXT,
    "play": NUMBER,
    "deliveries": {"type": "array", "items": ref("Delivery")},
}
WEBHOOK: Mapping[str, Schema] = {
    "id": ID,
    "source": {"type": "string"},
    "state": {"enum": [*STATES]},
    "reason": TEXT,
    "explanation": TEXT,
    "received_at": TIME,
    "interpreted_at": TIME,
    "content_type": TEXT,
    "events": {"type": "array", "items": ref("Event")},
}
TRY = thing(at=TIME, took_ms=NUMBER, outcome={"type": "string"}, reason=TEXT, exchanges={"type": "array"})
IDENTITY = thing(
    id=ID,
    source={"type": "string"},
    user={"type": "string"},
    server=TEXT,
    server_name=TEXT,
    last_seen=TIME,
    spelled={"type": "string"},
)
PLAY = thing(
    id=ID,
    person={"type": "string"},
    **ITEM,
    ids=IDS,
    state={"enum": ["playing", "paused", "stopped"]},
    started_at=TIME,
    last_at=TIME,
    watched_at=TIME,
    unwatched_at=TIME,
    position_ms=NUMBER,
    duration_ms=NUMBER,
    progress=DECIMAL,
    estimated={"type": "boolean"},
    manual={"type": "boolean"},
    source={"type": "string"},
    server=TEXT,
    player=TEXT,
    library=TEXT,
)
TEXTS: Schema = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": 200},
    "maxItems": 200,
}
NAMES: Mapping[str, Schema] = {
    **dict.fromkeys(("libraries", "not_libraries", "players", "not_players"), TEXTS),
    "kinds": {"type": "array", "items": {"enum": [*Kind]}},
}
FILTERS: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {**NAMES, "home_videos": {"type": "boolean"}},
}
RULES: Schema = {
    "type": "object",
    "additionalProperties": False,
    "description": "What is not given is no rule. Rules hold at once. While `dry_run` is true, what the account "
    "would be told is shown and not sent; it is not sent afterwards either, unless it is retried.",
    "properties": {
        "watched_mark": {
            **DECIMAL,
            "minimum": 1,
            "maximum": 100,
            "description": "Percent; null is what counts everywhere.",
        },
        "dry_run": {"type": "boolean"},
        **NAMES,
    },
}
TELLS = thing(
    tells={
        "type": "array",
        "items": {"enum": [*OPTIONAL]},
        "description": "Of what its tracker can be told: these on, the others off.",
    }
)
SHARED: Mapping[str, Schema] = {"players": TEXTS, "libraries": TEXTS, "people": TEXTS}
ACCOUNT = thing(
    id=ID,
    tracker={"type": "string"},
    person={"type": "string"},
    name=TEXT,
    state={"type": "string"},
    explanation=TEXT,
    since=TIME,
    why=TEXT,
    tells={"type": "array", "items": {"enum": [*Action]}},
    rules=ref("Rules"),
    waits={"type": "object", "additionalProperties": {"type": "integer"}},
    failures={"type": "integer"},
    held_until=TIME,
    last_done_at=TIME,
)
CANDIDATE = thing(
    kind={"enum": [*Kind]},
    title=TEXT,
    year=NUMBER,
    ids=IDS,
)
UNMATCHED: Mapping[str, Schema] = {
    **DELIVERY,
    "candidates": {"type": "array", "items": CANDIDATE},
    "ids": IDS,
    "show_ids": IDS,
    "source": TEXT,
    "key": TEXT,
}
MATCH: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "ids": {
            "type": "object",
            "additionalProperties": False,
            "properties": {**dict.fromkeys(("tvdb", "tmdb", "trakt"), ID), "imdb": {"type": "string"}},
        },
        "candidate": {"type": "integer", "minimum": 1},
        "season_offset": {"type": "integer", "default": 0},
    },
}
SCHEMAS: Mapping[str, Schema] = {
    "Problem": thing(
        type={"type": "string"},
        title={"type": "string"},
        status={"type": "integer"},
        detail={"type": "string"},
    ),
    "Event": {"allOf": [thing(**EVENT), {"properties": {"how": TEXT, "stopped": TEXT}}]},
    "Webhook": thing(**WEBHOOK),
    "WebhookTrace": thing(**WEBHOOK, raw=TEXT),
    "Delivery": thing(**DELIVERY),
    "Unmatched": thing(**UNMATCHED),
    "DeliveryTrace": thing(**DELIVERY, tries={"type": "array", "items": TRY}),
    "Play": PLAY,
    "Identity": IDENTITY,
    "Unclaimed": {"allOf": [IDENTITY, thing(webhooks={"type": "integer"})]},
    "Filters": FILTERS,
    "Person": thing(
        id=ID,
        name={"type": "string"},
        owner={"type": "boolean"},
        filters={"type": "object"},
        identities={"type": "array", "items": ref("Identity")},
    ),
    "Account": ACCOUNT,
    "Rules": RULES,
    "HouseholdRule": thing(id=ID, **SHARED),
    "Silent": thing(
        source={"type": "string"},
        server=TEXT,
        server_name=TEXT,
        last_seen=TIME,
        days={"type": "integer"},
        says={"type": "string"},
    ),
    "Rehearsal": thing(
        webhook=ID,
        state={"enum": [*STATES]},
        reason=TEXT,
        deliveries={"type": "array", "items": {"type": "object"}},
    ),
    "Url": thing(
        source={"type": "string"},
        label={"type": "string"},
        token=ID,
        token_name=TEXT,
        url={"type": "string"},
        steps={"type": "array", "items": {"type": "string"}},
        template=TEXT,
    ),
}


def choice(name: str, choices: Sequence[str]) -> Schema:
    return {"name": name, "in": "query", "schema": {"type": "string", "enum": list(choices)}}


def paging() -> list[Schema]:
    limit: Schema = {"type": "integer", "minimum": 1, "maximum": MOST, "default": LIMIT}
    return [
        {"name": "limit", "in": "query", "schema": limit},
        {
            "name": "after",
            "in": "query",
            "schema": ID,
            "description": "The cursor `next` of the page before.",
        },
    ]


def in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def operation(
    summary: str,
    gives: Schema,
    params: Sequence[Schema] = (),
    body: Schema | None = None,
    kind: str = "application/json",
    public: bool = False,
) -> Schema:
    """One operation; every error is the same problem document."""
    fault = {"description": "Why not", "content": {"application/problem+json": {"schema": ref("Problem")}}}
    described: Schema = {
        "summary": summary,
        "parameters": list(params),
        "responses": {"200": {"description": "Done", "content": {kind: {"schema": gives}}}, "default": fault},
    }
    if body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if public:
        described["security"] = []
    return described


def paths() -> dict[str, dict[str, Schema]]:
    state, delivery_state = choice("state", [*STATES]), choice("state", [*DELIVERY_STATES])
    source, tracker = choice("source", [*sources.modules()]), choice("tracker", [*trackers.modules()])
    person: Schema = {"name": "person", "in": "query", "schema": {"type": "string", "maxLength": 64}}
    since: Schema = {"name": "since", "in": "query", "schema": {"type": "string", "format": "date-time"}}
    text: Schema = {"name": "text", "in": "query", "schema": {"type": "string", "maxLength": 200}}
    webhooks = [state, source, person, tracker, {**text, "description": "Looked for in titles."}]
    by_id, by_name = [in_path("id", ID)], [in_path("name", {"type": "string", "maxLength": 64})]
    number: Schema = {"type": "integer"}
    identity = thing(identity={"type": "string", "examples": ["plex:Anna"]})
    replayed = thing(replayed=number, webhook=ref("WebhookTrace"))
    replayed["properties"] |= {"dry_run": {"type": "boolean"}, "would": ref("Rehearsal")}
    of_template = [in_path("source", {"type": "string"})]
    return {
        "/webhooks": {
            "get": operation(
                "The inbox, newest first; of what is rare a page may hold few or none and still have a next one",
                listed(ref("Webhook")),
                [*webhooks, *paging()],
            )
        },
        "/webhooks/{id}": {"get": operation("One webhook with its whole trace", ref("WebhookTrace"), by_id)},
        "/webhooks/{id}/replay": {
            "post": operation(
                "Interpret it again; with dry_run only say what would come of it (`would`)",
                replayed,
                [*by_id, choice("dry_run", ["true", "false"])],
            )
        },
        "/webhooks/replay": {"post": operation("Interpret many again", thing(replayed=number), webhooks)},
        "/deliveries": {
            "get": operation(
                "The outbox, newest first",
                listed(ref("Delivery")),
                [delivery_state, tracker, person, *paging()],
            )
        },
        "/deliveries/{id}": {"get": operation("One delivery with its tries", ref("DeliveryTrace"), by_id)},
        "/deliveries/{id}/retry": {
            "post": operation("Try it again", thing(retried=number, delivery=ref("DeliveryTrace")), by_id)
        },
        "/deliveries/retry": {
            "post": operation(
                "Try many again: by default all that are unmatched, parked or dead",
                thing(retried=number),
                [delivery_state, tracker, person],
            )
        },
        "/unmatched": {
            "get": operation(
                "What waits for a person's choice", listed(ref("Unmatched")), [person, *paging()]
            )
        },
        "/unmatched/{id}/match": {
            "post": operation(
                "Say what it is, for an episode the whole show; what waited for it goes out",
                thing(
                    keys={"type": "array", "items": {"type": "string"}},
                    deliveries={"type": "array", "items": number},
                    delivery=ref("DeliveryTrace"),
                ),
                by_id,
                MATCH,
            )
        },
        "/plays": {
            "get": operation("The history, newest first", listed(ref("Play")), [person, since, *paging()])
        },
        "/people": {
            "get": operation("Everybody, with the identities they claim", listed(ref("Person"))),
            "post": operation(
                "Add a person", ref("Person"), body=thing(name={"type": "string", "maxLength": 64})
            ),
        },
        "/people/{name}/claim": {
            "post": operation("Let a person claim an identity", ref("Person"), by_name, identity)
        },
        "/people/{name}/release": {"post": operation("Give up a claim", ref("Person"), by_name, identity)},
        "/people/{name}/filters": {
            "put": operation("Set what a person lets through", ref("Person"), by_name, ref("Filters"))
        },
        "/identities": {
            "get": operation(
                "The identities nobody claims; or, asked so, those that are ignored",
                listed({"anyOf": [ref("Unclaimed"), ref("Identity")]}),
                [choice("ignored", ["true", "false"])],
            )
        },
        "/accounts": {"get": operation("The accounts, and whether they work", listed(ref("Account")))},
        "/accounts/{id}/rules": {
            "put": operation("Set an account's own rules", ref("Account"), by_id, ref("Rules"))
        },
        "/accounts/{id}/tells": {
            "put": operation("Say what of the optional an account is told", ref("Account"), by_id, TELLS)
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
                thing(id=ID, removed={"type": "boolean"}),
                by_id,
            )
        },
        "/silent": {"get": operation("The servers that fell silent", listed(ref("Silent")))},
        "/urls": {"get": operation("The webhook addresses to paste", listed(ref("Url")))},
        "/templates/{source}": {
            "get": operation(
                "What is pasted into the sender",
                {"type": "string"},
                of_template,
                kind="text/plain",
                public=True,
            )
        },
        "/openapi.json": {"get": operation("This document", {"type": "object"}, public=True)},
    }


def version() -> str:
    try:
        return metadata.version("watchmark")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


def document(address: str) -> Schema:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Watchmark",
            "version": version(),
            "description": "Lists are newest first, paged by cursor: give `next` as `after`. "
            "Errors are application/problem+json.",
        },
        "servers": [{"url": f"{address}/api/v1"}],
        "security": [{"token": []}, {"session": []}],
        "paths": paths(),
        "components": {
            "schemas": dict(SCHEMAS),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "watchmark"},
            },
        },
    }
