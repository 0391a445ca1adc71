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

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast

import httpx
from pydantic import Field

from webhook import clock
from webhook.client import excerpt, version
from webhook.domain.event import Episode, Item, Kind
from webhook.domain.items import keys, same_item
from webhook.domain.outcome import Dead, Done, Snooze, Undelivered, Unmatched
from webhook.domain.retry import retry_after, word
from webhook.settings import Address
from webhook.trackers import Access, Delivery, Tokens, WatchedItem
from webhook.trackers._base import Outcome, TrackerSettings, WritesPerSecond
from webhook.trackers._json import JsonObject, as_time, child, expect_object, parse_object, total
from webhook.trackers._matching import Match
from webhook.trackers._refusals import snooze_for, unsettled_retry
from webhook.trackers._scrobbler import (
    PendingMark,
    Scrobbler,
    Verb,
    collect_outcomes,
    mark_progress,
    no_match,
)
from webhook.trackers._viewings import SAME_VIEWING, earliest_mark, is_since, is_undated
from webhook.trackers.simkl.lists import AccountLists
from webhook.trackers.simkl.marks import SimklMark, SyncResult, is_by_own_id, is_comparable
from webhook.trackers.simkl.matching import is_same, match_answer, match_list_item
from webhook.trackers.simkl.oauth import APP_REFUSED, PinSignIn
from webhook.trackers.simkl.payloads import (
    LABEL,
    Entry,
    entry_of_episode,
    is_surest_by_date,
    iso,
    merge_bodies,
    require_ratable,
    scrobble_forms,
    sync_entries,
    usable_ids,
    watched_at,
)
from webhook.trackers.simkl.responses import (
    BY_ITEM,
    answer_item,
    answer_place,
    describe,
    existing_mark,
    id_text,
    lost_entries,
    parse_scrobble,
    search_hits,
)
from webhook.trackers.simkl.search import Finder

PURPOSE = "Shows what you are watching now, and keeps films, episodes and anime with the time you watched them. Free."
SETUP: tuple[str, ...] = (
    "Open https://simkl.com/settings/developer/ and make an app. It is free, and nobody has to approve it.",
    "Copy the app's client id into the field below, and save. There is no secret to copy.",
    "Then sign in: a code appears here, to be typed in at https://simkl.com/pin",
)
LOCK_PAUSE = timedelta(seconds=3)
"""Simkl works on one scrobble of a person at a time; another one is in hand for seconds."""

FIRST_REST = timedelta(seconds=1)
"""The first rest on a 429: Simkl does not say how long to wait, and asks for 1, 2, 4 and so on up to 60 seconds."""

CHANGED_WITHIN = timedelta(days=1)
"""The time back from now within which a call's changes are looked for: clocks differ."""

REFUSES_REWATCH = frozenset({400, 402, 403, 422, 426})
"""The statuses by which a rewatch may be refused to who does not pay for it; the contract does not say."""


class Settings(TrackerSettings):
    client_id: str = Field(description="Client id of your API app at Simkl (free, without approval)")
    api_url: Address = Field(default="https://api.simkl.com", description="Where Simkl's API is")
    writes_per_second: WritesPerSecond = 1.0


def build(settings: Settings, http: httpx.AsyncClient) -> Simkl:
    return Simkl(settings, http)


class Simkl(PinSignIn, Scrobbler):
    """Scrobbles live; late marks go into the history with their date, a hundred at a time."""

    name = "simkl"
    label = LABEL
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE, Kind.SHOW})  # a show is only ever rated
    one_mark = True
    batch = 100
    statuses = {412: snooze_for(timedelta(hours=1), APP_REFUSED)}  # noqa: RUF012 - as in the base class

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
            answer = expect_object(LABEL, self.accept(response))
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

    async def remove(self, entry: Entry, access: Access) -> None:
        self.accept(await self.ask(access, "POST", "/sync/history/remove", json=merge_bodies([entry])))

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

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        """Marks put into the history under their own dates; one not found is sent again in its next form."""
        marks = [PendingMark(LABEL, delivery, self.entries(delivery)) for delivery in deliveries]
        for mark in marks:
            await mark.decide(self.find_viewing(mark.delivery, access))
        for again in (False, True):
            mine = [mark for mark in marks if mark.delivery.rewatch is again]
            while waiting := [mark for mark in mine if mark.outcome is None and await mark.next_form()]:
                await self.send_round(waiting, access, again=again)
        return collect_outcomes(marks)

    async def entries(self, delivery: Delivery) -> AsyncIterator[Entry]:
        """The mark in every form that a sync call takes, the surest first.

        An own id of an episode cannot be looked up before, and a mark without a date not found again after: so
        such a mark goes by the id only where nothing else is known of it.
        """
        item, fields = delivery.item, {"watched_at": watched_at(delivery)}
        self.require_single(item)
        sync_entries(item, fields)  # what has none needs no look
        for entry in sync_entries(await self.finder.drop_wrong_ids(item), fields):
            own = entry.group == "episodes" and isinstance(item, Episode)
            if not (own and is_undated(delivery) and is_comparable(cast(Episode, item))):
                yield entry

    async def find_viewing(self, delivery: Delivery, access: Access) -> Done | None:
        """The viewing, where it is there and would be replaced, or counted twice, by one more call."""
        item = delivery.item
        self.require_single(item)
        if is_undated(delivery):
            if any(shares_key(item, listed.item) for listed in await self.lists.all(access)):
                return Done(answer="already there", remote_id=BY_ITEM if delivery.unsure else None)
        elif delivery.rewatch and delivery.unsure:
            since, until = earliest_mark(delivery), delivery.at + SAME_VIEWING
            listed = await self.lists.changes(access, since)
            times = [one.at for one in listed if shares_key(item, one.item)]
            if any(at and since <= at <= until for at in times):
                return Done(answer=f"already there, watched at {iso(delivery.at)}", remote_id=BY_ITEM)
        return None

    async def send_round(self, marks: Sequence[SimklMark], access: Access, *, again: bool) -> None:
        """Send the marks in the forms they have come to. One that names a thing that was not found, and not
        whose, or that is refused for one of them, is sent in halves."""
        try:
            response = await self.write([mark.current for mark in marks], access, again=again)
            result = SyncResult.read(response)
        except Dead as refusal:
            if len(marks) == 1:
                marks[0].outcome = refusal
                return
        except Undelivered as decision:
            for mark in marks:
                mark.outcome = decision
            return
        else:
            if len(marks) == 1 or not result.has_strays([mark.current for mark in marks]):
                await self.settle(marks, result, access)
                return
        middle = len(marks) // 2
        await self.send_round(marks[:middle], access, again=again)
        await self.send_round(marks[middle:], access, again=again)

    async def write(self, entries: Sequence[Entry], access: Access, *, again: bool) -> httpx.Response:
        """The answer to the marks. Rewatches are for paying members: for others it is sent as a plain mark, which sets a new date."""
        body = merge_bodies(entries)
        if again:
            rewatch = {"allow_rewatch": "yes"}
            response = await self.ask(access, "POST", "/sync/history", json=body, params=rewatch)
            if response.status_code not in REFUSES_REWATCH:
                return self.accept(response)
        return self.accept(await self.ask(access, "POST", "/sync/history", json=body))

    async def settle(self, marks: Sequence[SimklMark], result: SyncResult, access: Access) -> None:
        """Decide each mark; one by an episode's own id is looked up, since the answer does not say which it is."""
        taken: list[SimklMark] = []
        for mark in marks:
            mine = result if len(marks) > 1 else result.narrow_to(mark.current)
            mark.answer = excerpt(result.response)
            if mine.has(mark.current, unsure=mark.delivery.unsure):
                taken.append(mark)
        try:
            astray = await self.take_back_strays([mark for mark in taken if is_by_own_id(mark)], access)
        except Undelivered as decision:
            for mark in taken:
                mark.outcome = unsettled_retry(LABEL, decision)
            return
        for mark in taken:
            if id(mark) not in astray:
                what = "added" if result.some else "already there"
                mark.outcome = Done(
                    answer=f"{what}, watched at {watched_at(mark.delivery)}", remote_id=BY_ITEM
                )
                self.lists.remember(mark.delivery, access)

    async def take_back_strays(self, marks: Sequence[SimklMark], access: Access) -> set[int]:
        """Of the marks by an own id those that marked another episode, which is taken back."""
        if not marks:
            return set()
        changed = await self.lists.changes(access, clock.now() - CHANGED_WITHIN)
        found: set[int] = set()
        for mark in marks:
            item = cast(Episode, mark.delivery.item)
            sent = [one for one in changed if one.at == as_time(watched_at(mark.delivery))]
            if not sent or any([await self.is_listed(item, one) for one in sent]):
                continue
            others = [one for one in sent if not any(
                match_list_item(cast(Episode, other.delivery.item), one) is Match.RIGHT
                for other in marks if other is not mark
            )]  # fmt: skip
            for one in others[:1]:
                theirs = cast(Episode, one.item)
                ids = usable_ids(Kind.SHOW, theirs.show_ids)
                await self.remove(entry_of_episode(ids, theirs.season, theirs.number), access)
                mark.wrong.append(
                    f"{theirs.show} {theirs.season}x{theirs.number or 0:02} {theirs.title or ''}".strip()
                )
                found.add(id(mark))
        return found

    async def is_listed(self, item: Episode, listed: WatchedItem) -> bool:
        matched = match_list_item(item, listed)
        if matched is not Match.OPEN:
            return matched is Match.RIGHT
        theirs = cast(Episode, listed.item)
        return await self.finder.is_known_as(item, {"ids": theirs.show_ids.by_namespace()})

    async def unmark(self, delivery: Delivery, access: Access) -> Done:
        """Takes away the one play of this film or episode, if we made it; never a whole show."""
        self.require_single(delivery.item)
        if not delivery.remote_id:
            raise Dead(f"Nothing of ours to undo: {LABEL} had this mark already, or never took it")
        return await self.take_out("/sync/history/remove", delivery.item, delivery.remote_id, access)

    # What the account holds

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """The films, the episodes of shows and those of anime; Simkl keeps one play of each."""
        async for viewing in self.lists.read(access, since):
            if is_since(viewing.at, since):
                yield viewing

    # Ratings

    async def rate(self, delivery: Delivery, access: Access) -> Done:
        require_ratable(delivery.item)
        fields = {"rating": self.require_rating(delivery.rating), "rated_at": iso(delivery.at)}
        for entry in sync_entries(await self.finder.drop_wrong_ids(delivery.item), fields):
            body = merge_bodies([entry])
            response = self.accept(await self.ask(access, "POST", "/sync/ratings", json=body))
            result = SyncResult.read(response)
            if result.some and not result.lost:
                return Done(answer=f"rated {delivery.rating}")
        raise no_match(LABEL, delivery.item, (), excerpt(response))

    async def unrate(self, delivery: Delivery, access: Access) -> Done:
        require_ratable(delivery.item)
        return await self.take_out("/sync/ratings/remove", delivery.item, None, access)

    async def take_out(self, path: str, item: Item, handle: str | None, access: Access) -> Done:
        for entry in sync_entries(item, {}):
            response = self.accept(await self.ask(access, "POST", path, json=merge_bodies([entry])))
            body = expect_object(LABEL, response, "deleted")
            if total(body, "deleted"):
                return Done(answer="removed", remote_id=handle)
            if not lost_entries(body):
                return Done(answer="it was gone already", remote_id=handle)
        raise no_match(LABEL, item, (), excerpt(response))

    # Calls

    async def search(self, path: str, params: Mapping[str, str]) -> list[JsonObject]:
        return search_hits(self.accept(await self.call("GET", path, params=params)))

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        signed = {"Authorization": f"Bearer {tokens.get('access_token', '')}"} if tokens else {}
        return {"simkl-api-key": self.client_id, **signed}

    def identify_app(self) -> Mapping[str, str]:
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


def shares_key(item: Item, theirs: Item) -> bool:
    """True if an item that the account holds is ours: something that both know is the same."""
    return bool(set(keys(item)) & set(keys(theirs))) and same_item(item, theirs)


def entry_of_answer(answer: JsonObject) -> Entry:
    """The item that an answer names, as a sync call takes it."""
    ids = {"simkl": int(id_text(child(answer_item(answer), "ids").get("simkl")) or 0)}
    season, number = answer_place(answer)
    if season is None or number is None:
        return Entry("movies", {"ids": ids})
    return entry_of_episode(ids, season, number)
