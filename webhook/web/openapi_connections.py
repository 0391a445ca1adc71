"""The OpenAPI document of the connections; and the whole document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from webhook import trackers
from webhook.sign_ins import State
from webhook.web import openapi_people
from webhook.web.connections import KINDS, LONGEST, STATES
from webhook.web.openapi import FLAG, ID, NUMBER, TEXT, TIME, Schema, in_path, listed, operation, ref, thing

TEXTUAL: Schema = {"type": "string"}
SURE: Schema = {"type": "boolean"}
GIVEN: Schema = {"type": "string", "maxLength": LONGEST}
WORD: Schema = {"enum": [*STATES.values()]}

TESTED: Schema = {**thing(works=SURE, says=TEXTUAL, at=TIME), "type": ["object", "null"]}
SETTING = thing(
    variable=TEXTUAL,
    description=TEXT,
    required=SURE,
    secret=SURE,
    default=TEXT,
    set=SURE,
    by={"enum": ["environment", "file", "browser", None]},
    fixed={**SURE, "description": "The environment says it, so that it can only be changed there."},
    value={**TEXT, "description": "Null for a secret, which is never shown again."},
    ends={**TEXT, "description": "The last characters of a secret that is long enough."},
)
SCHEMAS: Mapping[str, Schema] = {
    "ConnectionSetting": SETTING,
    "ConnectionAccount": {
        "allOf": [ref("Account"), thing(shows={"enum": [*STATES]}, word=WORD, needs=TEXT, tested=TESTED)]
    },
    "Connection": thing(
        name=TEXTUAL,
        label=TEXTUAL,
        kind={"enum": [*KINDS]},
        state={"enum": [*STATES]},
        word=WORD,
        purpose=TEXTUAL,
        steps={"type": "array", "items": TEXTUAL},
        sign_in={"enum": ["device", "web", "password", "token", "none", None]},
        settings={"type": "array", "items": ref("ConnectionSetting")},
        accounts={"type": "array", "items": ref("ConnectionAccount")},
        tested=TESTED,
    ),
    "SignIn": thing(
        id=TEXTUAL,
        tracker=TEXTUAL,
        person=TEXT,
        state={"enum": [*get_args(State)]},
        user_code={**TEXT, "description": "To be typed in at `url`; null where one only agrees there."},
        url=TEXT,
        seconds_left={"type": "integer"},
        says={
            **TEXT,
            "description": "Once it is connected the account's name or what it lacks, else why not.",
        },
        works=FLAG,
        account=NUMBER,
    ),
}


def paths() -> dict[str, dict[str, Schema]]:
    by_name = [in_path("name", TEXTUAL)]
    by_key = [in_path("id", TEXTUAL)]
    result = thing(account=NUMBER, person=TEXT, works=SURE, says=TEXTUAL)
    settings: Schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["settings"],
        "properties": {
            "settings": {
                "type": "object",
                "additionalProperties": {**GIVEN, "type": ["string", "null"]},
                "description": "By variable, e.g. TMDB_TOKEN; null lets one go, what is not named stays.",
            },
            "anyway": {
                "type": "boolean",
                "default": False,
                "description": "Keep them even where the service cannot be asked.",
            },
        },
    }
    test: Schema = {"type": "object", "additionalProperties": False, "properties": {"account": ID}}
    tested = operation(
        "Ask the service whether it works; notifications send a test",
        thing(name=TEXTUAL, works=SURE, results={"type": "array", "items": result}),
        by_name,
        test,
    )
    tested["requestBody"]["required"] = False
    connect: Schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["tracker"],
        "properties": {
            "tracker": {"enum": [*trackers.modules()]},
            "person": {**GIVEN, "description": "For whom; else for whose the API token is."},
            "username": GIVEN,
            "password": {**GIVEN, "description": "Used once, and not kept."},
            "token": GIVEN,
        },
    }
    sign_in: Schema = {"oneOf": [ref("SignIn"), {"type": "null"}]}
    return {
        "/connections": {"get": operation("Every service and its state", listed(ref("Connection")))},
        "/connections/{name}": {"get": operation("One service and its state", ref("Connection"), by_name)},
        "/connections/{name}/test": {"post": tested},
        "/connections/{name}/settings": {
            "put": operation(
                "Set it up: the settings are tried, kept, and take effect within a second; the owner's to do",
                thing(saved=SURE, works=FLAG, says=TEXTUAL, reopens=SURE),
                by_name,
                settings,
            )
        },
        "/accounts/connect": {
            "post": operation(
                "Sign in to a tracker. By a code or a page: show what `sign_in` has, and ask how it goes",
                thing(account=NUMBER, works=FLAG, says=TEXT, sign_in=sign_in),
                body=connect,
            )
        },
        "/accounts/{id}": {
            "delete": operation(
                "Give up a sign-in; one with deliveries stays, signed out (`removed` false)",
                thing(id=ID, removed=SURE),
                [in_path("id", ID)],
            )
        },
        "/sign-ins/{id}": {
            "get": operation("How a sign-in goes", ref("SignIn"), by_key),
            "delete": operation("Wait for it no longer", ref("SignIn"), by_key),
        },
    }


def document(address: str) -> dict[str, Any]:
    """The whole document."""
    made = openapi_people.document(address)
    made["paths"] |= paths()
    made["components"]["schemas"] |= SCHEMAS
    return made
