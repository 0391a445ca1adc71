"""Import queue: runs uploaded files and requested sources one after another.

What reads and merges them is loaded for the first import.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import structlog
from sqlalchemy import Connection, select

from webhook import clock
from webhook.domain.outcome import Undelivered
from webhook.queues import jobs
from webhook.storage.db import Database, Unavailable
from webhook.storage.rows import fetch_all
from webhook.storage.tables import job
from webhook.transfer.limits import Limits, NoRoom, Uploads
from webhook.transfer.records import Options, Unusable

if TYPE_CHECKING:
    from webhook.transfer.import_feeds import Feed

log = structlog.get_logger()

POLL_SECONDS = 2.0


ASKED = "asked"
"""The digest of a job that imports from a server or an account, in place of a file's SHA-256."""


Asks = Callable[[int, str], Awaitable["Feed"]]
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
    options: Options = field(default_factory=dict)


class StoredImport(NamedTuple):
    """An import in progress, as its job stores it."""

    id: int
    what: str
    person_id: int
    name: str
    digest: str
    options: dict[str, str] | None


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
            await asyncio.to_thread(move_in, given.path, home, given.name)
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
                busy = await self.run_once(stop)
            except Unavailable as error:
                log.warning("The database is unavailable; imports wait.", why=str(error))
                busy = False
            if not busy:
                await clock.awaken(self.asked, stop, POLL_SECONDS)

    async def clear(self) -> None:
        """Remove partial uploads and the files of finished imports."""
        if self.folder.is_dir():
            running = {home for _, home in await self.running_imports()}
            for left in set(self.folder.iterdir()) - running:
                await asyncio.to_thread(remove_path, left)

    async def run_once(self, stop: asyncio.Event | None = None) -> bool:
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

    async def work(self, row: StoredImport, home: Path) -> None:
        from webhook.transfer.import_job import End, ends, run

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

    async def feed(self, row: StoredImport, home: Path) -> Feed:
        from webhook.transfer.import_feeds import FileFeed

        if row.digest == ASKED:
            return await self.asks(row.person_id, row.what)
        path = await asyncio.to_thread(only_file, home)
        return FileFeed(row.what, path, row.name, row.digest, self.limits, row.options or {})

    async def running_imports(self) -> list[tuple[StoredImport, Path]]:
        """The service's running imports, oldest first, each with its folder."""
        rows = await self.database.read(of_the_service)
        return [(row, self.folder / home_of(row.what, row.person_id, row.digest)) for row in rows]


def home_of(kind: str, person_id: int, digest: str) -> str:
    """The folder name of an import: the same for the same file and person, so that it resumes."""
    return f"{kind}-{person_id}-{digest}"


def only_file(home: Path) -> Path:
    (path,) = home.iterdir()
    return path


def move_in(path: Path, home: Path, name: str) -> None:
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
        digest=given.digest, options=given.options,
    )  # fmt: skip


def files_of(connection: Connection, person_id: int) -> set[str]:
    """The digests of a person's files whose imports are not over."""
    rows = of_the_service(connection)
    return {row.digest for row in rows if row.person_id == person_id and row.digest != ASKED}


def of_the_service(connection: Connection) -> list[StoredImport]:
    mine = (job.c.kind == jobs.JobKind.IMPORT.value, job.c.state == jobs.JobState.RUNNING.value)
    columns = (job.c.id, job.c.what, job.c.person_id, job.c.name, job.c.digest, job.c.options)
    wanted = select(*columns).where(*mine, job.c.digest.is_not(None), job.c.person_id.is_not(None))
    return fetch_all(connection, wanted.order_by(job.c.id), StoredImport)
