"""Every service, accounts, and signing in."""

from __future__ import annotations

from typing import get_args

from webhook import trackers
from webhook.accounts.sign_ins import SignInState
from webhook.domain.event import Action
from webhook.domain.outcome import LIMITS
from webhook.domain.rules import OPTIONAL_ACTIONS
from webhook.web.connections.actions import MAX_SETTING_LENGTH, SERVICE_KINDS, STATES, services
from webhook.web.http.schema import (
    BY_ID,
    DECIMAL,
    FILTER_LISTS,
    FLAG,
    ID,
    MAYBE,
    NUMBER,
    TEXT,
    TEXTUAL,
    TIME,
    Schema,
    in_path,
    listed,
    many,
    operation,
    ref,
    thing,
)

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
        "dry_run": FLAG,
        **FILTER_LISTS,
    },
}
TELLS = thing(
    tells={
        "type": "array",
        "items": {"enum": [*OPTIONAL_ACTIONS]},
        "description": "Of what its tracker can be told: these on, the others off.",
    }
)
LIMIT = thing(
    kind={**TEXTUAL, "description": "`watched` for watched marks, else an action such as `add`."},
    reason={"enum": sorted(LIMITS)},
    tracker=TEXTUAL,
    person=TEXTUAL,
    explanation=TEXTUAL,
    waits={"type": "integer"},
)
ACCOUNT = thing(
    id=ID,
    tracker=TEXTUAL,
    person=TEXTUAL,
    name=TEXT,
    state=TEXTUAL,
    explanation=TEXT,
    since=TIME,
    why=TEXT,
    tells=many({"enum": [*Action]}),
    rules=ref("Rules"),
    waits={"type": "object", "additionalProperties": {"type": "integer"}},
    limits={
        **many(LIMIT),
        "description": "What the service refuses while it takes everything else: deliveries of these kinds are parked.",
    },
    failures={"type": "integer"},
    held_until=TIME,
    last_done_at=TIME,
)
GIVEN: Schema = {"type": "string", "maxLength": MAX_SETTING_LENGTH}
WORD: Schema = {"enum": [*STATES.values()]}
TESTED: Schema = {**thing(works=FLAG, says=TEXTUAL, at=TIME), "type": ["object", "null"]}
SETTING = thing(
    variable=TEXTUAL,
    description=TEXT,
    required=FLAG,
    secret=FLAG,
    default=TEXT,
    set=FLAG,
    by={"enum": ["environment", "file", "browser", None]},
    fixed={**FLAG, "description": "The environment says it, so that it can only be changed there."},
    value={**TEXT, "description": "Null for a secret, which is never shown again."},
    ends={**TEXT, "description": "The last characters of a secret that is long enough."},
    left_out={**TEXT, "description": "Why what was set in the browser cannot be used, where that is so."},
)


def schemas() -> dict[str, Schema]:
    return {
        "Account": ACCOUNT,
        "Rules": RULES,
        "ConnectionSetting": SETTING,
        "ConnectionAccount": {
            "allOf": [ref("Account"), thing(shows={"enum": [*STATES]}, word=WORD, needs=TEXT, tested=TESTED)]
        },
        "Connection": thing(
            name=TEXTUAL,
            label=TEXTUAL,
            kind={"enum": [*SERVICE_KINDS]},
            state={"enum": [*STATES]},
            word=WORD,
            purpose=TEXTUAL,
            steps=many(TEXTUAL),
            sign_in={"enum": ["device", "web", "password", "token", "none", None]},
            settings=many(ref("ConnectionSetting")),
            accounts=many(ref("ConnectionAccount")),
            tested=TESTED,
        ),
        "SignIn": thing(
            id=TEXTUAL,
            tracker=TEXTUAL,
            person=TEXT,
            state={"enum": [*get_args(SignInState)]},
            user_code={**TEXT, "description": "To be typed in at `url`; null where one only agrees there."},
            url=TEXT,
            seconds_left={"type": "integer"},
            says={
                **TEXT,
                "description": "Once it is connected the account's name or what it lacks, else why not.",
            },
            works=MAYBE,
            account=NUMBER,
        ),
    }


def paths() -> dict[str, dict[str, Schema]]:
    by_name = [in_path("name", {"type": "string", "enum": [*services()]})]
    by_key = [in_path("id", TEXTUAL)]
    result = thing(account=NUMBER, person=TEXT, works=FLAG, says=TEXTUAL)
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
        thing(name=TEXTUAL, works=FLAG, results=many(result)),
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
                thing(saved=FLAG, works=MAYBE, says=TEXTUAL, reopens=FLAG),
                by_name,
                settings,
            )
        },
        "/accounts": {"get": operation("The accounts, and whether they work", listed(ref("Account")))},
        "/accounts/connect": {
            "post": operation(
                "Sign in to a tracker. By a code or a page: show what `sign_in` has, and ask how it goes",
                thing(account=NUMBER, works=MAYBE, says=TEXT, sign_in=sign_in),
                body=connect,
            )
        },
        "/accounts/{id}": {
            "delete": operation(
                "Give up a sign-in; one with deliveries stays, signed out (`removed` false)",
                thing(id=ID, removed=FLAG),
                BY_ID,
            )
        },
        "/accounts/{id}/rules": {
            "put": operation("Set an account's own rules", ref("Account"), BY_ID, ref("Rules"))
        },
        "/accounts/{id}/tells": {
            "put": operation("Say what of the optional an account is told", ref("Account"), BY_ID, TELLS)
        },
        "/sign-ins/{id}": {
            "get": operation("How a sign-in goes", ref("SignIn"), by_key),
            "delete": operation("Wait for it no longer", ref("SignIn"), by_key),
        },
    }
