"""Trakt: https://docs.trakt.tv, sign-in at https://auth.trakt.tv.

`payloads` has the requests, `responses` the answers. A status that is no success means, in short:

| status | outcome |
|---|---|
| 401 | renew the sign-in once, then parked: signed out |
| 403, 423 | parked: the app is gone, the account is locked |
| 420, 426 | deliveries of this kind parked: the account's limit, VIP only |
| 404 | the next form of the item, at the end unmatched |
| 409 | done, or a retry after the hour in which Trakt takes no second scrobble |
| 405, 422 | of a pause: sent as a stop from then on; else dead, as any other 4xx |
| 429 | snoozed for its Retry-After |
| 5xx, 408, 425 | tried again |
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import ClassVar, Literal

import httpx
from pydantic import Field, SecretStr

from webhook.domain.event import Action, Item, Kind
from webhook.domain.outcome import Done, Undelivered
from webhook.settings import Address
from webhook.trackers import Access, Delivery, WatchedItem
from webhook.trackers._base import TrackerSettings, WritesPerSecond
from webhook.trackers._facts import Anime, Cost, Dates, Facts, Rewatches
from webhook.trackers._json import JsonObject, as_int, as_time, child, parse_object
from webhook.trackers._refusals import unsettled_retry
from webhook.trackers._scrobbler import MIN_PROGRESS, Scrobbler, Verb, mark_progress, no_match
from webhook.trackers._viewings import earliest_mark, is_fitting, is_since
from webhook.trackers.trakt.api import MAX_PAGE_SIZE
from webhook.trackers.trakt.history import History, nearest
from webhook.trackers.trakt.payloads import LABEL, iso, midnight
from webhook.trackers.trakt.responses import (
    TraktItem,
    existing_play,
    parse_item,
    parse_scrobble,
    parse_viewing,
    row_id,
)
from webhook.trackers.trakt.search import Finder
from webhook.trackers.trakt.sync import GONE
from webhook.trackers.trakt.watchlist import TraktWatchlist

log = logging.getLogger(__name__)

PURPOSE = "Shows what you are watching now, and keeps films and episodes with the time you watched them."
NOTE = "Needs an API app, which only VIP members can make. A free account can be connected to one app."
SETUP: tuple[str, ...] = (
    "Since 30 July 2026 only VIP members can make an API app at Trakt, and the apps of free accounts were deleted. Without VIP: Simkl keeps the same, and is free.",
    "As a VIP member open https://app.trakt.tv/settings/apps/api and make a new app; any name will do.",
    "As its redirect URI enter urn:ietf:wg:oauth:2.0:oob",
    "Copy the app's client id and client secret into the fields below, and save.",
    "Then sign in: a code appears here, to be typed in at Trakt. A free account can be connected to one app only (VIP: 50); signing in here may sign another app out.",
)
REFUSED_PAUSE = frozenset({405, 422})
"""The statuses by which Trakt refuses the call for a pause, beside the 404 that it has for unknown items too."""


class Settings(TrackerSettings):
    client_id: str = Field(description="Client id of your API app at Trakt (making one needs VIP)")
    client_secret: SecretStr = Field(description="Client secret of the same app")
    api_url: Address = Field(default="https://api.trakt.tv", description="Address of Trakt's API")
    auth_url: Address = Field(default="https://auth.trakt.tv", description="Address of Trakt's sign-in")
    writes_per_second: WritesPerSecond = 1.0
    pause: Literal["pause", "stop"] = Field(
        default="pause", description="The call that reports a pause: pause or stop"
    )


def build(settings: Settings, http: httpx.AsyncClient) -> Trakt:
    return Trakt(settings, http)


class PauseRefused(Exception):
    """Trakt refuses the call for a pause itself, for any item."""


class Trakt(TraktWatchlist):
    """Scrobbles live; late marks go into the history with their date.

    The item that an answer names is compared with the one that was meant (`matching`): a mark of another item is
    taken back by its id, and the next form of the item is tried.
    """

    name = "trakt"
    label = LABEL
    facts = Facts(Cost.SUBSCRIPTION, Dates.EACH, Rewatches.EACH, Anime.SERIES, NOTE)
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE, Kind.SHOW, Kind.SEASON})
    actions: ClassVar[Mapping[Action, str]] = {
        **Scrobbler.actions,
        Action.ADD: "add",
        Action.WATCHLIST: "list_title",
        Action.UNWATCHLIST: "unlist_title",
    }
    batch = 50  # no maximum is documented
    min_pause = MIN_PROGRESS  # below it Trakt keeps nothing

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        super().__init__(http, settings.api_url, settings.writes_per_second)
        self.auth = settings.auth_url.rstrip("/")
        self.client_id, self.client_secret = settings.client_id, settings.client_secret
        self.finder = Finder(self)
        self.plays = History(self, self.finder)
        self.pauses_by: Verb = settings.pause

    # What is on now

    async def pause(self, delivery: Delivery, access: Access) -> Done:
        """By `/scrobble/pause`; where Trakt refuses that, by `/scrobble/stop`, from then on."""
        progress = await self.pause_progress(delivery, access)
        try:
            return await self.scrobble(self.pauses_by, "pause", delivery, progress, access)
        except PauseRefused:
            done = await self.scrobble("stop", "pause", delivery, progress, access)
        self.pauses_by = "stop"
        log.info("Trakt refuses pauses; they go out as stops", extra={"action": "pause_refused"})
        return done

    async def resume_point(self, item: Item, access: Access) -> float | None:
        for row in await self.rows(f"/sync/playback/{item.kind}s", {}, access):
            if await self.plays.is_of(item, row, access):
                progress = row.get("progress")
                return float(progress) if isinstance(progress, int | float) else None
        return None

    async def scrobble(
        self, verb: Verb, wanted: str, delivery: Delivery, progress: float, access: Access
    ) -> Done:
        """Send the item in the first form by which Trakt finds this very item.

        Raises PauseRefused where pauses are refused.
        """
        self.require_single(delivery.item)
        wrong: list[TraktItem] = []
        async for form in self.finder.forms(delivery.item, access):
            body = {"progress": progress, **form}
            response = await self.ask(access, "POST", f"/scrobble/{verb}", json=body)
            if response.status_code == 404:
                continue
            if response.status_code == 409:
                return await self.resolve_conflict(delivery, parse_object(response), access)
            if verb == "pause" and response.status_code in REFUSED_PAUSE:
                raise PauseRefused
            answer = self.accept_object(response)
            theirs = parse_item(answer)
            if await self.is_right(delivery.item, theirs, access):
                return parse_scrobble(wanted, delivery.item, theirs, answer, response)
            wrong.append(theirs)
            await self.take_back(answer, access)
        if verb == "pause" and not wrong:
            raise PauseRefused
        raise no_match(LABEL, delivery.item, wrong)

    async def is_right(self, item: Item, theirs: TraktItem, access: Access) -> bool:
        """True if the recorded item is this one; an id that led to another is not sent again."""
        try:
            right = await self.finder.is_meant(item, theirs, access)
        except Undelivered as decision:
            raise unsettled_retry(LABEL, decision) from decision
        if not right:
            self.finder.distrust(item, theirs)
        return right

    async def take_back(self, answer: JsonObject, access: Access) -> None:
        """Undo what a call did to another item: its mark by the id, its resume point by the id that it got."""
        try:
            if play := row_id(answer):
                await self.remove(play, access)
            elif answer.get("action") == "pause":
                await self.remove_resume_point(parse_item(answer), access)
        except Undelivered as decision:
            raise unsettled_retry(LABEL, decision) from decision

    async def remove_resume_point(self, theirs: TraktItem, access: Access) -> None:
        for row in await self.rows("/sync/playback", {}, access):
            if parse_item(row).ids.agrees(theirs.ids) and (point := row_id(row)):
                self.accept(await self.ask(access, "DELETE", f"/sync/playback/{point}"))
                return

    # The watched mark

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        self.require_single(delivery.item)
        if delivery.late:
            return await self.send_alone(delivery, access)
        if delivery.unsure:
            rows = await self.plays.find_rows([delivery], access)
            if (done := await self.plays.find_viewing(delivery, rows, access)) is not None:
                return done
        return await self.scrobble("stop", "scrobble", delivery, mark_progress(delivery.progress), access)

    async def resolve_conflict(self, delivery: Delivery, answer: JsonObject, access: Access) -> Done:
        """The outcome of a 409: this viewing is there already, or an earlier one keeps Trakt from taking another.

        An earlier one holds for as long as Trakt says; then this viewing is sent with its own date.
        """
        rows = await self.plays.find_rows([delivery], access)
        mine = await self.plays.rows_of(delivery.item, rows, access)
        there = nearest(
            delivery, [row for row in mine if is_fitting(delivery, as_time(row.get("watched_at")))]
        )
        if there is not None:
            return existing_play(there, ours=delivery.unsure)
        since = earliest_mark(delivery)
        earlier = as_time(answer.get("watched_at")) or max(
            (at for row in mine if (at := as_time(row.get("watched_at"))) and at < since), default=None
        )
        if earlier is None or earlier >= since:
            return existing_play(answer)
        raise self.postpone(delivery, earlier, as_time(answer.get("expires_at")), iso)

    async def unmark(self, delivery: Delivery, access: Access) -> Done:
        """Takes away the one play that we made, by its id, never others of the same item."""
        play = as_int(delivery.remote_id) or await self.plays.find_play(delivery, access)
        gone = not play or not await self.remove(play, access)
        return Done(answer=GONE if gone else "removed", remote_id=delivery.remote_id)

    # What the account holds

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """The history, the newest play first."""
        params = {} if since is None else {"start_at": iso(midnight(since))}
        async for rows in self.pages("/sync/history", params, access, MAX_PAGE_SIZE):
            for row in rows:
                viewing = parse_viewing(row)
                if viewing is not None and is_since(viewing.at, since):
                    yield viewing

    # The sign-in

    async def check(self, access: Access) -> str:
        response = await self.ask(access, "GET", "/users/settings")
        user = self.accept_object(response, "user")["user"]
        return str(child(user, "ids").get("slug") or user.get("username") or "?")
