"""Simkl: https://api.simkl.org and https://simkl.docs.apiary.io, apps at https://simkl.com/settings/developer/.

`payloads` has the requests, `responses` the answers. A status that is no success means, in short:

| status | outcome |
|---|---|
| 401, 403 | parked: signed out, the app is gone |
| 412 | snoozed for an hour: the client id, or the app's limit of calls |
| 404, or a 201 without Simkl's id | the next form of the item, at the end unmatched |
| 409 | done, or a retry after the hour in which Simkl takes no second scrobble |
| 400 `RATE_LIMIT` | snoozed for seconds: another scrobble of this person is in hand |
| 429 | snoozed for its Retry-After, else for 1, 2, 4, … seconds |
| 400, 402, 403, 422, 426 to a rewatch | sent again as a plain mark |
| other 4xx | dead |
| 5xx, 408, 425 | tried again |
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta

import httpx
from pydantic import Field

from webhook.client import excerpt, version
from webhook.domain.event import Episode, Item, Kind
from webhook.domain.outcome import Done, Snooze, Undelivered, Unmatched
from webhook.domain.retry import retry_after, word
from webhook.settings import Address
from webhook.trackers import Access, Delivery, Tokens, WatchedItem
from webhook.trackers._base import TrackerSettings, WritesPerSecond
from webhook.trackers._facts import Anime, Cost, Dates, Facts, Rewatches
from webhook.trackers._json import JsonObject, as_time, child, expect_object, parse_object
from webhook.trackers._matching import Match
from webhook.trackers._refusals import snooze_for, unsettled_retry
from webhook.trackers._scrobbler import Verb, mark_progress, no_match
from webhook.trackers._viewings import earliest_mark, is_since
from webhook.trackers.simkl.lists import AccountLists
from webhook.trackers.simkl.matching import is_same, match_answer
from webhook.trackers.simkl.oauth import APP_REFUSED
from webhook.trackers.simkl.payloads import (
    LABEL,
    Entry,
    entry_of_episode,
    is_surest_by_date,
    iso,
    scrobble_forms,
    usable_ids,
)
from webhook.trackers.simkl.responses import (
    answer_item,
    answer_place,
    describe,
    existing_mark,
    id_text,
    parse_scrobble,
    search_hits,
)
from webhook.trackers.simkl.search import Finder
from webhook.trackers.simkl.watchlist import SimklWatchlist

PURPOSE = "Shows what you are watching now, and keeps films, episodes and anime with the time you watched them. Free."
NOTE = "Keeps what is watched again as a viewing of its own only for PRO and VIP members; for others the date moves on."
SETUP: tuple[str, ...] = (
    "Open https://simkl.com/settings/developer/ and make an app. It is free, and nobody has to approve it.",
    "Copy the app's client id into the field below, and save. There is no secret to copy.",
    "Then sign in: a code appears here, to be typed in at https://simkl.com/pin",
)
LOCK_PAUSE = timedelta(seconds=3)
"""Simkl works on one scrobble of a person at a time; another one is in hand for seconds."""

FIRST_REST = timedelta(seconds=1)
"""The first rest on a 429: Simkl does not say how long to wait, and asks for 1, 2, 4 and so on up to 60 seconds."""


class Settings(TrackerSettings):
    client_id: str = Field(description="Client id of your API app at Simkl (free, without approval)")
    api_url: Address = Field(default="https://api.simkl.com", description="Address of Simkl's API")
    writes_per_second: WritesPerSecond = 1.0


def build(settings: Settings, http: httpx.AsyncClient) -> Simkl:
    return Simkl(settings, http)


class Simkl(SimklWatchlist):
    """Scrobbles live; late marks go into the history with their date, a hundred at a time."""

    name = "simkl"
    label = LABEL
    facts = Facts(Cost.FREE, Dates.LAST, Rewatches.PAID, Anime.ENTRIES, NOTE)
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE, Kind.SHOW})  # a show is only ever rated
    one_mark = True
    batch = 100
    statuses = {412: snooze_for(timedelta(hours=1), APP_REFUSED)}

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        super().__init__(http, settings.api_url, settings.writes_per_second)
        self.client_id = settings.client_id
        self.finder = Finder(self.search)
        self.lists = AccountLists(self)

    # What is on now

    async def resume_point(self, item: Item, access: Access) -> float | None:
        scrobble_forms(item)
        path = f"/sync/playback/{item.kind}s"
        for row in search_hits(self.accept(await self.ask(access, "GET", path))):
            episode = child(row, "episode")
            numbered = {**episode, "number": episode.get("number", episode.get("episode"))}
            body = {**row, "episode": numbered} if episode else row
            if is_same(item, body) and isinstance(row.get("progress"), int | float):
                return float(row["progress"])
        return None

    async def scrobble(
        self, verb: Verb, wanted: str, delivery: Delivery, progress: float, access: Access
    ) -> Done:
        """Send the item in the first form by which Simkl finds this very item."""
        self.require_single(delivery.item)
        scrobble_forms(delivery.item)  # what has none needs no look
        wrong: list[str] = []
        response: httpx.Response | None = None
        for form in scrobble_forms(await self.finder.drop_wrong_ids(delivery.item)):
            body = {"progress": progress, **form}
            response = await self.ask(access, "POST", f"/scrobble/{verb}", json=body)
            if response.status_code == 409:
                return self.resolve_conflict(delivery, parse_object(response))
            if response.status_code == 404:
                continue
            answer = self.accept_object(response)
            if not answer_item(answer):
                continue
            if await self.is_right(delivery.item, answer):
                return parse_scrobble(wanted, answer, response)
            wrong.append(describe(answer))
            await self.take_back(answer, access)
        raise no_match(LABEL, delivery.item, wrong, None if response is None else excerpt(response))

    async def is_right(self, item: Item, answer: JsonObject) -> bool:
        """True if the recorded item is this one."""
        matched = match_answer(item, answer)
        if matched is not Match.OPEN:
            return matched is Match.RIGHT
        try:
            return await self.finder.is_known_as(item, answer_item(answer))
        except Undelivered as decision:
            raise unsettled_retry(LABEL, decision) from decision

    async def take_back(self, answer: JsonObject, access: Access) -> None:
        """Undo what a call did to another item: its one mark, or its resume point by the id that it got."""
        action, handle = answer.get("action"), id_text(answer.get("id"))
        try:
            if action == "pause" and handle:
                response = await self.ask(access, "DELETE", f"/sync/playback/{handle}")
                if response.status_code != 404:
                    self.accept(response)
            elif action == "scrobble":
                await self.remove(entry_of_answer(answer), access)
        except Undelivered as decision:
            raise unsettled_retry(LABEL, decision) from decision

    # The watched mark

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        """As a scrobble; by date where it is late or a rewatch, or where the episode's own id says most.

        A scrobble within the hour is a 409, and the history keeps one play per item, so that neither is counted
        twice. A rewatch would replace that play's date, but for a call that says that it is another.
        """
        self.require_single(delivery.item)
        if delivery.late or delivery.rewatch or is_surest_by_date(delivery.item):
            return await self.send_alone(delivery, access)
        try:
            return await self.scrobble("stop", "scrobble", delivery, mark_progress(delivery.progress), access)
        except Unmatched:
            if not (isinstance(delivery.item, Episode) and usable_ids(Kind.EPISODE, delivery.item.ids)):
                raise
        return await self.send_alone(delivery, access)

    def resolve_conflict(self, delivery: Delivery, answer: JsonObject) -> Done:
        """The outcome of a 409: this viewing is there already, or an earlier one keeps Simkl from taking another.

        An earlier one holds for as long as Simkl says; then this viewing is sent with its own date.
        """
        earlier = as_time(answer.get("watched_at"))
        if not delivery.mark or earlier is None or earlier >= earliest_mark(delivery):
            return existing_mark(answer, ours=delivery.unsure)
        raise self.postpone(delivery, earlier, as_time(answer.get("expires_at")), iso)

    # What the account holds

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """The films, the episodes of shows and those of anime; Simkl keeps one play of each."""
        async for viewing in self.lists.read(access, since):
            if is_since(viewing.at, since):
                yield viewing

    # Calls

    async def search(self, path: str, params: Mapping[str, str]) -> list[JsonObject]:
        return search_hits(self.accept(await self.call("GET", path, params=params)))

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        signed = {"Authorization": f"Bearer {tokens.get('access_token', '')}"} if tokens else {}
        return {"simkl-api-key": self.client_id, **signed}

    def sign_address(self, tokens: Tokens) -> Mapping[str, str]:
        """The app and its version, which Simkl wants to see on every address."""
        return {"client_id": self.client_id, "app-name": "watchmark", "app-version": version()}

    def refuse(self, response: httpx.Response) -> Undelivered:
        status, answer = response.status_code, excerpt(response)
        if status == 400 and parse_object(response).get("error") == "RATE_LIMIT":
            # The lock is this person's only: the service is fine, and other people do not wait.
            return Snooze(
                f"{LABEL} is still at another scrobble of this person", answer=answer, after=LOCK_PAUSE
            )
        if status == 429 and retry_after(response.headers) is None:
            reason = f"{LABEL} answered 429: {word(429)}"
            return Snooze(reason, answer=answer, after=FIRST_REST, lengthens=True)
        return super().refuse(response)

    async def check(self, access: Access) -> str:
        response = self.accept(await self.ask(access, "POST", "/users/settings"))
        return str(child(expect_object(LABEL, response, "user"), "user").get("name") or "?")


def entry_of_answer(answer: JsonObject) -> Entry:
    """The item that an answer names, as a sync call takes it."""
    ids = {"simkl": int(id_text(child(answer_item(answer), "ids").get("simkl")) or 0)}
    season, number = answer_place(answer)
    if season is None or number is None:
        return Entry("movies", {"ids": ids})
    return entry_of_episode(ids, season, number)
