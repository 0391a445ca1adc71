"""The apps of the VideoScrobbler API, and who sees whom through it."""

from __future__ import annotations

from webhook.web.http.schema import (
    BY_ID,
    FLAG,
    ID,
    PERSON,
    TEXT,
    TEXTUAL,
    TIME,
    WHOLE,
    Schema,
    listed,
    operation,
    ref,
    thing,
)

SEEN_BY: Schema = {
    "enum": ["everyone", "friends", "nobody"],
    "description": "nobody until something is chosen. friends are the people here who have chosen friends or "
    "everyone too; everyone is whoever calls, also without a session of a person.",
}


def schemas() -> dict[str, Schema]:
    return {
        "App": thing(
            id=ID,
            name=TEXTUAL,
            key={**TEXTUAL, "description": "The API key, which the app sends with every call."},
            person={**TEXT, "description": "Who alone may let it in; null is everybody."},
            sessions={**WHOLE, "description": "How many are open."},
            created_at=TIME,
            suspended_at=TIME,
            problem={**TEXT, "description": "What to do where its secret cannot be opened any more."},
        ),
        "AppMade": {
            "allOf": [
                ref("App"),
                thing(secret={**TEXTUAL, "description": "The shared secret. It is given this once."}),
            ]
        },
        "Privacy": thing(person=TEXTUAL, seen_by=SEEN_BY),
    }


def paths() -> dict[str, dict[str, Schema]]:
    name: Schema = {"type": "string", "minLength": 1, "maxLength": 100}
    whose: Schema = {"type": "string", "maxLength": 64, "description": "Who alone may let it in."}
    given: Schema = {"type": "object", "additionalProperties": False}
    return {
        "/apps": {
            "get": operation(
                "The apps that may ask for a session: one's own, for the owner all", listed(ref("App"))
            ),
            "post": operation(
                "Make an app: its key, and its shared secret, which is given this once",
                ref("AppMade"),
                body={**given, "properties": {"name": name, "person": whose}, "required": ["name"]},
            ),
        },
        "/apps/{id}": {
            "put": operation(
                "Suspend an app, or let it in again; its sessions rest, and go on",
                ref("App"),
                BY_ID,
                {**given, "properties": {"suspended": FLAG}, "required": ["suspended"]},
            ),
            "delete": operation(
                "Remove an app and end its sessions; what it told stays in the history",
                thing(id=ID, removed=FLAG),
                BY_ID,
            ),
        },
        "/privacy": {
            "get": operation(
                "Who sees through the VideoScrobbler API what a person watches", ref("Privacy"), [PERSON]
            ),
            "put": operation(
                "Say who sees it",
                ref("Privacy"),
                body={
                    **given,
                    "properties": {"person": {"type": "string", "maxLength": 64}, "seen_by": SEEN_BY},
                    "required": ["seen_by"],
                },
            ),
        },
    }
