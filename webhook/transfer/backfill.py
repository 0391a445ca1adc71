"""Backfill: send the plays of a person's history that a tracker's account lacks.

The account's history is read first. The missing plays go into the outbox a few at a time, so that new plays
are sent before them; the outbox sends them like all deliveries: in batches, within the tracker's limits,
once. A crash loses nothing, and cancelling a backfill withdraws the deliveries that are not sent yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple

import structlog
from pydantic import Field
from sqlalchemy import Connection, select
from typing_extensions import TypedDict

from webhook import clock
from webhook.accounts.accounts import is_media_server
from webhook.accounts.credentials import Credentials
from webhook.domain.event import Action, Event
from webhook.domain.items import keys
from webhook.domain.outcome import Dead, Retry, Snooze, Undelivered
from webhook.domain.play import Dated, Play
from webhook.domain.retry import LIVE
from webhook.domain.rules import AccountRules, stopping_filter
from webhook.history import server_items
from webhook.history.play_store import is_rewatch, play_from_row
from webhook.queries.plays import PlayFields, play_json
from webhook.queues import jobs, outbox
from webhook.queues.outbox import NewDelivery
from webhook.settings import SettingsError
from webhook.storage.db import Database, Unavailable
from webhook.storage.json_fields import ANY_OBJECT, Count, Time
from webhook.storage.json_shapes import DetailsJson
from webhook.storage.rows import fetch_all, fetch_first, fetch_one
from webhook.storage.tables import AccountRow, JobRow, PlayRow, account, job
from webhook.storage.types import to_ms
from webhook.trackers import Tracker
from webhook.transfer.account_history import Holding, fetch_history
from webhook.transfer.backfill_plays import (
    Place,
    Span,
    find_other_plays,
    find_sent_plays,
    find_watched_plays,
    has_later_play,
    newest,
)

log = structlog.get_logger()

AHEAD = 200
"""The most deliveries of one backfill that wait in the outbox at once."""

SOON = timedelta(hours=12)
"""A delivery that waits for longer does not keep its backfill going."""

STEP_SECONDS = 1.0
AGAIN = timedelta(seconds=30)
SHOWN = 50


class NoBackfill(Exception):
    """The account cannot be backfilled; the message is for the person."""


class BackfillCountsJson(TypedDict):
    """The numbers of plays of a backfill by outcome."""

    sent: Count
    held: Count
    told: Count
    kept_back: Count


class BackfillCursorJson(TypedDict, total=False):
    """Where a backfill is: the newest play of its round, the plays before the round, the last one sent, and its counts.

    `whole`: the history was gone through.
    """

    top: int
    above: int
    after: list[int]
    counts: BackfillCountsJson
    whole: bool


@dataclass(slots=True)
class Counts:
    sent: int = 0
    held: int = 0
    told: int = 0
    kept_back: int = 0

    def to_json(self) -> BackfillCountsJson:
        return {"sent": self.sent, "held": self.held, "told": self.told, "kept_back": self.kept_back}


def new_deliveries(
    connection: Connection,
    of: AccountRow,
    tracker: Tracker,
    held: Holding,
    rows: list[PlayRow],
    counts: Counts,
) -> Iterator[tuple[PlayRow, Play, str | None]]:
    """The plays that the account lacks, each with the reason if it is not sent; the others are counted."""
    known = find_sent_plays(connection, of.id, rows)
    rules = AccountRules.from_json(of.rules)
    for row in rows:
        current = play_from_row(row)
        if row.id in known:
            counts.told += 1
        elif is_held(connection, held, row, current) or is_marked_once(
            connection, tracker, held, row, current
        ):
            counts.held += 1
        elif stopping_filter(rules.filters, event_of(current)):
            counts.kept_back += 1
        elif current.dated is Dated.TICKED and not tracker.undated:
            counts.kept_back += 1
            yield (
                row,
                current,
                f"nobody knows when it was watched, and {tracker.label} keeps nothing without a date",
            )
        else:
            counts.sent += 1
            yield row, current, None


def is_held(connection: Connection, held: Holding, row: PlayRow, current: Play) -> bool:
    return held.holds(current, lambda: find_other_plays(connection, row, current.item))


def is_marked_once(
    connection: Connection, tracker: Tracker, held: Holding, row: PlayRow, current: Play
) -> bool:
    """True for a viewing of what a media server has marked already, or is marked by a later viewing: it keeps one date."""
    if not is_media_server(tracker):
        return False
    return bool(held.of_item(current)) or has_later_play(connection, row, current.item)


def event_of(current: Play) -> Event:
    at = current.watched_at or current.last_at
    return Event(
        action=Action.WATCHED, item=current.item, at=at, library=current.library, player=current.player
    )


# --- the dry run


class PreviewJson(TypedDict):
    """A backfill's preview as the API gives it, and its first plays."""

    counts: BackfillCountsJson
    holds: Count
    missing: Annotated[
        Count, Field(description="Of those that would be sent: how many are not on the media server yet.")
    ]
    first: Time | None
    last: Time | None
    plays: list[Annotated[PlayFields, ANY_OBJECT]]


@dataclass(slots=True)
class Preview:
    """The plays that a backfill would send, and their counts."""

    counts: Counts = field(default_factory=Counts)
    holds: int = 0
    missing: int = 0
    first: datetime | None = None
    last: datetime | None = None
    plays: list[PlayFields] = field(default_factory=list)

    def to_json(self) -> PreviewJson:
        return {
            "counts": self.counts.to_json(),
            "holds": self.holds,
            "missing": self.missing,
            "first": clock.stamp(self.first),
            "last": clock.stamp(self.last),
            "plays": self.plays,
        }


async def preview(database: Database, tracker: Tracker, credentials: Credentials, account_id: int) -> Preview:
    """Preview a backfill without sending anything; raises NoBackfill and Undelivered."""
    of = await database.read(
        lambda connection: backfillable(connection, tracker, account_id, may_be_off=is_media_server(tracker))
    )
    held = await fetch_history(tracker, credentials, of)
    shown, after = Preview(holds=held.count), None
    while True:
        page = await database.read(lambda connection, after=after: look(connection, of, tracker, held, after))  # type: ignore[misc]
        counts, missing, absent, after = page
        shown.missing += absent
        for name in counts.__slots__:
            setattr(shown.counts, name, getattr(shown.counts, name) + getattr(counts, name))
        for row, current in missing:
            shown.first = shown.first or current.watched_at
            shown.last = current.watched_at
            if len(shown.plays) < SHOWN:
                shown.plays.append(play_json(row, clock.now()))
        if after is None:
            return shown


def look(
    connection: Connection, of: AccountRow, tracker: Tracker, held: Holding, after: Place | None
) -> tuple[Counts, list[tuple[PlayRow, Play]], int, Place | None]:
    counts = Counts()
    rows = find_watched_plays(connection, tracker, of.person_id, after, Span())
    found = new_deliveries(connection, of, tracker, held, rows, counts)
    missing = [(row, current) for row, current, kept_back in found if kept_back is None]
    absent = [
        current
        for _, current in missing
        if is_media_server(tracker) and server_items.find_copies(connection, tracker.name, current.item) == []
    ]
    return counts, missing, len(absent), Place.of_row(rows[-1]) if rows else None


def backfillable(
    connection: Connection, tracker: Tracker, account_id: int, *, may_be_off: bool = False
) -> AccountRow:
    """The account, if it can be backfilled; raises NoBackfill. A media server is looked at before it is switched on."""
    of = fetch_first(connection, select(account).where(account.c.id == account_id), AccountRow)
    if of is None:
        raise NoBackfill("there is no such account")
    if not hasattr(tracker, "history"):
        raise NoBackfill(f"{tracker.label} cannot be asked what it holds, so nothing can be told apart")
    if Action.WATCHED.value not in of.tells and not may_be_off:
        raise NoBackfill(f"telling {tracker.label} of watched items is switched off for this account")
    return of


# --- the job


def begin(connection: Connection, tracker: Tracker, account_id: int, now: datetime) -> int:
    """Begin a backfill, or return the id of the running one; raises NoBackfill."""
    of = backfillable(connection, tracker, account_id)
    running = jobs.latest_job_in_progress(connection, jobs.JobKind.BACKFILL, account_id=account_id)
    if running is not None:
        return int(running.id)
    return jobs.begin_job(
        connection, jobs.JobKind.BACKFILL, tracker.name, now, person_id=of.person_id, account_id=account_id,
        name=of.name,
    )  # fmt: skip


def cancel(connection: Connection, job_id: int, now: datetime) -> int:
    """Cancel a job and withdraw its unsent deliveries; returns how many."""
    jobs.finish_job(connection, job_id, now, jobs.JobState.CANCELLED)
    return outbox.withdraw(connection, job_id, now)


@dataclass(frozen=True, slots=True)
class Feeding:
    """One step of a backfill: enqueue the next deliveries."""

    job_id: int
    tracker: Tracker
    held: Holding


def feed(connection: Connection, waiting: list[Feeding]) -> list[str]:
    return [feed_one(connection, feeding) for feeding in waiting]


def feed_one(connection: Connection, feeding: Feeding) -> str:
    """Enqueue the next deliveries while there is room; returns "more", "full" or "ended"."""
    row = jobs.find_job(connection, feeding.job_id)
    now = clock.now()
    if row is None or row.state != jobs.JobState.RUNNING.value:
        return "ended"
    states = outbox.count_by_state(connection, row.id)
    waiting = outbox.count_due(connection, row.id, now + SOON)
    room = AHEAD - waiting
    cursor: BackfillCursorJson = row.cursor or BackfillCursorJson()
    counts = Counts(**cursor.get("counts", {}))
    if cursor.get("whole"):
        if not waiting:
            jobs.record_progress(connection, row.id, cursor, {**asdict(counts), **states}, now)
            jobs.finish_job(connection, row.id, now)
            return "ended"
    elif room > 0:
        cursor = fill(connection, feeding, row, counts, room)
    jobs.record_progress(
        connection, row.id, cursor, {**asdict(counts), **outbox.count_by_state(connection, row.id)}, now
    )
    return "full" if cursor.get("whole") or room <= 0 else "more"


def fill(
    connection: Connection, feeding: Feeding, row: JobRow, counts: Counts, room: int
) -> BackfillCursorJson:
    """Enqueue at most `room` deliveries; returns the job's new cursor."""
    of = fetch_one(connection, select(account).where(account.c.id == row.account_id), AccountRow)
    cursor: BackfillCursorJson = row.cursor or BackfillCursorJson(top=newest(connection, of.person_id))
    after, span = Place.from_json(cursor.get("after")), Span(cursor.get("above", 0), cursor["top"])
    rows = find_watched_plays(connection, feeding.tracker, of.person_id, after, span)
    action = Action.STOP if Action.STOP in feeding.tracker.tells else Action.WATCHED
    last = rows[-1] if rows else None
    found = new_deliveries(connection, of, feeding.tracker, feeding.held, rows, counts)
    for gone, (played, current, kept_back) in enumerate(found, 1):
        again = bool(feeding.held.of_item(current))
        made = new_delivery(connection, of, played, current, action, row.id, kept_back, again=again)
        outbox.enqueue(connection, made, clock.now())
        if gone >= room:
            last = played
            break
    if last is not None:
        after = Place.of_row(last)
        return {**cursor, "after": after.to_json(), "counts": counts.to_json()}
    more = newest(connection, of.person_id, above=span.top)
    if more:
        return {"above": cursor["top"], "top": more, "counts": counts.to_json()}
    return {**cursor, "counts": counts.to_json(), "whole": True}


def new_delivery(
    connection: Connection,
    of: AccountRow,
    row: PlayRow,
    current: Play,
    action: Action,
    job_id: int,
    kept_back: str | None,
    *,
    again: bool,
) -> NewDelivery:
    """The delivery of a play's mark, with its date as known and with lower priority than live plays.

    `again`: the account has another viewing of the item.
    """
    at = current.watched_at or current.last_at
    rewatch = is_rewatch(connection, of.person_id, current.item, keys(current.item), row.id, at)
    details: DetailsJson = {
        "duration_ms": current.duration_ms,
        "started_at": to_ms(current.started_at),
        "rewatch": rewatch or again,
        "dated": current.dated.value,
        "late": True,
    }
    return NewDelivery(
        account_id=of.id, action=action, key=f"watched:{row.id}", item=current.item, at=at, mark=True,
        due=min(at, clock.now() - LIVE), play_id=row.id, job_id=job_id, skipped=kept_back, details=details,
    )  # fmt: skip


class RunningBackfill(NamedTuple):
    """A backfill in progress, as its job stores it."""

    id: int
    what: str
    account_id: int
    cursor: Any


class Backfills:
    """Runs every backfill in progress in the background."""

    def __init__(
        self,
        database: Database,
        trackers: Mapping[str, Tracker],
        credentials: Credentials,
        told: asyncio.Event,
    ) -> None:
        self.database = database
        self.trackers = trackers
        self.credentials = credentials
        self.told = told
        self.held: dict[int, Holding] = {}
        self.rests: dict[int, datetime] = {}

    async def run(self, stop: asyncio.Event) -> None:
        never = asyncio.Event()
        while not stop.is_set():
            try:
                busy = await self.run_once()
            except Unavailable as error:
                log.warning("The database is unavailable; backfills wait.", why=str(error))
                busy = False
            if not busy:
                await clock.awaken(never, stop, STEP_SECONDS)

    async def run_once(self) -> bool:
        """Run one step of each backfill; True if any has more to enqueue at once."""
        rows = await self.database.read(under_way)
        self.held = {job_id: held for job_id, held in self.held.items() if job_id in {row.id for row in rows}}
        now = clock.now()
        due = [row for row in rows if row.what in self.trackers and self.rests.get(row.id, now) <= now]
        states = [await self.step(row) for row in due]
        return "more" in states

    async def step(self, row: RunningBackfill) -> str:
        tracker = self.trackers[row.what]
        try:
            if row.id not in self.held:
                of = await self.database.read(
                    lambda connection: backfillable(connection, tracker, row.account_id)
                )
                self.held[row.id] = await fetch_history(tracker, self.credentials, of)
        except (Undelivered, NoBackfill, SettingsError) as error:
            return await self.on_failure(row, error)
        state = await self.database.write(feed, Feeding(row.id, tracker, self.held[row.id]))
        self.told.set()
        return state

    async def on_failure(self, row: RunningBackfill, error: Exception) -> str:
        """Retry the backfill later, or end it: on a permanent error, or if a person must act before it began."""
        log.warning("A backfill could not read the account's history.", job=row.id, why=str(error))
        after = error.after if isinstance(error, Retry | Snooze) else None
        self.rests[row.id] = clock.now() + (AGAIN if after is None else max(after, AGAIN))
        mendable = isinstance(error, Snooze) and error.park is not None and row.cursor is None
        fatal = isinstance(error, NoBackfill | SettingsError | Dead) or mendable
        await self.database.write(note_trouble, (row.id, str(error), fatal))
        return "waits"


def under_way(connection: Connection) -> list[RunningBackfill]:
    mine = (job.c.kind == jobs.JobKind.BACKFILL.value, job.c.state == jobs.JobState.RUNNING.value)
    wanted = select(job.c.id, job.c.what, job.c.account_id, job.c.cursor).where(*mine)
    return fetch_all(connection, wanted.order_by(job.c.id), RunningBackfill)


def note_trouble(connection: Connection, waiting: list[tuple[int, str, bool]]) -> list[None]:
    for job_id, error, fatal in waiting:
        if fatal:
            jobs.finish_job(connection, job_id, clock.now(), jobs.JobState.FAILED, error)
        else:
            jobs.record_trouble(connection, job_id, error, clock.now())
    return [None] * len(waiting)
