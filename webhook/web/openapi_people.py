"""The OpenAPI document of people, tokens, settings and backups; and the whole document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webhook.web import house, openapi_transfer
from webhook.web.openapi import ID, ITEM, TEXT, TIME, Schema, in_path, listed, operation, ref, thing

TEXTUAL: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 64}
ZONE: Schema = {**TEXT, "description": "A time zone's name such as Europe/Berlin; null is UTC."}
TOKEN: Mapping[str, Schema] = {
    "id": ID,
    "kind": {"enum": [*house.KINDS]},
    "name": TEXT,
    "person": {**TEXT, "description": "Whose what comes with it is; null is everybody's."},
}
VALUE: Schema = {"type": ["string", "number", "null"]}
SCHEMAS: Mapping[str, Schema] = {
    "PersonShown": {
        "allOf": [
            ref("Person"),
            thing(
                timezone=ZONE,
                has_password={**FLAG, "description": "Whether they can sign in."},
            ),
        ]
    },
    "Token": thing(**TOKEN, created_at=TIME),
    "TokenMade": thing(
        **TOKEN,
        secret={**TEXTUAL, "description": "Shown this once."},
        urls={
            "type": ["object", "null"],
            "additionalProperties": TEXTUAL,
            "description": "For a webhook token the address to paste, by source.",
        },
    ),
    "Setting": thing(
        name={"enum": [*house.OFFERED]},
        value=VALUE,
        default=VALUE,
        description=TEXTUAL,
        choices={"type": ["array", "null"], "items": TEXTUAL},
        fixed={**FLAG, "description": "The environment says it, so it can only be changed there."},
        set_by={"enum": ["environment", "browser", None]},
    ),
    "Preview": thing(
        looked_at=WHOLE,
        stopped={
            "type": "array",
            "items": thing(webhook=ID, received_at=TIME, **ITEM, library=TEXT, player=TEXT, why=TEXTUAL),
        },
    ),
}


def paths() -> dict[str, dict[str, Schema]]:
    by_name, by_id = [in_path("name", NAME)], [in_path("id", ID)]
    shown = ref("PersonShown")
    given: Schema = {"type": "object", "additionalProperties": False}
    changed = {**given, "properties": {"name": NAME, "timezone": ZONE}}
    token = {
        **given,
        "required": ["kind"],
        "properties": {
            "kind": {"enum": [*house.KINDS], "description": "For media servers, or for scripts."},
            "name": {**TEXT, "maxLength": house.LONGEST, "description": "To tell it from the others."},
            "person": {**TEXT, "description": "Whose; a member's tokens are their own."},
        },
    }
    settings = {**given, "properties": dict.fromkeys(house.OFFERED, VALUE)}
    return {
        "/people/{name}": {
            "get": operation("One person", shown, by_name),
            "patch": operation("Give a person another name or time zone", shown, by_name, changed),
            "delete": operation(
                "Remove a person with all that is theirs: plays, accounts, deliveries, library, tokens",
                thing(name=TEXTUAL, removed=FLAG, gone={"type": "object", "additionalProperties": WHOLE}),
                by_name,
            ),
        },
        "/people/{name}/invite": {
            "post": operation(
                "A one-time link by which a person sets a password; an earlier one is not valid any more",
                thing(person=TEXTUAL, url=TEXTUAL, valid_until=TIME),
                by_name,
            )
        },
        "/people/{name}/filters/preview": {
            "post": operation(
                "Which of a person's last 100 webhooks these filters would stop; nothing is changed",
                ref("Preview"),
                by_name,
                ref("Filters"),
            )
        },
        "/tokens": {
            "get": operation("The valid tokens, without their secrets", listed(ref("Token"))),
            "post": operation("Make a token; its secret is shown this once", ref("TokenMade"), body=token),
        },
        "/tokens/{id}": {"delete": operation("Let a token in no more", thing(id=ID, revoked=FLAG), by_id)},
        "/settings": {
            "get": operation(
                "The settings that can be made here; the owner's to see", listed(ref("Setting"))
            ),
            "put": operation(
                "Make settings, null for the default; the service opens anew with them",
                listed(ref("Setting")),
                body=settings,
            ),
        },
        "/backup": {"get": download()},
    }


def download() -> Schema:
    described = operation(
        "A copy of the whole database. It holds everybody's history, password hashes and sealed sign-ins",
        TEXTUAL,
        kind="application/zip",
    )
    content = described["responses"]["200"]["content"]
    content["application/zip"]["schema"] = {"type": "string", "format": "binary"}
    return described


def document(address: str) -> dict[str, Any]:
    """The whole document."""
    made = openapi_transfer.document(address)
    made["paths"] |= paths()
    made["components"]["schemas"] |= SCHEMAS
    return made
