"""Jobs: long work that resumes after a kill, such as an import, a backfill or a catch-up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from sqlalchemy import Connection, insert, select, update
from typing_extensions import TypedDict

from webhook.clock import stamp
from webhook.storage.db import fresh_ids
from webhook.storage.json_fields import Id, Time, one_of
from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import JobRow, job, person

JOBS_PAGE_SIZE = 50


class JobKind(StrEnum):
    IMPORT = "import"
    BACKFILL = "backfill"
    CATCH_UP = "catch_up"


class JobState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ListedJob(NamedTuple):
    """A job with the name of its person."""

    id: int
    kind: str
    what: str
    person: str | None
    account_id: int | None
    name: str | None
    state: str
    counts: dict[str, int]
    error: str | None
    created_at: datetime
    changed_at: datetime
    finished_at: datetime | None
    undone_at: datetime | None


class JobJson(TypedDict):
    """A job as the API gives it."""

    id: Id
    kind: Annotated[str, one_of(JobKind)]
    what: str
    person: str | None
    account: int | None
    name: str | None
    state: Annotated[str, one_of(JobState)]
    counts: dict[str, int]
    error: str | None
    created_at: Time | None
    changed_at: Time | None
    finished_at: Time | None
    undone_at: Time | None


LISTED_JOBS = select(
    job.c.id,
    job.c.kind,
    job.c.what,
    person.c.name.label("person"),
    job.c.account_id,
    job.c.name,
    job.c.state,
    job.c.counts,
    job.c.error,
    job.c.created_at,
    job.c.changed_at,
    job.c.finished_at,
    job.c.undone_at,
).join(person, job.c.person_id == person.c.id, isouter=True)


def begin_job(
    connection: Connection,
    kind: JobKind,
    what: str,
    now: datetime,
    *,
    person_id: int | None = None,
    account_id: int | None = None,
    name: str | None = None,
    digest: str | None = None,
    options: Mapping[str, str] | None = None,
) -> int:
    """Add a running job and return its id; `what` is the kind of file, the tracker or the server."""
    (job_id,) = fresh_ids(connection, job, 1)
    row: dict[str, object] = {
        "id": job_id,
        "kind": kind.value,
        "what": what,
        "person_id": person_id,
        "account_id": account_id,
        "name": name,
        "digest": digest,
        "state": JobState.RUNNING.value,
        "counts": {},
        "created_at": now,
        "changed_at": now,
        "options": dict(options) if options else None,
    }
    connection.execute(insert(job), row)
    return job_id


def find_job(connection: Connection, job_id: int) -> JobRow | None:
    return fetch_first(connection, select(job).where(job.c.id == job_id), JobRow)


def latest_job_in_progress(connection: Connection, kind: JobKind, **same: Any) -> JobRow | None:
    """The newest job of this kind that is still running, with the same values."""
    wanted = select(job).where(job.c.kind == kind.value, job.c.state == JobState.RUNNING.value)
    for name, value in same.items():
        wanted = wanted.where(job.c[name] == value)
    return fetch_first(connection, wanted.order_by(job.c.id.desc()).limit(1), JobRow)


def record_progress(
    connection: Connection, job_id: int, cursor: Any, counts: Mapping[str, int], now: datetime
) -> bool:
    """Record how far a job is; False when it is no longer running, as it was cancelled."""
    running = (job.c.id == job_id, job.c.state == JobState.RUNNING.value)
    values = {"cursor": cursor, "counts": dict(counts), "error": None, "changed_at": now}
    return bool(connection.execute(update(job).where(*running).values(values)).rowcount)


def record_trouble(connection: Connection, job_id: int, error: str, now: datetime) -> None:
    """Record the trouble of a running job, which continues by itself."""
    connection.execute(update(job).where(job.c.id == job_id).values(error=error, changed_at=now))


def finish_job(
    connection: Connection,
    job_id: int,
    now: datetime,
    state: JobState = JobState.DONE,
    error: str | None = None,
) -> None:
    running = (job.c.id == job_id, job.c.state == JobState.RUNNING.value)
    values = {"state": state.value, "error": error, "changed_at": now, "finished_at": now}
    connection.execute(update(job).where(*running).values(values))


def list_jobs(
    connection: Connection,
    *,
    kind: JobKind | None = None,
    person_id: int | None = None,
    after: int | None = None,
    limit: int = JOBS_PAGE_SIZE,
) -> list[JobJson]:
    """The newest jobs first; `after` is the last job of the page before."""
    wanted = LISTED_JOBS.order_by(job.c.id.desc()).limit(limit)
    if kind is not None:
        wanted = wanted.where(job.c.kind == kind.value)
    if person_id is not None:
        wanted = wanted.where(job.c.person_id == person_id)
    if after is not None:
        wanted = wanted.where(job.c.id < after)
    return [job_json(row) for row in fetch_all(connection, wanted, ListedJob)]


def get_job(connection: Connection, job_id: int, person_id: int | None = None) -> JobJson | None:
    """One job, of anybody or of this person."""
    wanted = LISTED_JOBS.where(job.c.id == job_id)
    if person_id is not None:
        wanted = wanted.where(job.c.person_id == person_id)
    row = fetch_first(connection, wanted, ListedJob)
    return None if row is None else job_json(row)


def job_json(row: ListedJob) -> JobJson:
    return {
        "id": row.id,
        "kind": row.kind,
        "what": row.what,
        "person": row.person,
        "account": row.account_id,
        "name": row.name,
        "state": row.state,
        "counts": row.counts,
        "error": row.error,
        "created_at": stamp(row.created_at),
        "changed_at": stamp(row.changed_at),
        "finished_at": stamp(row.finished_at),
        "undone_at": stamp(row.undone_at),
    }
