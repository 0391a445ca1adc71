"""Simkl: https://api.simkl.org and https://simkl.docs.apiary.io, apps at https://simkl.com/settings/developer/."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, cast
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, Field

from webhook import clock
from webhook.client import USER_AGENT, call, shown, version
from webhook.domain.event import Action, Episode, Item, Kind
from webhook.domain.items import keys, same_item
from webhook.domain.outcome import Dead, Done, Retry, Skip, Undelivered, Unmatched
from webhook.domain.play import Dated
from webhook.domain.retry import LIVE, retry_after
from webhook.settings import Address
from webhook.trackers import Access, Delivery, DeviceCode, SignIn, SignInFailed, Tokens, WatchedItem
from webhook.trackers._shared import (
    AFTER,
    Json,
    begins,
    counted,
    inner,
    inner_json,
    moment,
    recent,
    streamed,
    unsettled,
)
from webhook.trackers.simkl.lists import viewings
from webhook.trackers.simkl.marks import Added, Mark, comparable, watched_at
from webhook.trackers.simkl.matching import Match, is_same, match, match_held
from webhook.trackers.simkl.payloads import (
    Entry,
    entries,
    forms,
    gathered,
    ratable,
    single,
    surest_by_date,
    usable,
)
from webhook.trackers.simkl.responses import (
    APP_REFUSED,
    LABEL,
    OURS,
    accepted,
    already,
    described,
    device_code,
    iso,
    known,
    listed,
    missing,
    place,
    shaped,
    text,
    text_or_number,
    told,
    unmatched,
)
from webhook.trackers.simkl.search import Finder

Verb = Literal["start", "pause", "stop"]

FOR = "Shows what you are watching now, and keeps films, episodes and anime with the time you watched them. Free."
SETUP: tuple[str, ...] = (
    "Open https://simkl.com/settings/developer/ and make an app. It is free, and nobody has to approve it.",
    "Copy the app's client id into the field below, and save. There is no secret to copy.",
    "Then sign in: a code appears here, to be typed in at https://simkl.com/pin",
)
LEAST = 1.0
"""Below 1 % it is the beginning, or not known at all."""

BELOW = 79.9
MARKED = 80.1
"""The least progress that marks; exactly 80 does too, but for how it may be rounded."""

FINISHED = 90.0
"""What a mark without known progress is sent as."""

WINDOW = timedelta(hours=1)
"""For how long Simkl takes no second scrobble of an item."""

CLOSE = timedelta(minutes=1)
CHANGED = timedelta(days=1)
"""How far back it is looked for what a call has changed: clocks differ."""

LISTING_LASTS = 600.0
"""Seconds for which a list of all that an account holds is believed; our own marks are added to it."""

LISTS: Mapping[str, str] = {"movies": "full", "shows": "full", "anime": "full_anime_seasons"}
"""What an account holds comes in three lists, each in one answer; this is how each is asked for with its episodes."""

REFUSES_REWATCH = frozenset({400, 402, 403, 422, 426})
"""How a call for a rewatch may be refused to who does not pay for it; the contract does not say."""

SLOWEST = timedelta(seconds=30)


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    client_id: str = Field(description="Client id of your API app at Simkl (free, without approval)")
    api_url: Address = Field(default="https://api.simkl.com", description="Where Simkl's API is")
    writes_per_second: float = Field(
        default=1.0, ge=0, description="Most writes a second per account; 0 is no pacing"
    )


def build(settings: Settings, http: httpx.AsyncClient) -> Simkl:
    return Simkl(settings, http)


class Simkl:
    """Scrobbles live; what is late goes into the history with its date, a hundred at a time."""

    name = "simkl"
    label = LABEL
    sign_in: SignIn = "device"
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE, Kind.SHOW})  # a show is only ever rated
    one_mark = True
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
        }
    )
    needs: Mapping[Kind, tuple[str, ...]] = {}  # Simkl resolves ids and titles itself
    batch = 100

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self.settings = settings
        self.http = http
        self.api = settings.api_url.rstrip("/")
        self.host = httpx.URL(self.api).netloc.decode()
        self.writes_per_second = settings.writes_per_second
        self.finder = Finder(self.search)
        self.listings: dict[str, tuple[float, list[WatchedItem]]] = {}

    async def send(self, delivery: Delivery, access: Access) -> Done:
        tell = {
            Action.START: self.start,
            Action.PAUSE: self.pause,
            Action.STOP: self.mark if delivery.mark else self.pause_by_stop,
            Action.WATCHED: self.mark,
            Action.UNWATCHED: self.unmark,
            Action.RATE: self.rate,
            Action.UNRATE: self.unrate,
        }.get(delivery.action)
        if tell is None:
            raise Dead(f"{LABEL} has no call for {delivery.action}")
        try:
            return await tell(delivery, access)
        except Retry as error:
            error.unsure |= delivery.unsure  # another failure leaves it as open as it was
            raise

    # What is on now

    async def start(self, delivery: Delivery, access: Access) -> Done:
        """Show it as playing.

        With every start Simkl clears the pause that it keeps of the item; only a pause or a stop with a known
        position makes it anew. So a start of which the position is not known, or is the very beginning, is sent
        as 0 % where there is no resume point to lose, and else not at all.
        """
        single(delivery.item)
        await self.spare(delivery, access)
        progress = round(min(max(delivery.progress or 0.0, 0.0), 100.0), 2)
        return await self.scrobble("start", "start", delivery, progress, access)

    async def pause(self, delivery: Delivery, access: Access) -> Done:
        return await self.scrobble("pause", "pause", delivery, await self.paused(delivery, access), access)

    async def pause_by_stop(self, delivery: Delivery, access: Access) -> Done:
        """A stop below the watched mark, which Simkl keeps as a pause."""
        return await self.scrobble("stop", "pause", delivery, await self.paused(delivery, access), access)

    async def paused(self, delivery: Delivery, access: Access) -> float:
        """The progress of a pause. Raises Skip where it is not known, or would lose a resume point."""
        single(delivery.item)
        if delivery.progress is None:
            raise Skip("How far it was is not known, so there is nothing to keep")
        await self.spare(delivery, access)
        return round(min(max(delivery.progress, 0.0), BELOW), 2)

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
        """How far Simkl remembers that this item was watched."""
        forms(item)
        path = f"/sync/playback/{item.kind}s"
        for row in listed(accepted(await self.ask(access, "GET", path))):
            episode = inner(row, "episode")
            numbered = {**episode, "number": episode.get("number", episode.get("episode"))}
            body = {**row, "episode": numbered} if episode else row
            if is_same(item, body) and isinstance(row.get("progress"), int | float):
                return float(row["progress"])
        return None

    async def scrobble(
        self, verb: Verb, wanted: str, delivery: Delivery, progress: float, access: Access
    ) -> Done:
        """What the first form of the item comes to by which Simkl finds this very item.

        `wanted` is the action that the answer should name.
        """
        single(delivery.item)
        forms(delivery.item)  # what has none needs no look
        wrong: list[str] = []
        response: httpx.Response | None = None
        for form in forms(await self.finder.trusted(delivery.item)):
            response = await self.ask(access, "POST", f"/scrobble/{verb}", {"progress": progress, **form})
            if response.status_code == 409:
                return self.conflict(delivery, inner_json(response))
            if response.status_code == 404 or not known(body := shaped(accepted(response))):
                continue
            if await self.is_right(delivery.item, body):
                return told(wanted, body, response)
            wrong.append(described(body))
            await self.take_back(body, access)
        raise unmatched(delivery.item, wrong, None if response is None else shown(response))

    async def is_right(self, item: Item, body: Json) -> bool:
        """Whether what was just recorded is this item."""
        matched = match(item, body)
        if matched is not Match.OPEN:
            return matched is Match.RIGHT
        try:
            return await self.finder.is_known_as(item, known(body))
        except Undelivered as decision:
            raise unsettled(LABEL, decision) from decision

    async def take_back(self, body: Json, access: Access) -> None:
        """Undo what a call did to another item: its one mark, or its resume point by the id that it got."""
        action, handle = body.get("action"), text_or_number(body.get("id"))
        try:
            if action == "pause" and handle:
                response = await self.ask(access, "DELETE", f"/sync/playback/{handle}")
                if response.status_code != 404:
                    accepted(response)
            elif action == "scrobble":
                await self.remove(named_by(body), access)
        except Undelivered as decision:
            raise unsettled(LABEL, decision) from decision

    async def remove(self, entry: Entry, access: Access) -> None:
        accepted(await self.ask(access, "POST", "/sync/history/remove", gathered([entry])))

    # The watched mark

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        """As a scrobble; by date where it is late or a rewatch, or where the episode's own id says most.

        A scrobble within the hour is a 409, and the history keeps one play per item, so that neither is counted
        twice. A rewatch would replace that play's date, but for a call that says that it is another.
        """
        single(delivery.item)
        if delivery.late or delivery.rewatch or surest_by_date(delivery.item):
            return await self.date(delivery, access)
        try:
            return await self.scrobble("stop", "scrobble", delivery, marked(delivery.progress), access)
        except Unmatched:
            if not (isinstance(delivery.item, Episode) and usable(Kind.EPISODE, delivery.item.ids)):
                raise
        return await self.date(delivery, access)

    def conflict(self, delivery: Delivery, said: Json) -> Done:
        """What a 409 means: this viewing is there already, or an earlier one keeps Simkl from taking another.

        An earlier one holds for as long as Simkl says; then this viewing is sent with its own date.
        """
        earlier = moment(said.get("watched_at"))
        if not delivery.mark or earlier is None or earlier >= begins(delivery):
            return already(said, ours=delivery.unsure)
        until = moment(said.get("expires_at")) or earlier + WINDOW
        raise Retry(
            f"{LABEL} took a viewing of this at {iso(earlier)} and takes no other so soon; this one is sent "
            f"with its own date after {iso(until)}",
            after=max(until - delivery.at, LIVE) + CLOSE,
            lane=False,
        )

    async def date(self, delivery: Delivery, access: Access) -> Done:
        (outcome,) = await self.send_many([delivery], access)
        if isinstance(outcome, Undelivered):
            raise outcome
        return outcome

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Done | Undelivered]:
        """Marks put into the history under their own dates; one not found is sent again in its next form."""
        marks = [Mark(delivery, self.entries(delivery)) for delivery in deliveries]
        for mark in marks:
            await mark.decide(self.there(mark.delivery, access))
        for again in (False, True):
            mine = [mark for mark in marks if mark.delivery.rewatch is again]
            while asked := [mark for mark in mine if mark.outcome is None and await mark.next_entry()]:
                await self.send_round(asked, access, again=again)
        outcomes = [mark.settled for mark in marks]
        if len(outcomes) > 1 and all(outcome is outcomes[0] for outcome in outcomes):
            raise cast(Undelivered, outcomes[0])  # it is about the call, and so about all
        return outcomes

    async def entries(self, delivery: Delivery) -> AsyncIterator[Entry]:
        """The mark in every form that a sync call takes, the surest first.

        An own id of an episode cannot be looked up before, and a mark without a date not found again after: so
        such a mark goes by the id only where nothing else is known of it.
        """
        single(delivery.item)
        said = {"watched_at": watched_at(delivery)}
        entries(delivery.item, said)  # what has none needs no look
        undated = delivery.dated is Dated.TICKED
        for entry in entries(await self.finder.trusted(delivery.item), said):
            own = entry.group == "episodes" and isinstance(delivery.item, Episode)
            if not (own and undated and comparable(cast(Episode, delivery.item))):
                yield entry

    async def there(self, delivery: Delivery, access: Access) -> Done | None:
        """The viewing, where it is there and would be replaced, or counted twice, by one more call."""
        item = delivery.item
        single(item)
        if delivery.dated is Dated.TICKED:
            if any(is_held(item, held.item) for held in await self.listing(access)):
                return Done(answer="already there", remote_id=OURS if delivery.unsure else None)
        elif delivery.rewatch and delivery.unsure:
            times = [
                held.at for held in await self.changed(access, begins(delivery)) if is_held(item, held.item)
            ]
            if any(at and begins(delivery) <= at <= delivery.at + AFTER for at in times):
                return Done(answer=f"already there, watched at {iso(delivery.at)}", remote_id=OURS)
        return None

    async def send_round(self, marks: Sequence[Mark], access: Access, *, again: bool) -> None:
        """Send the marks in the forms they have come to. One that names a thing that was not found, and not
        whose, or that is refused for one of them, is sent in halves."""
        try:
            response = await self.write([mark.entry for mark in marks], access, again=again)
            answer = Added.read(response)
        except Dead as refusal:
            if len(marks) == 1:
                marks[0].outcome = refusal
                return
        except Undelivered as decision:
            for mark in marks:
                mark.outcome = decision
            return
        else:
            if len(marks) == 1 or not answer.strays([mark.entry for mark in marks]):
                await self.settle(marks, answer, response, access)
                return
        middle = len(marks) // 2
        await self.send_round(marks[:middle], access, again=again)
        await self.send_round(marks[middle:], access, again=again)

    async def write(self, named: Sequence[Entry], access: Access, *, again: bool) -> httpx.Response:
        """The answer to the marks. Rewatches are for paying members: others are told as before, by a new date."""
        if again:
            response = await self.ask(
                access, "POST", "/sync/history", gathered(named), {"allow_rewatch": "yes"}
            )
            if response.status_code not in REFUSES_REWATCH:
                return accepted(response)
        return accepted(await self.ask(access, "POST", "/sync/history", gathered(named)))

    async def settle(
        self, marks: Sequence[Mark], answer: Added, response: httpx.Response, access: Access
    ) -> None:
        """What became of each; those by an episode's own id are looked up, since the answer does not say which."""
        taken: list[Mark] = []
        for mark in marks:
            mine = answer if len(marks) > 1 else answer.alone(mark.entry)
            mark.answer = shown(response)
            if mine.has(mark.entry, unsure=mark.delivery.unsure):
                taken.append(mark)
        try:
            astray = await self.astray([mark for mark in taken if mark.by_own_id], access)
        except Undelivered as decision:
            for mark in taken:
                mark.outcome = unsettled(LABEL, decision)
            return
        for mark in taken:
            if id(mark) not in astray:
                what = "added" if answer.some else "already there"
                mark.outcome = Done(answer=f"{what}, watched at {watched_at(mark.delivery)}", remote_id=OURS)
                self.note(mark.delivery, access)

    async def astray(self, marks: Sequence[Mark], access: Access) -> set[int]:
        """Of the marks by an own id those that marked another episode, which is taken back."""
        if not marks:
            return set()
        changed = await self.changed(access, clock.now() - CHANGED)
        found: set[int] = set()
        for mark in marks:
            item = cast(Episode, mark.delivery.item)
            sent = [held for held in changed if held.at == moment(watched_at(mark.delivery))]
            if not sent or any([await self.is_held(item, held) for held in sent]):
                continue
            others = [held for held in sent if not any(
                match_held(cast(Episode, other.delivery.item), held) is Match.RIGHT
                for other in marks if other is not mark
            )]  # fmt: skip
            for held in others[:1]:
                await self.remove(named_as(cast(Episode, held.item)), access)
                mark.wrong.append(str_of(cast(Episode, held.item)))
                found.add(id(mark))
        return found

    async def is_held(self, item: Episode, held: WatchedItem) -> bool:
        matched = match_held(item, held)
        if matched is not Match.OPEN:
            return matched is Match.RIGHT
        theirs = cast(Episode, held.item)
        return await self.finder.is_known_as(item, {"ids": theirs.show_ids.known()})

    async def unmark(self, delivery: Delivery, access: Access) -> Done:
        """Takes away the one play of this film or episode, if we made it; never a whole show."""
        single(delivery.item)
        if not delivery.remote_id:
            raise Dead(f"Nothing of ours to undo: {LABEL} had this mark already, or never took it")
        return await self.take_out("/sync/history/remove", delivery.item, delivery.remote_id, access)

    # What the account holds

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """The films, the episodes of shows and those of anime; Simkl keeps one play of each."""
        async for viewing in self.read_lists(access, since):
            if recent(viewing.at, since):
                yield viewing

    async def read_lists(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """What is on the lists, or on those rows of them that were changed since a time."""
        for name, extended in LISTS.items():
            asked = {"extended": extended, "episode_watched_at": "yes"}
            if since is not None:
                asked["date_from"] = iso(since)  # what has changed since then, with all its episodes
            async for row in self.listed(name, asked, access):
                for viewing in viewings(row, by_season=name == "anime"):
                    yield viewing

    async def changed(self, access: Access, since: datetime) -> list[WatchedItem]:
        return [held async for held in self.read_lists(access, since)]

    async def listing(self, access: Access) -> list[WatchedItem]:
        """All that the account holds, read anew after a while only."""
        key = str(access.tokens.get("access_token", ""))
        until, known_before = self.listings.get(key, (0.0, []))
        if time.monotonic() < until:
            return known_before
        found = [held async for held in self.read_lists(access)]
        self.listings = {key: (time.monotonic() + LISTING_LASTS, found)}  # one is large enough
        return found

    def note(self, delivery: Delivery, access: Access) -> None:
        """Add a mark of ours to what is known of the account."""
        _, found = self.listings.get(str(access.tokens.get("access_token", "")), (0.0, []))
        found.append(
            WatchedItem(item=delivery.item, at=None if delivery.dated is Dated.TICKED else delivery.at)
        )

    def listed(self, name: str, asked: Mapping[str, str], access: Access) -> AsyncIterator[Json]:
        return streamed(
            self.http,
            LABEL,
            f"{self.api}/sync/all-items/{name}",
            name,
            headers={**self.headers(), **bearer(access)},
            params={**self.app(), **asked},
            judge=accepted,
        )

    # Ratings

    async def rate(self, delivery: Delivery, access: Access) -> Done:
        ratable(delivery.item)
        if delivery.rating is None or not 1 <= delivery.rating <= 10:
            raise Dead(f"{LABEL} takes ratings from 1 to 10, not {delivery.rating}")
        said = {"rating": delivery.rating, "rated_at": iso(delivery.at)}
        for entry in entries(await self.finder.trusted(delivery.item), said):
            response = accepted(await self.ask(access, "POST", "/sync/ratings", gathered([entry])))
            added = Added.read(response)
            if added.some and not added.lost:
                return Done(answer=f"rated {delivery.rating}")
        raise unmatched(delivery.item, (), shown(response))

    async def unrate(self, delivery: Delivery, access: Access) -> Done:
        ratable(delivery.item)
        return await self.take_out("/sync/ratings/remove", delivery.item, None, access)

    async def take_out(self, path: str, item: Item, handle: str | None, access: Access) -> Done:
        for entry in entries(item, {}):
            response = accepted(await self.ask(access, "POST", path, gathered([entry])))
            body = shaped(response, "deleted")
            if counted(body, "deleted"):
                return Done(answer="removed", remote_id=handle)
            if not missing(body):
                return Done(answer="it was gone already", remote_id=handle)
        raise unmatched(item, (), shown(response))

    # Calls

    async def search(self, path: str, asked: Mapping[str, str]) -> list[Json]:
        return listed(accepted(await self.call("GET", path, asked=asked)))

    async def ask(
        self, access: Access, method: str, path: str, json: Any = None, asked: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return await self.call(method, path, json, bearer(access), asked)

    async def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        asked: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        every = {**self.headers(), **(headers or {})}
        params = {**self.app(), **(asked or {})}
        return await call(self.http, LABEL, method, self.api + path, headers=every, params=params, json=json)

    def app(self) -> dict[str, str]:
        """What Simkl wants to see on every address: which app, in which version."""
        return {"client_id": self.settings.client_id, "app-name": "watchmark", "app-version": version()}

    def headers(self) -> dict[str, str]:
        return {
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
            "simkl-api-key": self.settings.client_id,
        }

    # The sign-in, whose token lasts for years and cannot be renewed

    async def check(self, access: Access) -> str:
        response = accepted(await self.ask(access, "POST", "/users/settings"))
        return str(inner(shaped(response, "user"), "user").get("name") or "?")

    async def begin(self) -> DeviceCode:
        try:
            return device_code(accepted(await self.call("GET", "/oauth/pin")))
        except Undelivered as error:
            raise SignInFailed(error.reason) from error

    async def poll(self, code: DeviceCode) -> Tokens | None:
        """The answer is 200 whatever it says; where Simkl asks for a slower pace, it returns that much later."""
        try:
            response = await self.call("GET", f"/oauth/pin/{quote(code.device_code, safe='')}")
        except Retry:
            return None  # the code outlives a hiccup
        if response.status_code in (403, 412):
            raise SignInFailed(APP_REFUSED)
        body = inner_json(response)
        if token := text(body.get("access_token")):
            return {"access_token": token}
        message = (text(body.get("message")) or "").lower()
        if response.status_code == 429 or "slow" in message:
            await asyncio.sleep(min(retry_after(response.headers) or code.interval, SLOWEST).total_seconds())
        elif response.status_code == 404 or (body.get("result") == "KO" and "pending" not in message):
            raise SignInFailed(f"{LABEL} no longer knows this code; start again")
        return None


def bearer(access: Access) -> dict[str, str]:
    return {"Authorization": f"Bearer {access.tokens.get('access_token', '')}"}


def marked(progress: float | None) -> float:
    return round(min(max(progress or FINISHED, MARKED), 100.0), 2)


def is_held(item: Item, theirs: Item) -> bool:
    """Whether an item that the account holds is ours: something that both know is the same."""
    return bool(set(keys(item)) & set(keys(theirs))) and same_item(item, theirs)


def named_by(body: Json) -> Entry:
    """What an answer names, as a sync call takes it."""
    ids = {"simkl": int(text_or_number(inner(known(body), "ids").get("simkl")) or 0)}
    season, number = place(body)
    if season is None or number is None:
        return Entry("movies", {"ids": ids})
    parts = {"seasons": [{"number": season, "episodes": [{"number": number}]}]}
    return Entry("shows", {"ids": ids, "use_tvdb_anime_seasons": True, **parts})


def named_as(theirs: Episode) -> Entry:
    """An episode of the account's list, as a sync call takes it."""
    parts = {"seasons": [{"number": theirs.season, "episodes": [{"number": theirs.number}]}]}
    return Entry(
        "shows", {"ids": usable(Kind.SHOW, theirs.show_ids), "use_tvdb_anime_seasons": True, **parts}
    )


def str_of(theirs: Episode) -> str:
    return f"{theirs.show} {theirs.season}x{theirs.number or 0:02} {theirs.title or ''}".strip()
