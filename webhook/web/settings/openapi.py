"""Settings, tokens, a backup, and this document."""

from __future__ import annotations

from collections.abc import Mapping

from webhook.people import tokens
from webhook.people.scopes import Scope
from webhook.web.http.schema import (
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
from webhook.web.people import actions as administration

TOKEN: Mapping[str, Schema] = {
    "id": ID,
    "kind": {"enum": [*administration.ALL_KINDS]},
    "name": TEXT,
    "person": {**TEXT, "description": "Whose what comes with it is; null is everybody's."},
    "scopes": {
        "type": ["array", "null"],
        "items": {"enum": [*Scope]},
        "description": "What an API token may do; null is everything, as it was for all before there were scopes.",
    },
    "expires_at": {**TIME, "description": "When it ends; null is never."},
}
PROBLEM: Schema = {**TEXT, "description": "What to do where its secret cannot be opened any more."}
VALUE: Schema = {"type": ["string", "number", "null"]}


def schemas() -> dict[str, Schema]:
    return {
        "Token": thing(
            **TOKEN,
            created_at=TIME,
            expired={**FLAG, "description": "It has ended, and lets nobody in any more."},
            problem=PROBLEM,
        ),
        "TokenMade": thing(
            **TOKEN,
            secret={**TEXTUAL, "description": "Shown this once."},
            urls={
                "type": ["object", "null"],
                "additionalProperties": TEXTUAL,
                "description": "For a webhook token the address to paste, by source.",
            },
            calendar={
                **TEXT,
                "description": "For a token with the scope calendar the address to subscribe to.",
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
                "enum": [*administration.TOKEN_KINDS],
                "description": "For media servers, for scripts, or for apps made for TV Time.",
            },
            "name": {
                **TEXT,
                "maxLength": administration.MAX_NAME_LENGTH,
                "description": "To tell it from the others.",
            },
            "person": {**TEXT, "description": "Whose; a member's tokens are their own."},
            "scopes": {
                "type": ["array", "null"],
                "items": {"enum": [*Scope]},
                "minItems": 1,
                "description": "What an API token may do, and no more than the token that asks; everything that "
                "one may if it is not given.",
                "examples": [[Scope.READ]],
            },
            "expires_in_days": {
                "type": ["integer", "null"],
                "minimum": 1,
                "maximum": tokens.MAX_TOKEN_DAYS,
                "description": "When it ends, and no later than the token that asks; never if it is not given. "
                "A webhook token never ends.",
            },
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
