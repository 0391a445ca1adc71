"""Import jobs: entries are merged in parts, each counted in the transaction that stores it.

A crash loses nothing: the import of a file resumes where it was, and even a restart from the beginning
duplicates nothing.
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
"""Entries in one transaction: few enough that webhooks do not wait for them."""

PAUSE = 2.0
FIRST = 20
"""The number of first entries read to check whether a kind can read the file."""

SHOWN = 50
"""The most bad rows that are listed one by one."""

LOOKED_THROUGH = 100_000
"""The entries after which a preview ends, since it keeps their keys in memory."""

MOST_BAD = 100_000
"""The number of bad rows above which a file is refused as the wrong kind."""

ASKED = "asked"
"""The digest of a job that imports from a server or an account, in place of a file's SHA-256."""

Progress = Callable[[float | None, Counts], None]
"""Receives the progress of an import, 0 to 1 or None if unknown, and its counts so far."""


@dataclass(slots=True)
class Report:
    """The result of an import, or the expected result in a preview."""

    counts: Counts = field(default_factory=Counts)
    first: datetime | None = None
    last: datetime | None = None
    bad: list[Bad] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    without_ids: list[dict[str, Any]] = field(default_factory=list)
    job_id: int | None = None
    cancelled: bool = False
    whole: bool = True
    """False if the preview ended early, after LOOKED_THROUGH entries."""

    def saw(self, entries: list[Entry]) -> None:
        """Add entries to the report: the range of dates, bad rows, and items without ids. Raises Unusable."""
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
    """Accept any size."""


def quiet(done: float | None, counts: Counts) -> None:
    """Ignore the progress."""


class Feed(Protocol):
    """A source of entries: a file, a media server, or a tracker's account."""

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str | None:
        """The SHA-256 of a file, by which an interrupted import is resumed; None for other sources."""
        ...

    def parts(self) -> AsyncIterator[list[Entry]]:
        """The entries in parts, in the same order each time; raises Unusable, Retry, Dead."""
        ...

    def progress(self) -> float | None:
        """The progress, 0 to 1; None if unknown."""
        ...


@dataclass(slots=True)
class FileFeed:
    """A person's export file, read in a thread."""

    kind: str
    path: Path
    name: str
    digest: str
    limits: Limits | None = None
    bundle: Bundle | None = None

    @classmethod
    async def of(cls, kind: str, path: Path, name: str | None = None) -> FileFeed:
        """The feed of this file; raises Unusable."""
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
    """The history of a media server, reduced to the users that a person claims."""

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
        """A part for every PART viewings of all users, so that cancelling takes effect soon."""
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
    """The history of a tracker's account, imported once on request."""

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
    """A viewing from a tracker's item; one without a date is ticked, at the time of the import."""
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
    """Preview an import without writing anything; raises what the feed raises."""
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
    """Import the feed into the person's history; parts before a failure are kept.

    An interrupted job of the same feed is resumed. `check` runs before each part and may raise NoRoom.
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
    """The same error with the name by which the person knows the file."""
    return Unusable(str(error).replace(str(path), name))


def allowance(limits: Limits | None) -> Allowance | None:
    """The read limits of a file; its unpacked size may be four times that of the file."""
    if limits is None:
        return None
    return Allowance(rows=limits.rows, size=4 * limits.size, seconds=60 * limits.minutes)


def first_entries(kind: str, path: Path, limits: Limits | None = None) -> list[Entry]:
    """The first entries of a file; raises Unusable."""
    with open_bundle(path, allowance(limits)) as bundle:
        return list(islice(imports.modules()[kind].read(bundle), FIRST))


def reads(kind: str, path: Path) -> bool:
    """True if this kind can read any of the file's first entries."""
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
    """Begin or resume the feed's job: its id, the number of entries done, and the counts so far.

    A feed other than a file restarts from its beginning, since its list may have changed: entries added
    earlier stay counted, and are known when they come again.
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
    """One part of a feed, and the number of entries done after it."""

    person_id: int
    job_id: int
    entries: list[Viewing | Kept]
    done: int
    before: Counts


def steps(connection: Connection, waiting: list[Step]) -> list[Counts | None]:
    return [one_step(connection, step) for step in waiting]


def one_step(connection: Connection, step: Step) -> Counts | None:
    """Merge one part; returns the total counts, or None if the import was cancelled."""
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


# --- uploaded files, and imports that a person requested

Asks = Callable[[int, str], Awaitable[Feed]]
"""Gives a person's feed from the server or tracker of that name; raises Unusable and Undelivered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """An import that was requested: an uploaded file with its SHA-256, or a source to be read.

    `path` is the upload's current place. For a source, `digest` is ASKED and `path` an empty folder.
    """

    kind: str
    person_id: int
    path: Path
    name: str
    digest: str


class Imports:
    """Runs the requested imports one after another in the background.

    A file is kept until its import is over, so that the import resumes after a crash. A source has an empty
    folder in its place: only the process that has the folder works on it, and after a crash it restarts.
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
        """The folder for uploads, created if missing."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.folder

    async def remember_look(self, person_id: int, folder: Path) -> None:
        """Keep a previewed file until it is confirmed; beyond the limit a person's oldest is removed."""
        waiting = self.looked_at[person_id]
        waiting.append(folder)
        while len(waiting) > self.limits.per_person:
            await asyncio.to_thread(remove_path, waiting.popleft())

    async def take(self, given: Given) -> int:
        """Keep an uploaded file and begin its import; returns the job's id. Raises TooMany."""
        waiting = await self.database.read(partial(files_of, person_id=given.person_id))
        self.uploads.check_number(len(waiting - {given.digest}))
        home = self.folder / home_of(given.kind, given.person_id, given.digest)
        async with self.tidying:
            await asyncio.to_thread(moved_in, given.path, home, given.name)
            made = await self.database.write(store_uploads, given)
        self.asked.set()
        return made

    async def ask(self, person_id: int, kind: str, name: str) -> int:
        """Begin an import from a server or an account, or return the id of the running one."""
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
                log.warning("The database is unavailable; imports wait.", why=str(error))
                busy = False
            if not busy:
                await clock.awaken(self.asked, stop, PAUSE)

    async def clear(self) -> None:
        """Remove partial uploads and the files of finished imports."""
        if self.folder.is_dir():
            running = {home for _, home in await self.running_imports()}
            for left in set(self.folder.iterdir()) - running:
                await asyncio.to_thread(remove_path, left)

    async def once(self, stop: asyncio.Event | None = None) -> bool:
        """Work on the oldest import whose files are here; False if there is none."""
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
            log.warning("An import failed; the entries that were added are kept.", job=row.id, why=str(error))
            await self.database.write(ends, End(row.id, jobs.JobState.FAILED, str(error)))
        except Unavailable:
            raise
        except Exception as error:
            # An unforeseen error must not end the service or restart the import at every start.
            log.exception("An import failed unexpectedly; the entries that were added are kept.", job=row.id)
            why = f"a fault of ours ({type(error).__name__}), which is in the log; what came in is kept"
            await self.database.write(ends, End(row.id, jobs.JobState.FAILED, why))

    async def feed(self, row: Row[Any], home: Path) -> Feed:
        if row.digest == ASKED:
            return await self.asks(row.person_id, row.what)
        path = await asyncio.to_thread(only, home)
        return FileFeed(row.what, path, row.name, row.digest, self.limits)

    async def running_imports(self) -> list[tuple[Row[Any], Path]]:
        """The service's running imports, oldest first, each with its folder."""
        rows = await self.database.read(of_the_service)
        return [(row, self.folder / home_of(row.what, row.person_id, row.digest)) for row in rows]


def home_of(kind: str, person_id: int, digest: str) -> str:
    """The folder name of an import: the same for the same file and person, so that it resumes."""
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
    """Begin the import's job, or return the id of the unfinished one with the same content."""
    same = {"what": given.kind, "person_id": given.person_id, "digest": given.digest}
    row = jobs.latest_job_in_progress(connection, jobs.JobKind.IMPORT, **same)
    if row is not None:
        return int(row.id)
    return jobs.begin_job(
        connection, jobs.JobKind.IMPORT, given.kind, clock.now(), person_id=given.person_id, name=given.name,
        digest=given.digest,
    )  # fmt: skip


def files_of(connection: Connection, person_id: int) -> set[str]:
    """The digests of a person's files whose imports are not over."""
    rows = of_the_service(connection)
    return {row.digest for row in rows if row.person_id == person_id and row.digest != ASKED}


def of_the_service(connection: Connection) -> list[Row[Any]]:
    mine = (job.c.kind == jobs.JobKind.IMPORT.value, job.c.state == jobs.JobState.RUNNING.value)
    wanted = select(job).where(*mine, job.c.digest.is_not(None), job.c.person_id.is_not(None))
    return list(connection.execute(wanted.order_by(job.c.id)))
