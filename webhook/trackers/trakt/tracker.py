"""Trakt: https://docs.trakt.tv, sign-in at https://auth.trakt.tv."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, cast

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from webhook.client import accept, shown
from webhook.domain.event import Action, Episode, Item, Kind, Movie
from webhook.domain.outcome import Dead, Done, Retry, Skip, Undelivered, Unmatched
from webhook.domain.play import Dated
from webhook.domain.retry import GATEWAY, LIVE
from webhook.settings import Address
from webhook.trackers import Access, Delivery, SignIn, WatchedItem
from webhook.trackers._shared import Json, begins, counted, inner, inner_json, moment, recent, unsettled
from webhook.trackers.trakt.api import LARGEST_PAGE, Calls
from webhook.trackers.trakt.history import (
    CLOSE,
    UNKNOWN,
    distance,
    fits,
    is_sent,
    is_undated,
    iso,
    midnight,
    nearest,
    watched_at,
    whole_days,
)
from webhook.trackers.trakt.matching import Known, Match, is_related, known, match, note_of, placed_alike
from webhook.trackers.trakt.oauth import Device
from webhook.trackers.trakt.payloads import entry, gathered, single
from webhook.trackers.trakt.responses import LABEL, missing, number, remote, shaped, whole
from webhook.trackers.trakt.search import Finder

log = logging.getLogger(__name__)

Verb = Literal["start", "pause", "stop"]

FOR = "Shows what you are watching now, and keeps films and episodes with the time you watched them."
SETUP: tuple[str, ...] = (
    "Since 30 July 2026 only VIP members can make an API app at Trakt, and the apps of free accounts were deleted. Without VIP: Simkl keeps the same, and is free.",
    "As a VIP member open https://app.trakt.tv/settings/apps/api and make a new app; any name will do.",
    "As its redirect URI enter urn:ietf:wg:oauth:2.0:oob",
    "Copy the app's client id and client secret into the fields below, and save.",
    "Then sign in: a code appears here, to be typed in at Trakt. A free account can be connected to one app only (VIP: 50); signing in here may sign another app out.",
)
LEAST = 1.0
"""Below 1 % Trakt keeps nothing: it is the beginning, or not known at all."""

BELOW = 79.9
"""The most that is sent of a pause: from 80 % on it counts as watched."""

MARKED = 80.1
"""The least progress that marks; exactly 80 is read both ways."""

FINISHED = 90.0
"""What a mark without known progress is sent as."""

WINDOW = timedelta(hours=1)
"""For how long Trakt takes no second scrobble of an item, where it does not say."""

NOT_OFFERED = frozenset({405, 422})
"""How Trakt refuses the call for a pause, beside the 404 that it has for unknown items too."""

GONE = "it was gone already"
UNCOUNTED = ("start", "pause")


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    client_id: str = Field(description="Client id of your API app at Trakt (making one needs VIP)")
    client_secret: SecretStr = Field(description="Client secret of the same app")
    api_url: Address = Field(default="https://api.trakt.tv", description="Where Trakt's API is")
    auth_url: Address = Field(default="https://auth.trakt.tv", description="Where Trakt's sign-in is")
    writes_per_second: float = Field(
        default=1.0, ge=0, description="Most writes a second per account; 0 is no pacing"
    )
    pause: Literal["pause", "stop"] = Field(
        default="pause", description="The call that tells a pause: pause or stop"
    )


def build(settings: Settings, http: httpx.AsyncClient) -> Trakt:
    return Trakt(settings, http)


class NotOffered(Exception):
    """Trakt refuses the call itself, whatever item it is about."""


class Trakt(Device):
    """Scrobbles live; what is late goes into the history with its date.

    What an answer names is compared with what was meant (`matching`): a mark of another item is taken back by
    its id, and the next form of the item is tried.
    """

    name = "trakt"
    label = LABEL
    sign_in: SignIn = "device"
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE, Kind.SHOW, Kind.SEASON})
    one_mark = False
    undated = True
    tells = frozenset(
        {
            Action.START,
            Action.PAUSE,
            Action.STOP,
            Action.WATCHED,
            Action.UNWATCHED,
            Action.RATE,
            Action.UNRATE,
            Action.ADD,
        }
    )
    needs: Mapping[Kind, tuple[str, ...]] = {}  # Trakt resolves ids and titles itself
    batch = 50  # no maximum is documented

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        api, auth = settings.api_url.rstrip("/"), settings.auth_url.rstrip("/")
        self.calls = Calls(http, api, auth, settings.client_id, settings.client_secret)
        self.finder = Finder(self.calls)
        self.host = httpx.URL(api).netloc.decode()
        self.writes_per_second = settings.writes_per_second
        self.pauses_by: Verb = settings.pause

    async def send(self, delivery: Delivery, access: Access) -> Done:
        tell = {
            Action.START: self.start,
            Action.PAUSE: self.pause,
            Action.STOP: self.mark if delivery.mark else self.stop,
            Action.WATCHED: self.mark,
            Action.UNWATCHED: self.unmark,
            Action.RATE: self.rate,
            Action.UNRATE: self.unrate,
            Action.ADD: self.add,
        }.get(delivery.action)
        if tell is None:
            raise Dead(f"{LABEL} has no call for {delivery.action}")
        try:
            return await tell(delivery, access)
        except Retry as error:
            error.unsure |= delivery.unsure  # a failed look leaves it as open as it was
            raise

    # What is on now

    async def start(self, delivery: Delivery, access: Access) -> Done:
        """Show it as playing.

        With every start, whatever its progress, Trakt deletes the resume point that it keeps of the item; only
        a pause or a stop with a known position makes it anew. So a start of which the position is not known,
        or is the very beginning, is sent as 0 % where there is no resume point to lose, and else not at all.
        """
        single(delivery.item)
        await self.spare(delivery, access)
        progress = round(min(max(delivery.progress or 0.0, 0.0), 100.0), 2)
        return await self.scrobble("start", "start", delivery, progress, access)

    async def pause(self, delivery: Delivery, access: Access) -> Done:
        """By `/scrobble/pause`; where Trakt refuses that, by `/scrobble/stop`, from then on."""
        if self.pauses_by == "stop":
            return await self.stop(delivery, access)
        progress = await self.paused(delivery, access)
        try:
            return await self.scrobble("pause", "pause", delivery, progress, access)
        except NotOffered:
            done = await self.scrobble("stop", "pause", delivery, progress, access)
        self.pauses_by = "stop"
        log.info("Trakt refuses pauses; they go out as stops", extra={"action": "pause_refused"})
        return done

    async def stop(self, delivery: Delivery, access: Access) -> Done:
        """A stop below the watched mark, which Trakt keeps as a pause."""
        progress = await self.paused(delivery, access)
        return await self.scrobble("stop", "pause", delivery, progress, access)

    async def paused(self, delivery: Delivery, access: Access) -> float:
        """The progress of a pause. Raises Skip where it is not known, or would lose a resume point."""
        single(delivery.item)
        if delivery.progress is None:
            raise Skip("How far it was is not known, so there is nothing to keep")
        await self.spare(delivery, access)
        return round(min(max(delivery.progress, LEAST), BELOW), 2)

    async def spare(self, delivery: Delivery, access: Access) -> None:
        """Raises Skip where this would replace a resume point by one that is further back and not known for sure."""
        progress = delivery.progress or 0.0
        if progress >= LEAST and not delivery.estimated:
            return
        point = await self.resume_point(delivery.item, access)
        if point is not None and point > progress:
            raise Skip(
                f"{LABEL} keeps a resume point of this at {point:g} %, which would be lost: how far it is now "
                "is not known for sure"
            )

    async def resume_point(self, item: Item, access: Access) -> float | None:
        """How far Trakt remembers that this item was watched."""
        for row in await self.calls.rows(f"/sync/playback/{item.kind}s", {}, access):
            if await self.is_of(item, row, access):
                progress = row.get("progress")
                return float(progress) if isinstance(progress, int | float) else None
        return None

    async def scrobble(
        self, verb: Verb, wanted: str, delivery: Delivery, progress: float, access: Access
    ) -> Done:
        """What the first form of the item comes to by which Trakt finds this very item.

        `wanted` is the action that the answer should name. Raises NotOffered where pauses are refused.
        """
        single(delivery.item)
        wrong: list[Known] = []
        async for form in self.finder.forms(delivery.item, access):
            response = await self.calls.ask(
                access, "POST", f"/scrobble/{verb}", json={"progress": progress, **form}
            )
            if response.status_code == 404:
                continue
            if response.status_code == 409:
                return await self.conflict(delivery, inner_json(response), access)
            if verb == "pause" and response.status_code in NOT_OFFERED:
                raise NotOffered
            body = shaped(accept(LABEL, response))
            theirs = known(body)
            if await self.is_right(delivery.item, theirs, access):
                return told(wanted, delivery.item, body, response)
            wrong.append(theirs)
            await self.take_back(body, access)
        if verb == "pause" and not wrong:
            raise NotOffered
        raise unmatched(delivery.item, wrong)

    async def is_right(self, item: Item, theirs: Known, access: Access) -> bool:
        """Whether what was just recorded is this item; what led to another is not sent again."""
        try:
            right = await self.finder.is_meant(item, theirs, access)
        except Undelivered as decision:
            raise unsettled(LABEL, decision) from decision
        if not right:
            self.finder.distrust(item, theirs)
        return right

    async def take_back(self, body: Json, access: Access) -> None:
        """Undo what a call did to another item: its mark by the id, its resume point by the id that it got."""
        try:
            if handle := whole(body.get("id")):
                await self.remove(handle, access)
            elif body.get("action") == "pause":
                await self.forget_pause(known(body), access)
        except Undelivered as decision:
            raise unsettled(LABEL, decision) from decision

    async def forget_pause(self, theirs: Known, access: Access) -> None:
        for row in await self.calls.rows("/sync/playback", {}, access):
            if known(row).ids.agrees(theirs.ids) and (point := whole(row.get("id"))):
                accept(LABEL, await self.calls.ask(access, "DELETE", f"/sync/playback/{point}"))
                return

    # The watched mark

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        single(delivery.item)
        if delivery.late:
            (outcome,) = await self.send_many([delivery], access)
            if isinstance(outcome, Undelivered):
                raise outcome
            return outcome
        if delivery.unsure:
            rows = await self.look([delivery], access)
            if (there := await self.there(delivery, rows, access)) is not None:
                return there
        return await self.scrobble("stop", "scrobble", delivery, marked(delivery.progress), access)

    async def conflict(self, delivery: Delivery, said: Json, access: Access) -> Done:
        """What a 409 means: this viewing is there already, or an earlier one keeps Trakt from taking another.

        An earlier one holds for as long as Trakt says; then this viewing is sent with its own date.
        """
        rows = await self.look([delivery], access)
        mine = [row for row in rows if await self.is_of(delivery.item, row, access)]
        there = nearest(delivery, [row for row in mine if fits(delivery, row)])
        if there is not None:
            return already(there, ours=delivery.unsure)
        earlier = moment(said.get("watched_at")) or max(
            (at for row in mine if (at := moment(row.get("watched_at"))) and at < begins(delivery)),
            default=None,
        )
        if earlier is None or earlier >= begins(delivery):
            return already(said)
        until = moment(said.get("expires_at")) or earlier + WINDOW
        raise Retry(
            f"{LABEL} took a viewing of this at {iso(earlier)} and takes no other so soon; this one is sent "
            f"with its own date after {iso(until)}",
            after=max(until - delivery.at, LIVE) + CLOSE,
            lane=False,
        )

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Done | Undelivered]:
        """Marks in one call, each under its own date, after one look at what is there already.

        What Trakt did not find, or found another item for, is sent again in its next form, together.
        """
        rows = await self.look(deliveries, access)
        marks = [self.begin_mark(delivery, access) for delivery in deliveries]
        for mark in marks:
            await mark.decide(self.there(mark.delivery, rows, access))
        seen = {row.get("id") for row in rows}
        while asked := [mark for mark in marks if mark.outcome is None and await mark.next_form()]:
            seen |= await self.send_round(asked, seen, access)
        outcomes = [mark.settled for mark in marks]
        if len(outcomes) > 1 and all(outcome is outcomes[0] for outcome in outcomes):
            raise cast(Undelivered, outcomes[0])  # it is about the call, and so about all
        return outcomes

    def begin_mark(self, delivery: Delivery, access: Access) -> Mark:
        """The mark, in the forms in which it is sent.

        A wrong mark without a date cannot be told from one that was there before: so an id is looked up first,
        and the place in the show, which many episodes have in common, saves most of these looks.
        """
        undated = is_undated(delivery)
        forms = self.finder.forms(delivery.item, access, checked=undated, by_place=undated)
        return Mark(delivery, forms)

    async def send_round(self, marks: Sequence[Mark], seen: set[Any], access: Access) -> set[Any]:
        """Send the marks in the forms they have come to; the ids of the history rows that were read after that."""
        body = gathered([entry(mark.form, {"watched_at": watched_at(mark.delivery)}) for mark in marks])
        try:
            response = await self.calls.ask(access, "POST", "/sync/history", json=body)
            answer = shaped(accept(LABEL, response), "added")
            lost = max(missing(answer), len(marks) - counted(answer, "added"), 0)
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

    async def read_back(self, marks: Sequence[Mark], lost: int, seen: set[Any], access: Access) -> set[Any]:
        """Compare what is new in the history with the marks just sent, of which Trakt did not find so many."""
        try:
            rows = await self.look([mark.delivery for mark in marks], access)
            new = [row for row in rows if row.get("id") not in seen]
            unseen = [
                mark for mark in marks if not await self.settle(mark, new, access, alone=len(marks) == 1)
            ]
        except Undelivered as decision:
            raise unsettled(LABEL, decision) from decision
        for mark in unseen:
            if not lost:  # it was counted, and may be listed later
                mark.outcome = added(mark.delivery, None)
            elif len(unseen) > lost:
                reason = f"{LABEL} took more than its history shows, and which is not known"
                mark.outcome = Retry(reason, after=GATEWAY, unsure=True, lane=False)
        return {row.get("id") for row in rows}

    async def settle(self, mark: Mark, new: Sequence[Json], access: Access, *, alone: bool) -> bool:
        """Whether a new row shows what became of the mark; one of another item is taken back."""
        item = mark.delivery.item
        sent = [row for row in new if is_sent(mark.delivery, row)]
        for row in sent:
            if await self.is_of(item, row, access):
                mark.outcome = added(mark.delivery, row)
                return True
        wrong = sent if alone else [row for row in sent if is_related(item, known(row))]
        for row in wrong:
            theirs = known(row)
            self.finder.distrust(item, theirs)
            mark.wrong.append(theirs)
            await self.remove(whole(row.get("id")), access)
        return bool(wrong)

    # The history

    async def look(self, deliveries: Sequence[Delivery], access: Access) -> list[Json]:
        """The rows of the history among which these viewings would be."""
        dated = [delivery for delivery in deliveries if not is_undated(delivery)]
        kinds = {delivery.item.kind for delivery in dated}
        path = f"/sync/history/{kinds.pop()}s" if len(kinds) == 1 else "/sync/history"
        rows = await self.calls.rows(path, whole_days(dated), access) if dated else []
        rows += await self.undated_rows([each.item for each in deliveries if is_undated(each)], access)
        return list({row.get("id"): row for row in rows}.values())

    async def undated_rows(self, items: Sequence[Item], access: Access) -> list[Json]:
        """The viewings of these films and of these episodes' shows: no window finds what has no date."""
        paths = ["/sync/history/movies"] if any(isinstance(item, Movie) for item in items) else []
        episodes = [item for item in items if isinstance(item, Episode)]
        shows = {await self.finder.show_of(item, access): None for item in episodes}
        paths += [f"/sync/history/shows/{show}" for show in shows if show is not None]
        rows = [row for path in paths for row in await self.calls.rows(path, {}, access, LARGEST_PAGE)]
        return [row for row in rows if moment(row.get("watched_at")) is None]

    async def is_of(self, item: Item, row: Json, access: Access) -> bool:
        """Whether a row is of this item: something says so, and nothing speaks against it."""
        theirs = known(row)
        matched = match(item, theirs)
        if matched is Match.OPEN:
            placed = not isinstance(item, Episode) or placed_alike(item, theirs) is True
            return (placed or is_related(item, theirs)) and await self.finder.is_titled(item, theirs, access)
        return matched is Match.RIGHT and is_related(item, theirs)

    async def there(self, delivery: Delivery, rows: Sequence[Json], access: Access) -> Done | None:
        """The viewing, if it is there. What an attempt of ours made of another item is taken back."""
        single(delivery.item)
        mine = [row for row in rows if fits(delivery, row) and await self.is_of(delivery.item, row, access)]
        row = nearest(delivery, mine)
        if row is not None:
            return already(row, ours=delivery.unsure)
        if delivery.unsure and not is_undated(delivery):
            for row in rows:
                if is_sent(delivery, row) and await self.is_stray(delivery.item, row, access):
                    await self.remove(whole(row.get("id")), access)
                    self.finder.distrust(delivery.item, known(row))
        return None

    async def is_stray(self, item: Item, row: Json, access: Access) -> bool:
        """Whether a form of this item led to a row of another, which no other delivery made."""
        theirs, handle = known(row), remote(row.get("id"))
        if handle is None or not is_related(item, theirs) or await self.finder.is_meant(item, theirs, access):
            return False
        return not await access.is_ours(handle)

    async def remove(self, handle: int, access: Access) -> int:
        """Take one play out of the history by its id; how many that were."""
        response = await self.calls.ask(access, "POST", "/sync/history/remove", json={"ids": [handle]})
        return counted(shaped(accept(LABEL, response), "deleted"), "deleted")

    async def unmark(self, delivery: Delivery, access: Access) -> Done:
        """Takes away the one play that we made, by its id, never others of the same item."""
        handle = whole(delivery.remote_id) or await self.find_handle(delivery, access)
        gone = not handle or not await self.remove(handle, access)
        return Done(answer=GONE if gone else "removed", remote_id=delivery.remote_id)

    async def find_handle(self, delivery: Delivery, access: Access) -> int:
        """The id of a play of ours of which only the time is known; 0 where it is there no more."""
        at, item = moment(delivery.remote_id), delivery.item
        if delivery.remote_id == UNKNOWN:
            rows = await self.undated_rows([item], access)
        elif at is not None:
            looked = await self.look([replace(delivery, at=at, dated=Dated.EXACT)], access)
            rows = sorted(
                (row for row in looked if distance(row, at) <= CLOSE), key=lambda row: distance(row, at)
            )
        else:
            raise Dead("Nothing of ours to undo: Trakt had this play already, or gave no id for it")
        found = [row for row in rows if await self.is_of(item, row, access)]
        return whole(found[0].get("id")) if found else 0

    # What the account holds

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """The history, the newest play first."""
        asked = {} if since is None else {"start_at": iso(midnight(since))}
        async for rows in self.calls.pages("/sync/history", asked, access, LARGEST_PAGE):
            for row in rows:
                viewing = held(row)
                if viewing is not None and recent(viewing.at, since):
                    yield viewing

    # Ratings and the collection

    async def rate(self, delivery: Delivery, access: Access) -> Done:
        if delivery.rating is None or not 1 <= delivery.rating <= 10:
            raise Dead(f"{LABEL} takes ratings from 1 to 10, not {delivery.rating}")
        said = {"rating": delivery.rating, "rated_at": iso(delivery.at)}
        return await self.sync("/sync/ratings", delivery.item, said, access)

    async def unrate(self, delivery: Delivery, access: Access) -> Done:
        return await self.sync("/sync/ratings/remove", delivery.item, {}, access, gives="deleted")

    async def add(self, delivery: Delivery, access: Access) -> Done:
        said = {"collected_at": iso(delivery.at)}
        return await self.sync("/sync/collection", delivery.item, said, access)

    async def sync(self, path: str, item: Item, said: Json, access: Access, *, gives: str = "added") -> Done:
        """One thing said of one item, in the first form of it that Trakt finds.

        The answer does not name the item: so its own ids are looked up before they are sent.
        """
        answer: str | None = None
        async for form in self.finder.forms(item, access, checked=True):
            response = accept(LABEL, await self.calls.ask(access, "POST", path, json=entry(form, said)))
            body, answer = shaped(response, gives), shown(response)
            if counted(body, gives):
                return Done(answer=gives)
            if counted(body, "existing") or counted(body, "updated"):
                return Done(answer="already there")
            if gives == "deleted" and not missing(body):
                return Done(answer=GONE)
        raise Unmatched(f"{LABEL} does not know this {item.kind}", answer=answer)

    # The sign-in

    async def check(self, access: Access) -> str:
        response = await self.calls.ask(access, "GET", "/users/settings")
        user = shaped(accept(LABEL, response), "user")["user"]
        return str(inner(user, "ids").get("slug") or user.get("username") or "?")


@dataclass(slots=True)
class Mark:
    """A dated mark on its way into the history, in the form it has come to."""

    delivery: Delivery
    forms: AsyncIterator[Json]
    form: Json = field(default_factory=dict)
    wrong: list[Known] = field(default_factory=list)
    outcome: Done | Undelivered | None = None

    async def decide(self, work: Awaitable[Done | None]) -> None:
        """Take over what this comes to, be it a decision."""
        try:
            self.outcome = await work
        except Undelivered as decision:
            self.outcome = decision

    async def next_form(self) -> bool:
        """Whether there is another form to send; what keeps it from being sent is the outcome."""
        try:
            self.form = await anext(self.forms)
        except StopAsyncIteration:
            self.outcome = unmatched(self.delivery.item, self.wrong)
        except Undelivered as decision:
            self.outcome = decision
        return self.outcome is None

    @property
    def settled(self) -> Done | Undelivered:
        assert self.outcome is not None
        return self.outcome


# How progress is told


def marked(progress: float | None) -> float:
    return round(min(max(progress or FINISHED, MARKED), 100.0), 2)


# What the answer means


def held(row: Json) -> WatchedItem | None:
    """A row of the history; None where it is neither of a film nor of an episode."""
    theirs = known(row)
    item: Item
    if inner(row, "movie"):
        item = Movie(title=theirs.title, year=theirs.year, ids=theirs.ids)
    elif inner(row, "episode"):
        item = Episode(
            title=theirs.title,
            show=theirs.show,
            season=theirs.season,
            number=theirs.number,
            year=number(inner(row, "show").get("year")),
            ids=theirs.ids,
            show_ids=theirs.show_ids,
        )
    else:
        return None
    return WatchedItem(item=item, at=moment(row.get("watched_at")), remote_id=remote(row.get("id")))


def told(wanted: str, item: Item, body: Json, response: httpx.Response) -> Done:
    """What an answer to a scrobble call comes to; `wanted` is the action that it should name."""
    action = body.get("action")
    if not isinstance(action, str):
        reason = f"{LABEL}'s answer does not say what it did"
        raise Retry(reason, answer=shown(response), after=GATEWAY, unsure=True, suspect=True)
    if wanted == "scrobble" and action in UNCOUNTED:
        raise Dead(f"{LABEL} did not count it as watched, but as {action}", answer=shown(response))
    theirs = known(body)
    note = note_of(item, theirs)
    if action == "scrobble" != wanted:
        note = f"{LABEL} counted it as watched"
    return Done(answer=f"{action}: {theirs}", remote_id=remote(body.get("id")), note=note)


def already(there: Json, *, ours: bool = False) -> Done:
    """A play that was there before. Only one of ours has a handle: nobody else's is ever taken back."""
    at = there.get("watched_at")
    return Done(
        answer=f"already there, watched at {at}" if at else "already there",
        remote_id=remote(there.get("id")) if ours else None,
    )


def added(delivery: Delivery, row: Json | None) -> Done:
    """A mark that was put into the history; its id is in the row that was read back, else its time will do."""
    at, theirs = watched_at(delivery), None if row is None else known(row)
    return Done(
        answer=f"added, watched at {at}",
        remote_id=remote((row or {}).get("id")) or at,
        note=None if theirs is None else note_of(delivery.item, theirs),
    )


def unmatched(item: Item, wrong: Sequence[Known]) -> Unmatched:
    if not wrong:
        return Unmatched(f"{LABEL} does not know this {item.kind}")
    named = " and ".join(dict.fromkeys(map(str, wrong)))
    return Unmatched(f"{LABEL} took this for {named}, which is another {item.kind}; that was taken back")
