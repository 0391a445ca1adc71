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
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

import httpx
from pydantic import Field, SecretStr

from webhook.client import excerpt
from webhook.domain.event import Action, Item, Kind
from webhook.domain.outcome import Dead, Done, Retry, Undelivered, Unmatched
from webhook.domain.retry import UNSURE_PAUSE
from webhook.settings import Address
from webhook.trackers import Access, Delivery, WatchedItem
from webhook.trackers._base import Outcome, TrackerSettings, WritesPerSecond
from webhook.trackers._json import JsonObject, as_int, as_time, child, expect_object, parse_object, total
from webhook.trackers._refusals import unsettled_retry
from webhook.trackers._scrobbler import (
    MIN_PROGRESS,
    PendingMark,
    Scrobbler,
    Verb,
    collect_outcomes,
    mark_progress,
    no_match,
)
from webhook.trackers._viewings import earliest_mark, is_since, is_undated
from webhook.trackers.trakt.api import MAX_PAGE_SIZE, Api
from webhook.trackers.trakt.history import History, ids_of, is_fitting, is_sent_time, nearest
from webhook.trackers.trakt.matching import is_related
from webhook.trackers.trakt.payloads import LABEL, iso, merge_bodies, midnight, sync_entry, watched_at
from webhook.trackers.trakt.responses import (
    TraktItem,
    added_mark,
    count_misses,
    existing_play,
    parse_item,
    parse_scrobble,
    parse_viewing,
    row_id,
)
from webhook.trackers.trakt.search import Finder

log = logging.getLogger(__name__)

PURPOSE = "Shows what you are watching now, and keeps films and episodes with the time you watched them."
SETUP: tuple[str, ...] = (
    "Since 30 July 2026 only VIP members can make an API app at Trakt, and the apps of free accounts were deleted. Without VIP: Simkl keeps the same, and is free.",
    "As a VIP member open https://app.trakt.tv/settings/apps/api and make a new app; any name will do.",
    "As its redirect URI enter urn:ietf:wg:oauth:2.0:oob",
    "Copy the app's client id and client secret into the fields below, and save.",
    "Then sign in: a code appears here, to be typed in at Trakt. A free account can be connected to one app only (VIP: 50); signing in here may sign another app out.",
)
REFUSED_PAUSE = frozenset({405, 422})
"""The statuses by which Trakt refuses the call for a pause, beside the 404 that it has for unknown items too."""

GONE = "it was gone already"


class Settings(TrackerSettings):
    client_id: str = Field(description="Client id of your API app at Trakt (making one needs VIP)")
    client_secret: SecretStr = Field(description="Client secret of the same app")
    api_url: Address = Field(default="https://api.trakt.tv", description="Where Trakt's API is")
    auth_url: Address = Field(default="https://auth.trakt.tv", description="Where Trakt's sign-in is")
    writes_per_second: WritesPerSecond = 1.0
    pause: Literal["pause", "stop"] = Field(
        default="pause", description="The call that tells a pause: pause or stop"
    )


def build(settings: Settings, http: httpx.AsyncClient) -> Trakt:
    return Trakt(settings, http)


class PauseRefused(Exception):
    """Trakt refuses the call for a pause itself, for any item."""


class Trakt(Api, Scrobbler):
    """Scrobbles live; late marks go into the history with their date.

    The item that an answer names is compared with the one that was meant (`matching`): a mark of another item is
    taken back by its id, and the next form of the item is tried.
    """

    name = "trakt"
    label = LABEL
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE, Kind.SHOW, Kind.SEASON})
    actions: ClassVar[Mapping[Action, str]] = {**Scrobbler.actions, Action.ADD: "add"}
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
            answer = expect_object(LABEL, self.accept(response))
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
        there = nearest(delivery, [row for row in mine if is_fitting(delivery, row)])
        if there is not None:
            return existing_play(there, ours=delivery.unsure)
        since = earliest_mark(delivery)
        earlier = as_time(answer.get("watched_at")) or max(
            (at for row in mine if (at := as_time(row.get("watched_at"))) and at < since), default=None
        )
        if earlier is None or earlier >= since:
            return existing_play(answer)
        raise self.postpone(delivery, earlier, as_time(answer.get("expires_at")), iso)

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        """Send marks in one call, each with its own date, after one look at the history.

        What Trakt did not find, or found another item for, is sent again in its next form, together.
        """
        rows = await self.plays.find_rows(deliveries, access)
        marks = [self.begin_mark(delivery, access) for delivery in deliveries]
        for mark in marks:
            await mark.decide(self.find_single(mark.delivery, rows, access))
        seen = ids_of(rows)
        while waiting := [mark for mark in marks if mark.outcome is None and await mark.next_form()]:
            seen |= await self.send_round(waiting, seen, access)
        return collect_outcomes(marks)

    async def find_single(
        self, delivery: Delivery, rows: Sequence[JsonObject], access: Access
    ) -> Done | None:
        self.require_single(delivery.item)
        return await self.plays.find_viewing(delivery, rows, access)

    def begin_mark(self, delivery: Delivery, access: Access) -> PendingMark[JsonObject]:
        """The mark, in the forms in which it is sent.

        A wrong mark without a date cannot be told from one that was there before: so an id is looked up first,
        and the place in the show, which many episodes have in common, saves most of these looks.
        """
        undated = is_undated(delivery)
        forms = self.finder.forms(delivery.item, access, checked=undated, by_place=undated)
        return PendingMark(LABEL, delivery, forms)

    async def send_round(
        self, marks: Sequence[PendingMark[JsonObject]], seen: set[Any], access: Access
    ) -> set[Any]:
        """Send the marks in the forms they have come to; the ids of the history rows that were read after that."""
        body = merge_bodies(
            [sync_entry(mark.current, {"watched_at": watched_at(mark.delivery)}) for mark in marks]
        )
        try:
            response = await self.ask(access, "POST", "/sync/history", json=body)
            answer = expect_object(LABEL, self.accept(response), "added")
            lost = max(count_misses(answer), len(marks) - total(answer, "added"), 0)
            return await self.read_back(marks, lost, seen, access)
        except Dead as refusal:
            if len(marks) == 1:
                marks[0].outcome = refusal
                return set()
        except Undelivered as decision:
            for mark in marks:
                mark.outcome = mark.outcome or decision
            return set()
        middle = len(marks) // 2  # one of them may be to blame
        read = await self.send_round(marks[:middle], seen, access)
        return read | await self.send_round(marks[middle:], seen | read, access)

    async def read_back(
        self, marks: Sequence[PendingMark[JsonObject]], lost: int, seen: set[Any], access: Access
    ) -> set[Any]:
        """Compare what is new in the history with the marks just sent, `lost` of which Trakt did not find."""
        alone = len(marks) == 1
        try:
            rows = await self.plays.find_rows([mark.delivery for mark in marks], access)
            new = [row for row in rows if row.get("id") not in seen]
            open_marks = [mark for mark in marks if not await self.settle(mark, new, access, alone=alone)]
        except Undelivered as decision:
            raise unsettled_retry(LABEL, decision) from decision
        for mark in open_marks:
            if not lost:  # it was counted, and may be listed later
                mark.outcome = added_mark(mark.delivery, None)
            elif len(open_marks) > lost:
                reason = f"{LABEL} took more than its history shows, and which is not known"
                mark.outcome = Retry(reason, after=UNSURE_PAUSE, unsure=True, lane=False)
        return ids_of(rows)

    async def settle(
        self, mark: PendingMark[JsonObject], new: Sequence[JsonObject], access: Access, *, alone: bool
    ) -> bool:
        """True if a new row shows what became of the mark; one of another item is taken back."""
        item = mark.delivery.item
        sent = [row for row in new if is_sent_time(mark.delivery, row)]
        for row in sent:
            if await self.plays.is_of(item, row, access):
                mark.outcome = added_mark(mark.delivery, row)
                return True
        wrong = sent if alone else [row for row in sent if is_related(item, parse_item(row))]
        for row in wrong:
            theirs = parse_item(row)
            self.finder.distrust(item, theirs)
            mark.wrong.append(theirs)
            await self.remove(row_id(row), access)
        return bool(wrong)

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

    # Ratings and the collection

    async def rate(self, delivery: Delivery, access: Access) -> Done:
        fields = {"rating": self.require_rating(delivery.rating), "rated_at": iso(delivery.at)}
        return await self.sync("/sync/ratings", delivery.item, fields, access)

    async def unrate(self, delivery: Delivery, access: Access) -> Done:
        return await self.sync("/sync/ratings/remove", delivery.item, {}, access, gives="deleted")

    async def add(self, delivery: Delivery, access: Access) -> Done:
        fields = {"collected_at": iso(delivery.at)}
        return await self.sync("/sync/collection", delivery.item, fields, access)

    async def sync(
        self, path: str, item: Item, fields: JsonObject, access: Access, *, gives: str = "added"
    ) -> Done:
        """Set these fields of one item, in the first form of it that Trakt finds.

        The answer does not name the item: so its own ids are looked up before they are sent.
        """
        answer: str | None = None
        async for form in self.finder.forms(item, access, checked=True):
            response = self.accept(await self.ask(access, "POST", path, json=sync_entry(form, fields)))
            body, answer = expect_object(LABEL, response, gives), excerpt(response)
            if total(body, gives):
                return Done(answer=gives)
            if total(body, "existing") or total(body, "updated"):
                return Done(answer="already there")
            if gives == "deleted" and not count_misses(body):
                return Done(answer=GONE)
        raise Unmatched(f"{LABEL} does not know this {item.kind}", answer=answer)

    # The sign-in

    async def check(self, access: Access) -> str:
        response = await self.ask(access, "GET", "/users/settings")
        user = expect_object(LABEL, self.accept(response), "user")["user"]
        return str(child(user, "ids").get("slug") or user.get("username") or "?")
