"""The OpenAPI document of what needs a person; and the whole document."""

from __future__ import annotations

from typing import Any

from webhook.trace import MOST
from webhook.web import openapi_connections
from webhook.web.openapi import (
    CANDIDATE,
    ID,
    NUMBER,
    TEXT,
    TIME,
    Schema,
    choice,
    in_path,
    listed,
    operation,
    thing,
)


def paths() -> dict[str, dict[str, Schema]]:
    number: Schema = {"type": "integer"}
    anything: Schema = {"type": "array", "items": {"type": "object"}}
    kinds = ("unclaimed", "unmatched", "unresolved", "parked", "dead", "silent")
    counts = thing(**dict.fromkeys(kinds, number))
    ignore = thing(identity={"type": "string", "examples": ["plex:Anna"]})
    ignore["properties"]["ignored"] = {"type": "boolean", "default": True}
    which: Schema = {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {
            "ids": {"type": "array", "items": ID, "maxItems": MOST},
            "state": {"enum": ["dead"]},
        },
    }
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
        "/identities/ignore": {
            "post": operation(
                "Say that nobody tracks a user, or with `ignored` false take that back",
                thing(identity={"type": "string"}, ignored={"type": "boolean"}, identities=number),
                body=ignore,
            )
        },
        "/deliveries/dismiss": {
            "post": operation(
                "Take dead or unmatched deliveries off the list of what needs a person; they stay what they are",
                thing(dismissed=number),
                body=which,
            )
        },
        "/unresolved/dismiss": {
            "post": operation(
                "Leave an item of imported plays without ids, and ask no more",
                thing(key={"type": "string"}, dismissed=number),
                body=thing(key={"type": "string", "maxLength": 300}),
            )
        },
        "/search": {
            "get": operation(
                "Films or shows of a title, as the lookups know them",
                listed(CANDIDATE),
                [{**choice("kind", ["movie", "show"]), "required": True}, title, year],
            )
        },
        "/webhooks/{id}/redacted": {
            "get": operation(
                "What a webhook said, for a bug report: names, tokens and addresses are replaced",
                thing(webhook=ID, source={"type": "string"}, content_type=TEXT, payload={}),
                [in_path("id", ID)],
            )
        },
    }


def document(address: str) -> dict[str, Any]:
    """The whole document."""
    made = openapi_connections.document(address)
    made["paths"] |= paths()
    return made
