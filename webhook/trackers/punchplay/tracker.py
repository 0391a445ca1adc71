"""PunchPlay: https://docs.punchplay.tv/playback-api.

`payloads` has the requests. Beside them `GET /me/history` lists the plays, a page at a time, and
`DELETE /watch-history/{id}` removes one. An event that is sent twice counts once, and so does a body under one
`Idempotency-Key`. An answer means, in short:

| answer | outcome |
|---|---|
| 401 | renew the sign-in once, then parked: signed out |
| 403 | parked: signed out, as the app may not do all that is needed |
| 404, 422, an item that is `invalid` | unmatched |
| 409 | the same call again after a moment; then a look at the history, and another key for what is missing |
| other 4xx | dead |
| 5xx, 408, 425, 429 | tried again |
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import ClassVar

import httpx
import orjson
from pydantic import Field

from webhook.client import excerpt
from webhook.domain.event import Action, Episode, Item, Kind, Movie
from webhook.domain.outcome import Dead, Done, Park, Retry
from webhook.domain.retry import UNSURE_PAUSE, retry_after
from webhook.settings import Address
from webhook.trackers import Access, Delivery, DeviceCode, Tokens, WatchedItem
from webhook.trackers._base import TrackerSettings, WritesPerSecond
from webhook.trackers._device_oauth import DeviceOAuth
from webhook.trackers._facts import Anime, Dates, Facts, Rewatches
from webhook.trackers._json import JsonObject, as_int, as_rows, as_text, parse_object, unknown_shape
from webhook.trackers._oauth import error_of
from webhook.trackers._pages import read_cursors
from webhook.trackers._plays import PlayHistory
from webhook.trackers._refusals import fail_match, park_as
from webhook.trackers._scrobbler import PendingMark, Verb, mark_progress
from webhook.trackers._viewings import is_since, wire_time
from webhook.trackers.punchplay.payloads import (
    LABEL,
    MAX_TEXT,
    device_id,
    history_item,
    parse_play,
    parse_result,
    playback_body,
    title_fields,
)

PURPOSE = "Shows what you are watching now, and keeps every viewing with its date."
SETUP: tuple[str, ...] = (
    "Open https://docs.punchplay.tv, choose Get API key, and make a public app. Let it read your profile, and read and write playback and history.",
    "Copy the app's client id into the field below, and save. There is no secret to copy.",
    "Then sign in: a code appears here, to be typed in at https://punchplay.tv/link",
)
SCOPES = ("profile:read", "playback:read", "playback:write", "history:read", "history:write")
LISTED_AT_ONCE = "100"
QUICK_PAGES = 50
PAGE_PAUSE = 1.0
"""The pages that are read one upon another, and the seconds before each one after them: a minute takes 120 of all."""

REFUSED = (400, 404, 413, 422)
"""The statuses that refuse a body; where it has many plays it may be for one of them."""

BUSY = "request_in_progress"
MAX_REPEATS = 3
MAX_BUSY_PAUSE = 5.0
"""How often a call is repeated that the service is still working on, and the longest pause before that, in seconds."""


class Settings(TrackerSettings):
    client_id: str = Field(description="Client id of your app at PunchPlay")
    api_url: Address = Field(
        default="https://punchplay.tv/api/platform/v1", description="Address of PunchPlay's API"
    )
    writes_per_second: WritesPerSecond = 0.4


def build(settings: Settings, http: httpx.AsyncClient) -> PunchPlay:
    return PunchPlay(settings, http)


class PunchPlay(DeviceOAuth, PlayHistory[JsonObject]):
    """Shows what is on and marks live; late marks go into the history with their date, a hundred at a time."""

    name = "punchplay"
    label = LABEL
    facts = Facts(None, Dates.EACH, Rewatches.EACH, Anime.SERIES)
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE})
    needs = {Kind.MOVIE: ("tmdb",), Kind.EPISODE: ("show.tmdb",)}
    actions: ClassVar[Mapping[Action, str]] = {
        action: method
        for action, method in PlayHistory.actions.items()
        if action not in (Action.RATE, Action.UNRATE)
    }
    batch = 100
    max_pause = 100.0
    sends_json = True
    scope = " ".join(SCOPES)
    device_path = "/auth/device/code"
    token_path = "/auth/device/token"
    refresh_path = "/auth/refresh"
    revoke_path = "/oauth/revoke"
    statuses = {
        403: park_as(Park.SIGNED_OUT, "the app behind the client id may not do all that is needed"),
        422: fail_match,
    }

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        super().__init__(http, settings.api_url, settings.writes_per_second)
        self.client_id = settings.client_id
        self.spent_keys: dict[str, int] = {}

    def forms(self, delivery: Delivery) -> Sequence[JsonObject]:
        """By TMDB's id alone, as the history names no other; an episode by that of its show."""
        item = delivery.item
        if isinstance(item, Episode):
            show, season, number = self.require_place(delivery)
            title = item.title and item.title[:MAX_TEXT]
            place: JsonObject = {"season": season, "episode": number, "episode_title": title or None}
            return [title_fields(item.show, item.year, tmdb_id=show, **place)]
        film = self.require_film(delivery)
        assert isinstance(item, Movie)
        return [title_fields(item.title, item.year, tmdb_id=film)]

    # What is on now

    async def resume_point(self, item: Item, access: Access) -> float | None:
        """None: PunchPlay is not known to lose a resume point by a start."""
        return None

    async def scrobble(
        self, verb: Verb, wanted: str, delivery: Delivery, progress: float, access: Access
    ) -> Done:
        """Send it live. A stop always says whether it was watched, so that no threshold of the account decides it."""
        (names,) = self.forms(delivery)
        body = playback_body(delivery, names, progress, verb, access.tokens.get("device_id"))
        if verb == "stop":
            body["watched"] = wanted == "scrobble"
        response = await self.ask(access, "POST", f"/playback/{verb}", json=body)
        answer = self.accept_object(response)
        if answer.get("ok") is not True:
            raise unknown_shape(LABEL, response, unsure=True)
        ignored = as_text(answer.get("ignored"))
        return Done(answer=f"{LABEL} ignored it: {ignored}" if ignored else wanted)

    async def scrobble_mark(self, delivery: Delivery, access: Access) -> Done | None:
        done = await self.scrobble("stop", "scrobble", delivery, mark_progress(delivery.progress), access)
        return Done(answer=done.answer, remote_id=wire_time(delivery.at))

    # The history

    async def send_round(self, marks: Sequence[PendingMark[JsonObject]], access: Access) -> bool:
        items = [history_item(mark.delivery, mark.current) for mark in marks]
        response = await self.post_once({"items": items}, access)
        if response.status_code in REFUSED and len(marks) > 1:
            raise Dead(f"{LABEL} refused one of these", answer=excerpt(response), suspect=True)
        results = self.accept_object(response).get("results")
        if not isinstance(results, list):
            raise unknown_shape(LABEL, response, unsure=True)
        rows = {as_int(row.get("index")): row for row in as_rows(results)}
        for index, mark in enumerate(marks):
            mark.outcome = parse_result(mark.delivery, rows.get(index))
            if isinstance(mark.outcome, Done):
                self.remember(mark.delivery, None, access)
        return True

    async def post_once(self, body: JsonObject, access: Access) -> httpx.Response:
        """Post a body to the history under a key of its own; the next time under another, where this one ended unknown."""
        digest = hashlib.sha256(orjson.dumps(body)).hexdigest()
        key = {"Idempotency-Key": f"wm-{digest}-{self.spent_keys.get(digest, 0)}"}
        response = await self.ask(access, "POST", "/sync/history", json=body, extra_headers=key)
        for _ in range(MAX_REPEATS):
            if response.status_code != 409 or error_of(response) != BUSY:
                break
            asked = retry_after(response.headers)
            await asyncio.sleep(
                MAX_BUSY_PAUSE if asked is None else min(asked.total_seconds(), MAX_BUSY_PAUSE)
            )
            response = await self.ask(access, "POST", "/sync/history", json=body, extra_headers=key)
        if response.status_code != 409:
            return response
        if error_of(response) != BUSY:
            self.spent_keys[digest] = self.spent_keys.get(digest, 0) + 1
        reason = f"{LABEL} cannot say yet what became of an earlier call"
        raise Retry(reason, answer=excerpt(response), after=UNSURE_PAUSE, unsure=True)

    async def plays(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """No further than the rest is surely older, as far as the list is in the order of its dates, the newest first."""
        seen: set[str | None] = set()
        last: datetime | None = None
        newest_first = True
        async for rows in read_cursors(LABEL, partial(self.read_page, access), QUICK_PAGES, PAGE_PAUSE):
            for play in filter(None, map(parse_play, rows)):
                if play.at is not None:
                    newest_first = newest_first and (last is None or play.at <= last)
                    last = play.at
                if play.remote_id not in seen and is_since(play.at, since):
                    seen.add(play.remote_id)
                    yield play
            if newest_first and not is_since(last, since):
                return

    async def read_page(self, access: Access, cursor: str | None) -> tuple[list[JsonObject], str | None]:
        asked = {"limit": LISTED_AT_ONCE} | ({} if cursor is None else {"cursor": cursor})
        response = await self.ask(access, "GET", "/me/history", params=asked, patient=True)
        body = self.accept_object(response)
        if not isinstance(body.get("items"), list):
            raise unknown_shape(LABEL, response, unsure=False)
        following = body.get("nextCursor")
        return as_rows(body["items"]), None if following in (None, "") else str(following)

    async def remove_play(self, play: int, delivery: Delivery, access: Access) -> bool:
        response = await self.ask(access, "DELETE", f"/watch-history/{play}")
        if response.status_code == 404:
            return False
        self.accept(response)
        return True

    # The sign-in

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {tokens['access_token']}"} if "access_token" in tokens else {}

    async def check(self, access: Access) -> str:
        return as_text((await self.ask_object(access, "GET", "/me")).get("username")) or "?"

    def poll_fields(self, code: DeviceCode) -> Mapping[str, str]:
        return {"device_code": code.device_code, "device_name": "Watchmark", "device_id": device_id(code)}

    async def request_tokens(self, code: DeviceCode) -> Tokens | None:
        tokens = await super().request_tokens(code)
        return None if tokens is None else {**tokens, "device_id": device_id(code)}

    def refresh_fields(self, token: str) -> Mapping[str, str]:
        return {"refresh_token": token}

    def revoke_fields(self, tokens: Tokens) -> Mapping[str, str]:
        return {"token": tokens["refresh_token"], "token_type_hint": "refresh_token"}

    def error_words(self, response: httpx.Response) -> str:
        return as_text(parse_object(response).get("message")) or super().error_words(response)
