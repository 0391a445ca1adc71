"""PunchPlay: https://docs.punchplay.tv/playback-api."""

from __future__ import annotations

from tests.contracts._schema import (
    NUMBER,
    TEXT,
    UUID,
    WHOLE,
    Contract,
    Operation,
    Schema,
    exactly,
    many,
    matching,
    thing,
)

BASE = "/api/platform/v1"
READS = {"user-agent": ".+", "authorization": "Bearer .+"}
JSON = "application/json"
WRITES = {**READS, "content-type": JSON}
ONCE = {**WRITES, "idempotency-key": ".{1,200}"}
OPEN = {"user-agent": ".+", "content-type": JSON}
WORDS: Schema = {"type": "string", "minLength": 1, "maxLength": 500}
FRACTION: Schema = {"type": "number", "minimum": 0, "maximum": 1}
AT = matching(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
YEAR: Schema = {"type": "integer", "minimum": 1888, "maximum": 2100}
NAMES: dict[str, Schema] = {"tmdb_id!": NUMBER, "title!": WORDS, "year": YEAR}
PLACE: dict[str, Schema] = {"season!": WHOLE, "episode!": WHOLE, "episode_title": WORDS}


def of_kind(name: str, **said: Schema) -> Schema:
    """A film, or an episode by the id and the title of its show, with what is said of it."""
    return {
        "if": {"properties": {name: exactly("movie")}},
        "then": thing(**{f"{name}!": exactly("movie"), **NAMES, **said}),
        "else": thing(**{f"{name}!": exactly("episode"), **NAMES, **PLACE, **said}),
    }


def playback(**said: Schema) -> Schema:
    return of_kind(
        "media_type",
        **{
            "position_seconds": WHOLE,
            "duration_seconds": WHOLE,
            "device_id": UUID,
            "playback_session_id!": TEXT,
            "event_id!": TEXT,
            "event_created_at!": NUMBER,
            "client_version": TEXT,
            **said,
        },
    )


def post(path: str, body: Schema, headers: dict[str, str] = WRITES) -> Operation:
    return Operation(method="POST", path=BASE + path, headers=headers, body=body)


CLIENT: dict[str, Schema] = {"client_id!": TEXT}
CONTRACT = Contract(
    [
        Operation(method="GET", path=f"{BASE}/me", headers=READS),
        post("/playback/{verb:start|pause|resume|progress}", playback(**{"progress!": FRACTION})),
        post("/playback/stop", playback(**{"progress!": FRACTION, "watched!": {"type": "boolean"}})),
        post(
            "/sync/history",
            thing(
                **{"items!": many(of_kind("kind", **{"watched_at!": AT, "client_item_id!": WORDS}), most=100)}
            ),
            ONCE,
        ),
        Operation(
            method="GET",
            path=f"{BASE}/me/history",
            headers=READS,
            query={"limit!": matching("[1-9]|[1-9][0-9]|100"), "cursor": TEXT},
        ),
        # Never `DELETE /title/{kind}/{id}/history`, which takes every play of a title.
        Operation(method="DELETE", path=f"{BASE}/watch-history/{{id:[0-9]+}}", headers=READS),
        post("/auth/device/code", thing(**{**CLIENT, "scope!": TEXT}), OPEN),
        post(
            "/auth/device/token",
            thing(**{**CLIENT, "device_code!": TEXT, "device_name!": TEXT, "device_id!": UUID}),
            OPEN,
        ),
        post("/auth/refresh", thing(**{**CLIENT, "refresh_token!": TEXT}), OPEN),
        post(
            "/oauth/revoke",
            thing(**{**CLIENT, "token!": TEXT, "token_type_hint!": exactly("refresh_token")}),
            OPEN,
        ),
    ]
)
