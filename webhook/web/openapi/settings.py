"""Settings, tokens, a backup, and this document."""

from __future__ import annotations

from collections.abc import Mapping

from webhook.web import administration
from webhook.web.openapi._parts import (
    BY_ID,
    FLAG,
    ID,
    TEXT,
    TEXTUAL,
    TIME,
    Schema,
    listed,
    operation,
    ref,
    thing,
)

TOKEN: Mapping[str, Schema] = {
    "id": ID,
    "kind": {"enum": [*administration.ALL_KINDS]},
    "name": TEXT,
    "person": {**TEXT, "description": "Whose what comes with it is; null is everybody's."},
}
PROBLEM: Schema = {**TEXT, "description": "What to do where its secret cannot be opened any more."}
VALUE: Schema = {"type": ["string", "number", "null"]}


def schemas() -> dict[str, Schema]:
    return {
        "Token": thing(**TOKEN, created_at=TIME, problem=PROBLEM),
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
            name={"enum": [*administration.OFFERED]},
            value=VALUE,
            default=VALUE,
            description=TEXTUAL,
            choices={"type": ["array", "null"], "items": TEXTUAL},
            fixed={**FLAG, "description": "The environment says it, so it can only be changed there."},
            set_by={"enum": ["environment", "browser", None]},
        ),
    }


def paths() -> dict[str, dict[str, Schema]]:
    given: Schema = {"type": "object", "additionalProperties": False}
    token = {
        **given,
        "required": ["kind"],
        "properties": {
            "kind": {
                "enum": [*administration.KINDS],
                "description": "For media servers, for scripts, or for apps made for TV Time.",
            },
            "name": {
                **TEXT,
                "maxLength": administration.LONGEST,
                "description": "To tell it from the others.",
            },
            "person": {**TEXT, "description": "Whose; a member's tokens are their own."},
        },
    }
    settings = {**given, "properties": dict.fromkeys(administration.OFFERED, VALUE)}
    return {
        "/tokens": {
            "get": operation("The valid tokens, without their secrets", listed(ref("Token"))),
            "post": operation("Make a token; its secret is shown this once", ref("TokenMade"), body=token),
        },
        "/tokens/{id}": {"delete": operation("Let a token in no more", thing(id=ID, revoked=FLAG), BY_ID)},
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
        "/openapi.json": {"get": operation("This document", {"type": "object"})},
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
