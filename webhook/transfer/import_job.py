"""Imports at work: what is brought in comes part by part, each part counted in the same transaction.

A kill loses nothing: the same file goes on where it was, and even from its beginning nothing doubles.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, cast

import structlog
from sqlalchemy import Connection, Row, select

from webhook import clock
from webhook.domain.advance import open_play
from webhook.domain.event import Event, item_to_json
from webhook.domain.outcome import Undelivered
from webhook.domain.play import Dated, Play, State
from webhook.queues import jobs
from webhook.servers import Found, Server
from webhook.storage.db import Database, Unavailable
from webhook.storage.tables import job
from webhook.trackers import Access, ListsHistory, Tracker, WatchedItem
from webhook.transfer import imports, merge
from webhook.transfer.imports._archive import Allowance, Bundle, open_bundle
from webhook.transfer.limits import Limits, NoRoom, Uploads
from webhook.transfer.merge import Counts, Memory
from webhook.transfer.records import Bad, Entry, Kept, LeftOut, Unusable, Viewing, shorten

log = structlog.get_logger()

PART = 500
"""Entries of one transaction: few enough that a webhook does not wait for them."""

PAUSE = 2.0
FIRST = 20
"""Entries of a file that are looked at to see whether a kind can read it."""

SHOWN = 50
"""Bad rows that are told one by one."""

LOOKED_THROUGH = 100_000
"""Entries after which a look ends: what they would come to is kept in memory, so that none counts twice."""

MOST_BAD = 100_000
"""Bad rows after which a file is left: it is none of this kind."""

ASKED = "asked"
"""What stands for a file's SHA-256 in the job of a server or an account that the service was told to ask."""

Progress = Callable[[float | None, Counts], None]
"""Hears how far an import is, 0 to 1 or None where that is unknown, and what became of the entries so far."""


@dataclass(slots=True)
class Report:
    """What an import came to, or would come to."""

    counts: Counts = field(default_factory=Counts)
    first: datetime | None = None
    last: datetime | None = None
    bad: list[Bad] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    without_ids: list[dict[str, Any]] = field(default_factory=list)
    job_id: int | None = None
    cancelled: bool = False
    whole: bool = True
    """Whether everything was looked through; a look ends after LOOKED_THROUGH entries."""

    def saw(self, entries: list[Entry]) -> None:
        """Note what a person wants to know beforehand: the range of dates, what is bad, what will not match."""
        for entry in entries:
            match entry:
                case Viewing(play=play):
                    at = play.watched_at or play.last_at
                    self.first = at if self.first is None else min(self.first, at)
                    self.last = at if self.last is None else max(self.last, at)
                    if not merge.has_ids(play.item) and len(self.without_ids) < SHOWN:
                        self.without_ids.append(item_to_json(play.item))
                case Bad():
                    self.counts.bad += 1
                    if self.counts.bad > MOST_BAD:
                        raise Unusable(
                            f"More than {MOST_BAD:,} of its rows cannot be read: the rest was left. "
                            "Is it the right kind of file?"
                        )
                    if len(self.bad) < SHOWN:
                        self.bad.append(entry)
                case LeftOut(count=count):
                    self.counts.left_out += count
                    if len(self.left_out) < SHOWN:
                        self.left_out.append(entry)
                case Kept():
                    pass

    def to_json(self) -> dict[str, Any]:
        """The report as the API and `--json` give it."""
        return {
            "job": self.job_id,
            "counts": self.counts.to_json(),
            "first": clock.stamp(self.first),
            "last": clock.stamp(self.last),
            "without_ids": self.without_ids,
            "bad": [{"file": bad.file, "line": bad.line, "why": bad.why, "do": bad.do} for bad in self.bad],
            "left_out": [{"file": one.file, "count": one.count, "why": one.why} for one in self.left_out],
            "cancelled": self.cancelled,
            "whole": self.whole,
        }


def allow_any_size() -> None:
    """There is room enough."""


def quiet(done: float | None, counts: Counts) -> None:
    """Nobody watches."""


class Feed(Protocol):
    """Where entries come from: a file, a media server, a tracker's account."""

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str | None:
        """What tells a file from another, so that a broken-off import goes on in it; None where nothing does."""
        ...

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
    limits: Limits | None = None
    bundle: Bundle | None = None

    @classmethod
    async def of(cls, kind: str, path: Path, name: str | None = None) -> FileFeed:
        """Raises Unusable."""
        try:
            return cls(kind, path, (name or path.name)[:200], await asyncio.to_thread(digest_of, path))
        except OSError as error:
            raise Unusable(f"{path} cannot be read: {error.strerror}.") from error

    async def parts(self) -> AsyncIterator[list[Entry]]:
        try:
            with open_bundle(self.path, allowance(self.limits)) as self.bundle:
                entries = imports.modules()[self.kind].read(self.bundle)
                while part := await asyncio.to_thread(take, entries):
                    yield part
        except Unusable as error:
            raise named_as(error, self.path, self.name) from error

    def progress(self) -> float | None:
        return None if self.bundle is None else self.bundle.progress


@dataclass(slots=True)
class ServerFeed:
    """What a media server has recorded of the users that a person claims there, for an import."""

    server: Server
    whose: Callable[[Event], Awaitable[bool]]
    digest: str | None = None

    @property
    def kind(self) -> str:
        return self.server.name

    @property
    def name(self) -> str:
        return self.server.label

    async def parts(self) -> AsyncIterator[list[Entry]]:
        """A part for so many viewings of anybody's, so that one cancels in time where few are one's own."""
        part: list[Entry] = []
        read = 0
        async for found in self.server.plays(None):
            read += 1
            if await self.whose(found.event):
                part.append(viewing_of(found, self.server.name))
            if read % PART == 0:
                yield part
                part = []
        if part:
            yield part

    def progress(self) -> float | None:
        return None


def viewing_of(found: Found, source: str) -> Viewing:
    event = found.event
    watched = replace(
        open_play(None, event, source), state=State.STOPPED, watched_at=event.at, duration_ms=event.duration_ms,
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
        async for held in cast(ListsHistory, self.tracker).history(self.access):
            part.append(viewing_from_item(held, self.tracker.name))
            if len(part) >= PART:
                yield part
                part = []
        if part:
            yield part

    def progress(self) -> float | None:
        return None


def viewing_from_item(held: WatchedItem, source: str) -> Viewing:
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
    report, memory, seen = Report(), Memory(), 0
    async for part in feed.parts():
        report.saw(part)
        seen += len(part)
        found = await database.read(partial(rehearse_part, person_id=person_id, part=part, memory=memory))
        report.counts = report.counts.plus(found)
        progress(feed.progress(), report.counts)
        if seen >= LOOKED_THROUGH:
            report.whole = False
            break
    return report


def rehearse_part(connection: Connection, person_id: int, part: list[Entry], memory: Memory) -> Counts:
    good = [entry for entry in part if isinstance(entry, Viewing | Kept)]
    return merge.rehearse(connection, person_id, good, memory)


async def run(
    database: Database,
    person_id: int,
    feed: Feed,
    *,
    job_id: int | None = None,
    progress: Progress = quiet,
    check: Callable[[], None] = allow_any_size,
) -> Report:
    """Import the feed into the person's history; what came before a failure is kept.

    A job that was broken off in this same feed goes on where it was. `check` is asked before each part, and
    raises NoRoom.
    """
    report = Report()
    running, skip, report.counts = await database.write(begin_imports, Begin(person_id, feed, job_id))
    report.job_id, done = running, 0
    try:
        async for part in feed.parts():
            fresh = part[max(skip - done, 0) :]
            done += len(part)
            if part and not fresh:
                continue
            await asyncio.to_thread(check)
            report.saw(fresh)
            good = [entry for entry in fresh if isinstance(entry, Viewing | Kept)]
            counts = await database.write(steps, Step(person_id, running, good, done, report.counts))
            if counts is None:
                report.cancelled = True
                return report
            report.counts = counts
            progress(feed.progress(), counts)
    except (Unusable, Undelivered, NoRoom) as error:
        await database.write(ends, End(running, jobs.JobState.FAILED, str(error)))
        raise
    await database.write(ends, End(running, jobs.JobState.DONE))
    return report


def take(entries: Iterator[Entry]) -> list[Entry]:
    return [shorten(entry) for entry in islice(entries, PART)]


def named_as(error: Unusable, path: Path, name: str) -> Unusable:
    """The same, with the name that the person knows the file by."""
    return Unusable(str(error).replace(str(path), name))


def allowance(limits: Limits | None) -> Allowance | None:
    """How much of a file may be read; what it unpacks to may be four times as large as the file."""
    if limits is None:
        return None
    return Allowance(rows=limits.rows, size=4 * limits.size, seconds=60 * limits.minutes)


def first_entries(kind: str, path: Path, limits: Limits | None = None) -> list[Entry]:
    """A look at the beginning of a file; raises Unusable."""
    with open_bundle(path, allowance(limits)) as bundle:
        return list(islice(imports.modules()[kind].read(bundle), FIRST))


def reads(kind: str, path: Path) -> bool:
    """Whether this kind finds something in the file that it can take, among its first entries."""
    try:
        return any(isinstance(entry, Viewing | Kept) for entry in first_entries(kind, path))
    except Unusable:
        return False


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- the job


@dataclass(frozen=True, slots=True)
class Begin:
    person_id: int
    feed: Feed
    job_id: int | None


def begin_imports(connection: Connection, waiting: list[Begin]) -> list[tuple[int, int, Counts]]:
    return [begin_import(connection, begin) for begin in waiting]


def begin_import(connection: Connection, begin: Begin) -> tuple[int, int, Counts]:
    """The job of this feed, how many entries of it are done, and what became of them.

    What is no file is begun again from its start, for its list may have changed: what this job brought in
    stays counted, and is met again as known.
    """
    feed, person_id = begin.feed, begin.person_id
    row = None
    if begin.job_id is not None:
        row = jobs.find_job(connection, begin.job_id)
    elif feed.digest is not None:
        same = {"what": feed.kind, "person_id": person_id, "digest": feed.digest}
        row = jobs.latest_job_in_progress(connection, jobs.JobKind.IMPORT, **same)
    if row is not None and feed.digest is None:
        return row.id, 0, replace(Counts(**row.counts), known=0, bad=0, left_out=0)
    if row is not None:
        return row.id, int(row.cursor or 0), Counts(**row.counts)
    now, kind = clock.now(), jobs.JobKind.IMPORT
    made = jobs.begin_job(
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
    if not jobs.record_progress(connection, step.job_id, step.done, step.before.to_json(), now):
        return None
    counts = step.before.plus(merge.merge_entries(connection, step.person_id, step.entries, now, step.job_id))
    jobs.record_progress(connection, step.job_id, step.done, counts.to_json(), now)
    return counts


@dataclass(frozen=True, slots=True)
class End:
    job_id: int
    state: jobs.JobState
    error: str | None = None


def ends(connection: Connection, waiting: list[End]) -> list[None]:
    for end in waiting:
        jobs.finish_job(connection, end.job_id, clock.now(), end.state, end.error)
    return [None] * len(waiting)


# --- files that were given to the service, and what it was told to ask

Asks = Callable[[int, str], Awaitable[Feed]]
"""The feed of a person from the server or the tracker of that name; raises Unusable and Undelivered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A file that was received whole: what it is, whose, and its SHA-256. `path` is where it lies until then.

    What is asked has no file: `digest` is ASKED, and `path` its empty place.
    """

    kind: str
    person_id: int
    path: Path
    name: str
    digest: str


class Imports:
    """Imports what was given to the service, and what it was told to ask, one after another, in its own time.

    A file stays until its import is over, so after a kill the import goes on where it was. What is asked
    has an empty folder in its place: only the process that has it works on it, and after a kill begins again.
    """

    def __init__(self, database: Database, folder: Path, asks: Asks, limits: Limits | None = None) -> None:
        self.database = database
        self.folder = folder
        self.asks = asks
        self.limits = limits or Limits()
        self.uploads = Uploads(folder, self.limits)
        self.looked_at: dict[int, deque[Path]] = defaultdict(deque)
        self.asked = asyncio.Event()
        self.tidying = asyncio.Lock()

    def place(self) -> Path:
        """The folder for what is being received, made if it is not there."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.folder

    async def remember_look(self, person_id: int, folder: Path) -> None:
        """Keep a file that was looked at until a yes comes; of many of one person the oldest goes."""
        waiting = self.looked_at[person_id]
        waiting.append(folder)
        while len(waiting) > self.limits.per_person:
            await asyncio.to_thread(remove_path, waiting.popleft())

    async def take(self, given: Given) -> int:
        """Keep a file that was received, and begin its import; the job. Raises TooMany."""
        waiting = await self.database.read(partial(files_of, person_id=given.person_id))
        self.uploads.check_number(len(waiting - {given.digest}))
        home = self.folder / home_of(given.kind, given.person_id, given.digest)
        async with self.tidying:
            await asyncio.to_thread(moved_in, given.path, home, given.name)
            made = await self.database.write(store_uploads, given)
        self.asked.set()
        return made

    async def ask(self, person_id: int, kind: str, name: str) -> int:
        """Begin to bring in what a server or an account holds; the job, the one under way where there is one."""
        home = self.place() / home_of(kind, person_id, ASKED)
        async with self.tidying:
            await asyncio.to_thread(home.mkdir, 0o700, exist_ok=True)
            given = Given(kind=kind, person_id=person_id, path=home, name=name, digest=ASKED)
            made = await self.database.write(store_uploads, given)
        self.asked.set()
        return made

    async def run(self, stop: asyncio.Event) -> None:
        with contextlib.suppress(Unavailable):
            await self.clear()
        while not stop.is_set():
            try:
                busy = await self.once(stop)
            except Unavailable as error:
                log.warning("The database cannot be used now; imports wait.", why=str(error))
                busy = False
            if not busy:
                await clock.awaken(self.asked, stop, PAUSE)

    async def clear(self) -> None:
        """Remove what was received in part, or belongs to an import that is over."""
        if self.folder.is_dir():
            running = {home for _, home in await self.running_imports()}
            for left in set(self.folder.iterdir()) - running:
                await asyncio.to_thread(remove_path, left)

    async def once(self, stop: asyncio.Event | None = None) -> bool:
        """Work on the oldest import that has its place here; False where there is none."""
        here = [(row, home) for row, home in await self.running_imports() if home.is_dir()]
        if not here:
            return False
        row, home = here[0]
        work = asyncio.ensure_future(self.work(row, home))
        ended = asyncio.ensure_future((stop or asyncio.Event()).wait())
        await asyncio.wait((work, ended), return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not work.done():
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            return False
        work.result()
        async with self.tidying:
            if home not in {other for _, other in await self.running_imports()}:
                await asyncio.to_thread(remove_path, home)
        return True

    async def work(self, row: Row[Any], home: Path) -> None:
        try:
            feed = await self.feed(row, home)
            check = self.uploads.check_room
            await run(self.database, row.person_id, feed, job_id=row.id, check=check)
        except (Unusable, Undelivered, NoRoom) as error:
            log.warning("An import ended early; what came in is kept.", job=row.id, why=str(error))
            await self.database.write(ends, End(row.id, jobs.JobState.FAILED, str(error)))
        except Unavailable:
            raise
        except Exception as error:
            # What nobody foresaw must not end the service, and not begin again at every start.
            log.exception("An import met a fault of ours; what came in is kept.", job=row.id)
            why = f"a fault of ours ({type(error).__name__}), which is in the log; what came in is kept"
            await self.database.write(ends, End(row.id, jobs.JobState.FAILED, why))

    async def feed(self, row: Row[Any], home: Path) -> Feed:
        if row.digest == ASKED:
            return await self.asks(row.person_id, row.what)
        path = await asyncio.to_thread(only, home)
        return FileFeed(row.what, path, row.name, row.digest, self.limits)

    async def running_imports(self) -> list[tuple[Row[Any], Path]]:
        """The running imports of the service, the oldest first, each with where its place would be."""
        rows = await self.database.read(of_the_service)
        return [(row, self.folder / home_of(row.what, row.person_id, row.digest)) for row in rows]


def home_of(kind: str, person_id: int, digest: str) -> str:
    """The place of an import: the same file of the same person has the same, so that it goes on there."""
    return f"{kind}-{person_id}-{digest}"


def only(home: Path) -> Path:
    (path,) = home.iterdir()
    return path


def moved_in(path: Path, home: Path, name: str) -> None:
    remove_path(home)
    home.mkdir(mode=0o700)
    path.replace(home / name)


def remove_path(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def store_uploads(connection: Connection, waiting: list[Given]) -> list[int]:
    return [store_upload(connection, given) for given in waiting]


def store_upload(connection: Connection, given: Given) -> int:
    """The job of this, the one that is under way or was broken off in it where there is one."""
    same = {"what": given.kind, "person_id": given.person_id, "digest": given.digest}
    row = jobs.latest_job_in_progress(connection, jobs.JobKind.IMPORT, **same)
    if row is not None:
        return int(row.id)
    return jobs.begin_job(
        connection, jobs.JobKind.IMPORT, given.kind, clock.now(), person_id=given.person_id, name=given.name,
        digest=given.digest,
    )  # fmt: skip


def files_of(connection: Connection, person_id: int) -> set[str]:
    """The files of a person whose imports are not over."""
    rows = of_the_service(connection)
    return {row.digest for row in rows if row.person_id == person_id and row.digest != ASKED}


def of_the_service(connection: Connection) -> list[Row[Any]]:
    mine = (job.c.kind == jobs.JobKind.IMPORT.value, job.c.state == jobs.JobState.RUNNING.value)
    wanted = select(job).where(*mine, job.c.digest.is_not(None), job.c.person_id.is_not(None))
    return list(connection.execute(wanted.order_by(job.c.id)))
