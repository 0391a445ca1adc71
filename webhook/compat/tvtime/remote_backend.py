"""The remote backend: a person's shows at a server that speaks the protocol of TV Time's app.

Marks go through the inbox and the outbox like everything else. Reads give the server's answer, merged with
the marks that it has not received yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import httpx
from sqlalchemy import Connection, select

from webhook import clock
from webhook.accounts import accounts
from webhook.client import DryRunStop, Recorder, recording
from webhook.compat.tvtime import pending, shelf
from webhook.compat.tvtime.auth import Guest
from webhook.compat.tvtime.backend import PUT_FAILED, Backend, FollowedShow, ShowEpisode, ShowEpisodes
from webhook.compat.tvtime.catalog import Catalogue
from webhook.compat.tvtime.local_backend import LocalBackend, to_followed_show
from webhook.compat.tvtime.marks import MarkRequest, Marks, StoredMarks, changed_items
from webhook.compat.tvtime.pending import DeliveryOutcome, MarkDelivery, PendingMark, PendingMarks
from webhook.domain.event import Action, Episode, Event, Ids
from webhook.domain.outcome import PARKED, Park, Snooze, Undelivered, Unmatched
from webhook.domain.rules import AccountRules, Filters, stopping_filter
from webhook.domain.states import DeliveryState
from webhook.history.play_store import find_play
from webhook.service import Service
from webhook.settings import SettingsError
from webhook.storage.rows import fetch_first
from webhook.storage.tables import AccountRow, account, person
from webhook.trackers import Access, Tracker
from webhook.trackers.tvtime import TVTime
from webhook.trackers.tvtime.lists import CountedWatch
from webhook.trackers.tvtime.lists import FollowedShow as Progress
from webhook.web.http.errors import Problem

T = TypeVar("T")

SERVER = "server"
"""The origin of episodes that the server has listed."""

TRACKER = "tvtime"
SERVER_TIMEOUT = 20.0
"""Seconds that all calls of one request to the server may take together."""

SIDE_CALL_TIMEOUT = 5.0
"""Seconds for a call whose answer is optional."""

LATE = "TV Time's server was too slow: it had not answered whole when the time for it was over. Nothing was lost: what you mark is kept here. Try again later"
SENT_LATE = (
    "TV Time's server was too slow to say whether it was done. Look whether it was, then try again later"
)
NOT_SENT = "It is kept here and was not sent to the server"


class Backends:
    """Chooses a person's backend: remote if they are signed in to the server, else local."""

    def __init__(self, service: Service, catalogue: Catalogue, marks: Marks) -> None:
        self.service, self.catalogue, self.marks = service, catalogue, marks

    async def open_backend(self, guest: Guest) -> Backend:
        here = LocalBackend(guest, self.catalogue, self.marks)
        tracker: Tracker | None = self.service.trackers.get(TRACKER)
        if not isinstance(tracker, TVTime) or not tracker.url:
            return here
        mine = account.c.person_id == guest.id, account.c.tracker == TRACKER, account.c.tokens.is_not(None)
        row = await self.service.database.read(
            lambda connection: fetch_first(connection, select(account).where(*mine), AccountRow)
        )
        return here if row is None else RemoteBackend(self.service, SignedIn(guest, row, tracker), here)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person with their account and its tracker."""

    guest: Guest
    account: AccountRow
    tracker: TVTime

    @property
    def rules(self) -> AccountRules:
        return AccountRules.from_json(self.account.rules)


class RemoteBackend:
    def __init__(self, service: Service, at: SignedIn, here: LocalBackend) -> None:
        self.service, self.at, self.here = service, at, here
        self.guest, self.tracker, self.database = at.guest, at.tracker, service.database
        self.ends = asyncio.get_running_loop().time() + SERVER_TIMEOUT

    # --- shows

    async def shows(self) -> list[FollowedShow]:
        """The shows followed at the server, then those followed only here."""
        ahead = await self.ahead()  # read first: a mark sent meanwhile is in the server's answer or in here
        progress, watches = await self.ask(self.progress)
        told = merge_progress(progress, watches, ahead)
        known = [show.tvdb for show in told]
        today = clock.now().date()
        mine = await self.database.read(
            lambda connection: shelf.read_followed_shows(connection, self.guest.id, known)
        )
        mine += await self.shows_by_mark(ahead, {*known, *(show.tvdb for show in mine)})
        return [*told, *(to_followed_show(series, today) for series in mine)]

    async def progress(self, access: Access) -> tuple[list[Progress], list[CountedWatch]]:
        lists = self.tracker.lists
        return await lists.shows(access), await lists.watches(access)

    async def shows_by_mark(self, ahead: PendingMarks, known: set[int]) -> list[shelf.Series]:
        """The shows that the server will follow once it receives a pending mark."""
        shows = {mark.episode.show_ids.tvdb for mark in ahead.marks() if mark.watched}
        coming = sorted(show for show in shows if show is not None and show not in known)

        def read(connection: Connection) -> list[shelf.Series]:
            return [shelf.read_show(connection, self.guest.id, show) for show in coming]

        return await self.database.read(read) if coming else []

    async def show(self, tvdb: int) -> ShowEpisodes:
        ahead = await self.ahead()
        parts = await self.ask(lambda access: self.parts(access, tvdb))
        return ShowEpisodes(parts=with_marks(tvdb, parts, ahead), via=SERVER)

    async def parts(self, access: Access, tvdb: int) -> list[ShowEpisode]:
        return [
            ShowEpisode(
                tvdb=one.id, season=one.season, number=one.number, title=one.title, aired=one.aired,
                watched=one.watched,
            )
            for one in await self.tracker.lists.parts(access, tvdb)
        ]  # fmt: skip

    async def ahead(self) -> PendingMarks:
        return await self.database.read(
            lambda connection: pending.pending_marks(connection, self.at.account.id)
        )

    # --- following

    async def follow(self, tvdb: int) -> None:
        """Follow a show at the server if a call for that is configured, else here."""
        if self.tracker.follow_url:
            await self.ask(lambda access: self.tracker.follow(access, tvdb), refusing=True)
        else:
            await self.here.follow(tvdb)

    async def unfollow(self, tvdb: int) -> None:
        """Unfollow a show wherever it is followed; the server is called only if it follows the show."""
        mine, call = await self.here.marks.follows(self.guest, tvdb), bool(self.tracker.follow_url)
        theirs = await self.ask(lambda access: self.has(access, tvdb)) if mine or not call else True
        if theirs and not call:
            raise Problem(502, UNFOLLOW)
        if theirs:
            await self.ask(lambda access: self.tracker.unfollow(access, tvdb), refusing=True)
        await self.here.unfollow(tvdb)

    async def has(self, access: Access, tvdb: int) -> bool:
        """True if the server follows the show."""
        return tvdb in [show.show for show in await self.tracker.lists.shows(access)]

    # --- marks

    async def mark(self, tvdb: int) -> None:
        await self.tell(Action.WATCHED, await self.here.episode(tvdb))

    async def unmark(self, tvdb: int) -> None:
        await self.tell(Action.UNWATCHED, await self.here.episode(tvdb))

    async def tell(self, action: Action, episode: Episode) -> None:
        """Store the mark as a webhook with its delivery, and wait a little until it was sent."""
        asked = MarkRequest(self.guest, action, (episode,), clock.now(), follows=False)
        heard = await self.database.read(lambda connection: self.is_interpreted_anyway(connection, asked))
        said = None if heard else await self.server_state(episode)
        telling = MarkDelivery(
            account_id=self.at.account.id, action=action, episode=episode, at=asked.at, said=said
        )

        def enqueue(connection: Connection, made: Sequence[int]) -> int | None:
            if (heard and made) or self.is_filtered(connection, asked):
                return None
            undoes = find_undone_play(connection, asked) if action is Action.UNWATCHED else None
            webhook = made[0] if made else None
            return pending.enqueue_mark(connection, replace(telling, webhook_id=webhook, undoes=undoes))

        kept = await self.here.marks.submit(replace(asked, besides=enqueue))
        if not kept.is_accepted:
            raise Problem(502, PUT_FAILED)
        told = kept.delivery
        if told is None and not kept.is_pending:
            told = await self.ensure_delivery(telling, asked, kept)
        if told is not None:
            raise_for_outcome(await pending.await_earlier(self.database, told), self.guest.name)

    def is_interpreted_anyway(self, connection: Connection, asked: MarkRequest) -> bool:
        """True if the interpreter will deliver the mark to this account by itself."""
        watched = asked.action is Action.WATCHED
        return (
            watched and asked.action.value in self.at.account.tells and bool(changed_items(connection, asked))
        )

    async def ensure_delivery(
        self, telling: MarkDelivery, asked: MarkRequest, kept: StoredMarks
    ) -> int | None:
        """The delivery of this mark, enqueued if missing; None if the server already has that state."""
        found = await self.database.read(
            lambda connection: pending.find_delivery(
                connection, telling.account_id, kept.webhooks, asked.action
            )
        )
        if found is not None:
            return found
        self.check_filters(asked)
        webhook = kept.webhooks[0] if kept.webhooks else None
        said = await self.server_state(telling.episode) if telling.said is None else telling.said
        telling = replace(telling, webhook_id=webhook, said=said)
        made = await self.database.write(pending.enqueue_marks, telling)
        self.service.interpreter.told.set()
        return made

    def is_filtered(self, connection: Connection, asked: MarkRequest) -> bool:
        """True if a filter of the person or of the account keeps the event from the server."""
        wanted = select(person.c.filters).where(person.c.id == self.guest.id)
        mine = Filters.from_json(connection.execute(wanted).scalar())
        event = event_of(asked)
        return any(stopping_filter(filters, event) is not None for filters in (mine, self.at.rules.filters))

    def check_filters(self, asked: MarkRequest) -> None:
        """Raise Problem 502 if the account's own filters keep the mark from the server."""
        if stopped := stopping_filter(self.at.rules.filters, event_of(asked)):
            raise Problem(502, f"{NOT_SENT}: this account's {stopped}. Change that under Connections")

    async def server_state(self, episode: Episode) -> bool | None:
        """True if the server has the episode marked watched; None if it cannot say now."""
        assert episode.ids.tvdb is not None
        try:
            async with asyncio.timeout(SIDE_CALL_TIMEOUT):
                access = await self.access()
                return (await self.tracker.lists.episode(access, episode.ids.tvdb)).get("is_watched") is True
        except Unmatched as error:
            raise Problem(502, PUT_FAILED) from error
        except (Undelivered, SettingsError, TimeoutError):
            return None

    # --- calls to the server

    async def access(self) -> Access:
        return await self.service.credentials.access(self.at.account.id, self.guest.id, self.tracker)

    async def ask(self, question: Callable[[Access], Awaitable[T]], *, refusing: bool = False) -> T:
        """The server's answer. `refusing`: a refusal is worded as the original worded a failed request."""
        pace = self.service.dispatcher.pace_of(self.at.account.id, self.tracker).slot
        kept = Recorder(withhold=self.at.rules.dry_run, pace=pace)
        try:
            with recording(kept):
                async with asyncio.timeout_at(self.ends):
                    return await question(await self.access())
        except TimeoutError as error:
            raise Problem(502, SENT_LATE if refusing else LATE) from error
        except Undelivered as error:
            needed = await self.park_account(error)
            answered = not isinstance(error.__cause__, httpx.HTTPError)
            no = refusing and answered and not needed
            raise Problem(
                502, PUT_FAILED if no else error_text(error, self.guest.name), retry_after(error)
            ) from error
        except DryRunStop as told:
            raise Problem(502, f"This account is in a dry run, so nothing was sent: it {told}") from told
        except SettingsError as error:
            raise Problem(502, str(error)) from error

    async def park_account(self, error: Undelivered) -> bool:
        """Check and park an account that a person must mend, as after a failed delivery; True if so."""
        if not isinstance(error, Snooze) or error.park is None:
            return False
        with suppress(accounts.AccountError, TimeoutError):
            async with asyncio.timeout(SIDE_CALL_TIMEOUT):
                await accounts.check_account(self.service, self.at.account.id)
        return True


def event_of(asked: MarkRequest) -> Event:
    return Event(action=asked.action, item=asked.items[0], at=asked.at)


def find_undone_play(connection: Connection, asked: MarkRequest) -> int | None:
    """The watched play whose mark is taken back."""
    found = find_play(connection, asked.guest.id, event_of(asked))
    known = found.play if found else None
    live = known is not None and known.watched_at is not None and known.unwatched_at is None
    return found.id if found and live else None


# --- pending marks over the server's answers


def merge_progress(
    progress: Iterable[Progress], watches: Iterable[CountedWatch], ahead: PendingMarks
) -> list[FollowedShow]:
    """The server's shows, with pending marks added to their counts."""
    seen: set[int | None] = set()
    seconds: dict[int | None, int] = {}
    shows: dict[int | None, int | None] = {}
    for watch in watches:
        seen.add(watch.episode)
        shows[watch.episode] = watch.show
        seconds[watch.show] = seconds.get(watch.show, 0) + watch.seconds
    more: dict[int | None, int] = {}
    for mark in ahead.marks():
        tvdb = mark.episode.ids.tvdb
        if mark.episode.season != 0 and mark.watched is not (tvdb in seen):
            show = mark.episode.show_ids.tvdb or shows.get(tvdb)
            more[show] = more.get(show, 0) + (1 if mark.watched else -1)
    return [
        FollowedShow(
            tvdb=one.show, title=one.title, aired=one.aired, seconds=seconds.get(one.show, 0), via=SERVER,
            watched=min(max(one.watched + more.get(one.show, 0), 0), max(one.aired, one.watched)),
        )
        for one in progress
    ]  # fmt: skip


def with_marks(tvdb: int, parts: Sequence[ShowEpisode], ahead: PendingMarks) -> list[ShowEpisode]:
    """The episodes of a show, marked as they will be once the pending marks are sent."""
    told: set[int] = set()
    found = []
    for one in parts:
        mark = ahead.find(to_episode(tvdb, one))
        if mark is not None:
            told.add(mark.delivery_id)
        found.append(one if mark is None else replace(one, watched=mark.watched))
    missing = [mark for mark in ahead.marks() if mark.watched and mark.delivery_id not in told]
    found += [added for mark in missing if (added := from_mark(tvdb, mark)) is not None]
    return sorted(found, key=lambda one: (one.season, one.number, one.tvdb or 0))


def to_episode(show: int, one: ShowEpisode) -> Episode:
    return Episode(season=one.season, number=one.number, ids=Ids(tvdb=one.tvdb), show_ids=Ids(tvdb=show))


def from_mark(show: int, mark: PendingMark) -> ShowEpisode | None:
    """An episode that the server does not list; None if it is another show's or has no known place."""
    place = pending.place_of(mark.episode)
    if place is None or place[0] != show:
        return None
    title, tvdb = mark.episode.title, mark.episode.ids.tvdb
    return ShowEpisode(tvdb=tvdb, season=place[1], number=place[2], title=title, aired=None, watched=True)


# --- failures

UNFOLLOW = (
    "The server follows this show, and no call by which a show is unfollowed there is known. Unfollow it in the "
    "server's own app; or set TVTIME_FOLLOW_URL, where the server has such a call"
)


def raise_for_outcome(row: DeliveryOutcome, person: str) -> None:
    """Raise Problem 502 if the delivery failed, is parked or was skipped; a waiting one is retried."""
    if row.state in (DeliveryState.UNMATCHED, DeliveryState.DEAD):
        raise Problem(502, PUT_FAILED)
    if row.state == DeliveryState.PARKED:
        needed = PARKED[Park(row.reason or "")]
        kept = "It is kept here and goes out once that is mended."
        raise Problem(502, f"{needed.sentence} {kept} {repair_hint(needed.mend, person)}")
    if row.state == DeliveryState.SKIPPED:
        raise Problem(502, f"{NOT_SENT}: {row.reason}")


def error_text(error: Undelivered, person: str) -> str:
    """The reason of a failed call and the next step for the person."""
    if isinstance(error, Snooze) and error.park is not None:
        return f"{error.reason}. {repair_hint(PARKED[error.park].mend, person)}"
    return f"{error.reason}. Nothing was lost: what you mark is kept here. Try again later"


def repair_hint(step: str, person: str) -> str:
    return f"{step.format(tracker=TRACKER, person=person)}; or in the browser, under Connections"


def retry_after(error: Undelivered) -> dict[str, str]:
    after = error.after if isinstance(error, Snooze) else None
    return {} if after is None else {"Retry-After": str(max(round(after.total_seconds()), 1))}
