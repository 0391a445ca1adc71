"""Imports at work: a file is read part by part, each part brought in and counted in one transaction.

A kill loses nothing: the same file goes on where it was, and even from its beginning nothing doubles.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, cast

from sqlalchemy import Connection

from webhook import clock, jobs
from webhook.db import Database
from webhook.event import Event, item_to_json
from webhook.outcome import Undelivered
from webhook.play import Dated, Play, State, opened
from webhook.servers import Found, Server
from webhook.trackers import Access, Held, Holds, Tracker
from webhook.transfer import bringing, imports
from webhook.transfer.bringing import Counts
from webhook.transfer.entries import Bad, Entry, Kept, Unusable, Viewing
from webhook.transfer.imports._files import Bundle, open_bundle

PART = 500
"""Entries of one transaction: few enough that a webhook does not wait for them."""

SHOWN = 50
"""Bad rows that are told one by one."""

Progress = Callable[[float | None, Counts], None]
"""Hears how far an import is, 0 to 1 or None where that is unknown, and what became of the entries so far."""


@dataclass(slots=True)
class Report:
    """What an import came to, or would come to."""

    counts: Counts = field(default_factory=Counts)
    first: datetime | None = None
    last: datetime | None = None
    bad: list[Bad] = field(default_factory=list)
    without_ids: list[dict[str, Any]] = field(default_factory=list)
    job_id: int | None = None
    cancelled: bool = False

    def saw(self, entries: list[Entry]) -> None:
        """Note what a person wants to know beforehand: the range of dates, what is bad, what will not match."""
        for entry in entries:
            match entry:
                case Viewing(play=play):
                    at = play.watched_at or play.last_at
                    self.first = at if self.first is None else min(self.first, at)
                    self.last = at if self.last is None else max(self.last, at)
                    if not bringing.identified(play.item) and len(self.without_ids) < SHOWN:
                        self.without_ids.append(item_to_json(play.item))
                case Bad():
                    self.counts.bad += 1
                    if len(self.bad) < SHOWN:
                        self.bad.append(entry)
                case Kept():
                    pass

    def shown(self) -> dict[str, Any]:
        """The report as the API and `--json` give it."""
        return {
            "job": self.job_id,
            "counts": self.counts.shown(),
            "first": clock.stamp(self.first),
            "last": clock.stamp(self.last),
            "without_ids": self.without_ids,
            "bad": [{"file": bad.file, "line": bad.line, "why": bad.why, "do": bad.do} for bad in self.bad],
            "cancelled": self.cancelled,
        }


def quiet(done: float | None, counts: Counts) -> None:
    """Nobody watches."""


class Feed(Protocol):
    """Where entries come from: a file, a media server, a tracker's account."""

    kind: str
    name: str
    digest: str | None
    """What tells a file from another, so that a broken-off import goes on in it; None where nothing does."""

    def parts(self) -> AsyncIterator[list[Entry]]:
        """The entries, in the same order each time; raises Unusable, Retry, Dead."""
        ...

    def progress(self) -> float | None:
        """How far it is, 0 to 1, where that is known."""
        ...


@dataclass(slots=True)
class FileFeed:
    """A person's export file, read beside the event loop."""

    kind: str
    path: Path
    name: str
    digest: str
    bundle: Bundle | None = None

    @classmethod
    async def of(cls, kind: str, path: Path, name: str | None = None) -> FileFeed:
        """Raises Unusable."""
        try:
            return cls(kind, path, (name or path.name)[:200], await asyncio.to_thread(digest_of, path))
        except OSError as error:
            raise Unusable(f"{path} cannot be read: {error.strerror}.") from error

    async def parts(self) -> AsyncIterator[list[Entry]]:
        with open_bundle(self.path) as self.bundle:
            entries = imports.modules()[self.kind].read(self.bundle)
            while part := await asyncio.to_thread(take, entries):
                yield part

    def progress(self) -> float | None:
        return None if self.bundle is None else self.bundle.progress


@dataclass(slots=True)
class ServerFeed:
    """What a media server has recorded of the users that a person claims there, for an import."""

    server: Server
    whose: Callable[[Event], bool]
    digest: str | None = None

    @property
    def kind(self) -> str:
        return self.server.name

    @property
    def name(self) -> str:
        return self.server.label

    async def parts(self) -> AsyncIterator[list[Entry]]:
        part: list[Entry] = []
        async for found in self.server.played(None):
            if self.whose(found.event):
                part.append(viewing_of(found, self.server.name))
            if len(part) >= PART:
                yield part
                part = []
        if part:
            yield part

    def progress(self) -> float | None:
        return None


def viewing_of(found: Found, source: str) -> Viewing:
    event = found.event
    watched = replace(
        opened(None, event, source), state=State.STOPPED, watched_at=event.at, duration_ms=event.duration_ms,
        manual=event.manual, position_ms=None, position_at=None, estimated=False,
    )  # fmt: skip
    return Viewing(play=watched, foreign_key=f"{source}:{event.server}:{found.key}"[:200])


@dataclass(slots=True)
class AccountFeed:
    """What a tracker's account holds, for an import that a person asked for: once, never continuously."""

    tracker: Tracker
    access: Access
    digest: str | None = None

    @property
    def kind(self) -> str:
        return self.tracker.name

    @property
    def name(self) -> str:
        return self.tracker.label

    async def parts(self) -> AsyncIterator[list[Entry]]:
        part: list[Entry] = []
        async for held in cast(Holds, self.tracker).held(self.access):
            part.append(viewing_held(held, self.tracker.name))
            if len(part) >= PART:
                yield part
                part = []
        if part:
            yield part

    def progress(self) -> float | None:
        return None


def viewing_held(held: Held, source: str) -> Viewing:
    """A viewing without a date was seen at some time before now: it counts as ticked."""
    at, dated = (held.at, Dated.EXACT) if held.at is not None else (clock.now(), Dated.TICKED)
    watched = Play(
        item=held.item,
        state=State.STOPPED,
        started_at=at,
        last_at=at,
        watched_at=at,
        source=source,
        dated=dated,
    )
    return Viewing(play=watched, foreign_key=f"{source}:{held.remote_id}"[:200] if held.remote_id else None)


async def preview(database: Database, person_id: int, feed: Feed, progress: Progress = quiet) -> Report:
    """What an import would come to; nothing is written. Raises what the feed raises."""
    report = Report()
    async for part in feed.parts():
        report.saw(part)
        found = await database.read(partial(rehearsed, person_id=person_id, part=part))
        report.counts = report.counts.plus(found)
        progress(feed.progress(), report.counts)
    return report


def rehearsed(connection: Connection, person_id: int, part: list[Entry]) -> Counts:
    return bringing.rehearse(connection, person_id, [entry for entry in part if not isinstance(entry, Bad)])


async def run(
    database: Database, person_id: int, feed: Feed, *, job_id: int | None = None, progress: Progress = quiet
) -> Report:
    """Import the feed into the person's history; what came before a failure is kept.

    A job that was broken off in this same feed goes on where it was.
    """
    report = Report()
    running, skip, report.counts = await database.write(begun, Begin(person_id, feed, job_id))
    report.job_id, done = running, 0
    try:
        async for part in feed.parts():
            fresh = part[max(skip - done, 0) :]
            done += len(part)
            if not fresh:
                continue
            report.saw(fresh)
            good = [entry for entry in fresh if not isinstance(entry, Bad)]
            counts = await database.write(steps, Step(person_id, running, good, done, report.counts))
            if counts is None:
                report.cancelled = True
                return report
            report.counts = counts
            progress(feed.progress(), counts)
    except (Unusable, Undelivered) as error:
        await database.write(ends, End(running, jobs.State.FAILED, str(error)))
        raise
    await database.write(ends, End(running, jobs.State.DONE))
    return report


def take(entries: Iterator[Entry]) -> list[Entry]:
    return list(islice(entries, PART))


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- the job


@dataclass(frozen=True, slots=True)
class Begin:
    person_id: int
    feed: Feed
    job_id: int | None


def begun(connection: Connection, waiting: list[Begin]) -> list[tuple[int, int, Counts]]:
    return [one_begun(connection, begin) for begin in waiting]


def one_begun(connection: Connection, begin: Begin) -> tuple[int, int, Counts]:
    """The job of this feed, how many entries of it are done, and what became of them."""
    feed, person_id = begin.feed, begin.person_id
    row = None
    if begin.job_id is not None:
        row = jobs.by_id(connection, begin.job_id)
    elif feed.digest is not None:
        same = {"what": feed.kind, "person_id": person_id, "digest": feed.digest}
        row = jobs.unfinished(connection, jobs.Kind.IMPORT, **same)
    if row is not None:
        return row.id, int((feed.digest and row.cursor) or 0), Counts(**row.counts)
    now, kind = clock.now(), jobs.Kind.IMPORT
    made = jobs.begin(
        connection, kind, feed.kind, now, person_id=person_id, name=feed.name, digest=feed.digest
    )
    return made, 0, Counts()


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a file, and how far the import is after it."""

    person_id: int
    job_id: int
    entries: list[Viewing | Kept]
    done: int
    before: Counts


def steps(connection: Connection, waiting: list[Step]) -> list[Counts | None]:
    return [one_step(connection, step) for step in waiting]


def one_step(connection: Connection, step: Step) -> Counts | None:
    """What became of everything so far; None where the import was cancelled, and nothing is done."""
    now = clock.now()
    if not jobs.step(connection, step.job_id, step.done, step.before.shown(), now):
        return None
    counts = step.before.plus(bringing.bring(connection, step.person_id, step.entries, now, step.job_id))
    jobs.step(connection, step.job_id, step.done, counts.shown(), now)
    return counts


@dataclass(frozen=True, slots=True)
class End:
    job_id: int
    state: jobs.State
    error: str | None = None


def ends(connection: Connection, waiting: list[End]) -> list[None]:
    for end in waiting:
        jobs.finish(connection, end.job_id, clock.now(), end.state, end.error)
    return [None] * len(waiting)
