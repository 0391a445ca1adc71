"""MDBList: https://api.mdblist.com/docs/.

`payloads` has the requests. An answer means, in short:

| answer | outcome |
|---|---|
| 401 | renew the sign-in once, then parked: signed out |
| 403 with an error | parked: signed out; without one snoozed for an hour |
| 404, or a 200 with `not_found` | the next form of the item, at the end unmatched |
| 429 of the day | snoozed until the day of the service ends, at 00:00 UTC |
| 429 | snoozed for its Retry-After |
| other 4xx | dead |
| 5xx, 408, 425 | tried again |
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

import httpx
from pydantic import Field

from webhook.client import excerpt
from webhook.domain.daily_calls import Urgency
from webhook.domain.event import Kind
from webhook.domain.outcome import Dead, Done, Park, Skip, Snooze, Undelivered, Unmatched
from webhook.settings import Address
from webhook.trackers import Access, Delivery, SignIn, Tokens, WatchedItem
from webhook.trackers._base import TrackerSettings, WritesPerSecond
from webhook.trackers._device_oauth import DeviceOAuth
from webhook.trackers._facts import Anime, Cost, Dates, Facts, Rewatches
from webhook.trackers._json import (
    as_text,
    expect_object,
    parse_object,
)
from webhook.trackers._refusals import park_as
from webhook.trackers._scrobbler import Verb, mark_progress, no_match
from webhook.trackers._sign_in import PastedToken
from webhook.trackers._viewings import is_since, wire_time
from webhook.trackers.mdblist.payloads import LABEL, SURE_IDS, Names, parse_play, scrobble_body
from webhook.trackers.mdblist.watchlist import MDBListWatchlist

PURPOSE = (
    "Shows what you are watching now, and keeps every viewing with its date. Free, with 1,000 calls a day."
)
NOTE = "Takes 1,000 calls a day for free, from all programs together."
SETUP: tuple[str, ...] = (
    "Sign in at https://mdblist.com, which is free, and open https://mdblist.com/preferences/#api",
    "Copy your API key, paste it into the field for the token, and sign in. Nothing else is needed.",
    "To sign in by a code instead, make an app of the type Device Code at https://mdblist.com/developer and enter its client id under Settings.",
)
WATCHED_FROM = 80.0
"""The progress from which a start may mark as watched, so that none is sent."""

GUARD_REST = timedelta(hours=1)


class Settings(TrackerSettings):
    client_id: str = Field(
        default="", description="Client id of an app of yours at MDBList (Device Code), to sign in by a code"
    )
    api_url: Address = Field(default="https://api.mdblist.com", description="Address of MDBList's API")
    show_ids: str = Field(
        default="tmdb, imdb, trakt",
        description="Ids of which a show must have one; add tvdb to try what has no other",
    )
    writes_per_second: WritesPerSecond = 1.0


def build(settings: Settings, http: httpx.AsyncClient) -> MDBList:
    return MDBList(settings, http)


class MDBList(DeviceOAuth, PastedToken, MDBListWatchlist):
    """Scrobbles live; late marks go into the history with their date, a hundred at a time."""

    name = "mdblist"
    label = LABEL
    sign_in: SignIn = "token"
    facts = Facts(Cost.FREE, Dates.EACH, Rewatches.EACH, Anime.SERIES, NOTE)
    token_page = "https://mdblist.com/preferences/#api"
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE, Kind.SHOW, Kind.SEASON})
    scope = "write"
    device_path = "/oauth/device-authorization/"
    token_path = "/oauth/token/"
    revoke_path = "/oauth/revoke_token/"
    statuses = dict.fromkeys((401, 403), park_as(Park.SIGNED_OUT))

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        super().__init__(http, settings.api_url, settings.writes_per_second)
        self.client_id = settings.client_id
        self.sign_in = "device" if settings.client_id else "token"
        self.names = Names(settings.show_ids)
        shows = tuple(f"show.{name}" for name in self.names.show_needs)
        self.wants = {Kind.EPISODE: shows}
        self.needs = {Kind.MOVIE: SURE_IDS, Kind.SHOW: self.names.show_needs, Kind.EPISODE: (*shows, "tmdb")}

    # What is on now

    async def start(self, delivery: Delivery, access: Access) -> Done:
        """Show it as playing, below 80 %: from there on a start may count as watched."""
        self.require_single(delivery.item)
        progress = min(max(delivery.progress or 0.0, 0.0), WATCHED_FROM - 0.1)
        return await self.scrobble("start", "start", delivery, round(progress, 2), access)

    async def resume_point(self, item: object, access: Access) -> float | None:
        """None: MDBList is not known to lose a resume point by a start, and every look is a call of the day."""
        return None

    async def scrobble(
        self, verb: Verb, wanted: str, delivery: Delivery, progress: float, access: Access
    ) -> Done:
        items = [item for form in self.forms(delivery) if (item := scrobble_body(form)) is not None]
        if not delivery.mark:
            self.require_call(access, Urgency.SHOWING)
            if not items:
                raise Skip(f"{LABEL} shows an episode by its show only, of which no id is known")
        for item in items:
            response = await self.ask(
                access, "POST", f"/scrobble/{verb}", json={**item, "progress": progress}
            )
            if response.status_code != 404:
                return self.read_scrobble(wanted, self.accept(response))
        raise no_match(LABEL, delivery.item, ())

    def read_scrobble(self, wanted: str, response: httpx.Response) -> Done:
        """The outcome of a scrobble: its answer may have no body, and need not say what it did."""
        action = as_text(expect_object(LABEL, response).get("action")) if response.content else None
        if wanted == "scrobble" and action in ("start", "pause"):
            raise Dead(f"{LABEL} did not count it as watched, but as {action}", answer=excerpt(response))
        return Done(answer=action or wanted)

    async def scrobble_mark(self, delivery: Delivery, access: Access) -> Done | None:
        try:
            done = await self.scrobble("stop", "scrobble", delivery, mark_progress(delivery.progress), access)
        except Unmatched:
            return None
        return Done(answer=done.answer, remote_id=wire_time(delivery.at))

    # What the account holds

    def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        return self.plays(access, since, Urgency.LATE)

    async def plays(
        self, access: Access, since: datetime | None = None, urgency: Urgency = Urgency.MARK
    ) -> AsyncIterator[WatchedItem]:
        """Every play. A row without the id of one is a state, whose date means nothing."""
        seen: set[str | None] = set()
        asked = {"plays": "all"} | ({} if since is None else {"since": wire_time(since)})
        async for rows in self.pages(access, "/sync/watched", asked, urgency):
            for row in rows:
                play = parse_play(row)
                if play is not None and play.remote_id not in seen and is_since(play.at, since):
                    seen.add(play.remote_id)
                    yield play

    # The sign-in

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        bearer = tokens.get("access_token")
        return {"Accept": "application/json"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})

    def sign_address(self, tokens: Tokens) -> Mapping[str, str]:
        return {"apikey": tokens["token"]} if "token" in tokens else {}

    async def validate(self, tokens: Tokens) -> str | None:
        response = await self.call("GET", "/user", tokens=tokens)
        return None if response.status_code in (401, 403) else self.read_name(response)

    async def check(self, access: Access) -> str:
        return self.read_name(await self.ask(access, "GET", "/user"))

    def read_name(self, response: httpx.Response) -> str:
        user = self.accept_object(response)
        return as_text(user.get("username")) or as_text(user.get("name")) or "?"

    def refuse(self, response: httpx.Response) -> Undelivered:
        words = (as_text(parse_object(response).get("error")) or excerpt(response)).lower()
        if response.status_code == 429 and "daily" in words:
            reset = response.headers.get("x-ratelimit-reset", "")
            after = time_until(reset, datetime.now(UTC))
            return Snooze(f"{LABEL} takes no more calls today", answer=excerpt(response), after=after)
        if response.status_code == 403 and "error" not in parse_object(response):
            return Snooze(
                f"{LABEL} answered 403: a guard turned the call back",
                answer=excerpt(response),
                after=GUARD_REST,
            )
        return super().refuse(response)


def time_until(reset: str, now: datetime) -> timedelta:
    """The time until the day of the service ends: as a header says, else at 00:00 UTC."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    ends = datetime.fromtimestamp(int(reset[:11]), UTC) if reset.isdecimal() else midnight
    return min(max(ends - now, timedelta(seconds=1)), timedelta(days=1))
