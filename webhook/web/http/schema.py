"""The pieces that descriptions are put together from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from webhook.domain.event import Action, Kind
from webhook.domain.rules import LISTS
from webhook.queries.paging import MAX_PAGE_SIZE, PAGE_SIZE
from webhook.web.visible import DELIVERY_STATES

Schema = dict[str, Any]

TEXT: Schema = {"type": ["string", "null"]}
NUMBER: Schema = {"type": ["integer", "null"]}
DECIMAL: Schema = {"type": ["number", "null"]}
MAYBE: Schema = {"type": ["boolean", "null"]}
TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
ID: Schema = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
IDS: Schema = {"type": "object", "additionalProperties": {"type": ["integer", "string"]}}
ANY_LIST: Schema = {"type": ["array", "null"], "items": {}}
TEXTUAL: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
WHOLE: Schema = {"type": "integer", "minimum": 0}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def thing(**properties: Schema) -> Schema:
    """An object that always has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def many(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def listed(item: Schema, cursor: Schema = NUMBER) -> Schema:
    return thing(items=many(item), next=cursor)


def choice(name: str, choices: Sequence[str]) -> Schema:
    return {"name": name, "in": "query", "schema": {"type": "string", "enum": list(choices)}}


def paging(cursor: Schema = ID) -> list[Schema]:
    limit: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE}
    return [
        {"name": "limit", "in": "query", "schema": limit},
        {
            "name": "after",
            "in": "query",
            "schema": cursor,
            "description": "The cursor `next` of the page before.",
        },
    ]


def in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def moment(name: str, description: str) -> Schema:
    schema: Schema = {"type": "string", "format": "date-time"}
    return {"name": name, "in": "query", "schema": schema, "description": description}


def operation(
    summary: str,
    gives: Schema,
    params: Sequence[Schema] = (),
    body: Schema | None = None,
    kind: str = "application/json",
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
    return described


def accepted(described: Schema, also: Schema | None = None) -> Schema:
    """The operation answered with 202, as what it begins goes on by itself; with 200 for a dry run."""
    done = described["responses"].pop("200")
    described["responses"]["202"] = {**done, "description": "It is under way"}
    if also is not None:
        content = {"application/json": {"schema": also}}
        described["responses"]["200"] = {"description": "What it would come to", "content": content}
    return described


PERSON: Schema = {"name": "person", "in": "query", "schema": {"type": "string", "maxLength": 64}}
DRY_RUN = choice("dry_run", ["true", "false"])
BY_ID = [in_path("id", ID)]

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
    "tracker": TEXTUAL,
    "person": TEXTUAL,
    "action": {"enum": [*Action]},
    "mark": FLAG,
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
    "estimated": FLAG,
    "remote_id": TEXT,
    "candidates": ANY_LIST,
}
CANDIDATE = thing(
    kind={"enum": [*Kind]},
    title=TEXT,
    year=NUMBER,
    ids=IDS,
)
MATCH: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "ids": {
            "type": "object",
            "additionalProperties": False,
            "properties": {**dict.fromkeys(("tvdb", "tmdb", "trakt"), ID), "imdb": TEXTUAL},
        },
        "candidate": {"type": "integer", "minimum": 1},
        "season_offset": {"type": "integer", "default": 0},
    },
}
TEXTS: Schema = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": 200},
    "maxItems": 200,
}
FILTER_LISTS: Mapping[str, Schema] = {
    **dict.fromkeys(LISTS, TEXTS),
    "kinds": {"type": "array", "items": {"enum": [*Kind]}},
}
