"""Jobs: long work that goes on where it was after a kill. An import, a backfill, a catch-up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from webhook.clock import stamp
from webhook.storage.db import fresh_ids
from webhook.storage.tables import job, person

LIMIT = 50


class Kind(StrEnum):
    IMPORT = "import"
    BACKFILL = "backfill"
    CATCH_UP = "catch_up"


class State(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


def begin(
    connection: Connection,
    kind: Kind,
    what: str,
    now: datetime,
    *,
    person_id: int | None = None,
    account_id: int | None = None,
    name: str | None = None,
    digest: str | None = None,
) -> int:
    """A new running job's id. `what` is the kind of file, the tracker or the server."""
    (made,) = fresh_ids(connection, job, 1)
    values: dict[str, Any] = {"id": made, "kind": kind.value, "what": what}
    values |= {"person_id": person_id, "account_id": account_id}
    values |= {"name": name, "digest": digest, "state": State.RUNNING.value, "counts": {}}
    connection.execute(insert(job), {**values, "created_at": now, "changed_at": now})
    return made


def by_id(connection: Connection, job_id: int) -> Row[Any] | None:
    return connection.execute(select(job).where(job.c.id == job_id)).first()


def unfinished(connection: Connection, kind: Kind, **same: Any) -> Row[Any] | None:
    """The newest job of this kind that was broken off, with the same values."""
    wanted = select(job).where(job.c.kind == kind.value, job.c.state == State.RUNNING.value)
    for name, value in same.items():
        wanted = wanted.where(job.c[name] == value)
    return connection.execute(wanted.order_by(job.c.id.desc()).limit(1)).first()


def step(connection: Connection, job_id: int, cursor: Any, counts: Mapping[str, int], now: datetime) -> bool:
    """Record how far it is; False when it was cancelled meanwhile."""
    running = (job.c.id == job_id, job.c.state == State.RUNNING.value)
    values = {"cursor": cursor, "counts": dict(counts), "error": None, "changed_at": now}
    return bool(connection.execute(update(job).where(*running).values(values)).rowcount)


def trouble(connection: Connection, job_id: int, error: str, now: datetime) -> None:
    """Say what keeps a running job; it goes on by itself."""
    connection.execute(update(job).where(job.c.id == job_id).values(error=error, changed_at=now))


def finish(
    connection: Connection, job_id: int, now: datetime, state: State = State.DONE, error: str | None = None
) -> None:
    running = (job.c.id == job_id, job.c.state == State.RUNNING.value)
    values = {"state": state.value, "error": error, "changed_at": now, "finished_at": now}
    connection.execute(update(job).where(*running).values(values))


def listed(
    connection: Connection,
    *,
    kind: Kind | None = None,
    person_id: int | None = None,
    after: int | None = None,
    limit: int = LIMIT,
) -> list[dict[str, Any]]:
    """The newest jobs first, as the API gives them; those before the job `after`."""
    wanted = WITH_PERSON.order_by(job.c.id.desc()).limit(limit)
    if kind is not None:
        wanted = wanted.where(job.c.kind == kind.value)
    if person_id is not None:
        wanted = wanted.where(job.c.person_id == person_id)
    if after is not None:
        wanted = wanted.where(job.c.id < after)
    return [described(row) for row in connection.execute(wanted)]


def one(connection: Connection, job_id: int, person_id: int | None = None) -> dict[str, Any] | None:
    """One job as the API gives it, of anybody or of this person."""
    wanted = WITH_PERSON.where(job.c.id == job_id)
    if person_id is not None:
        wanted = wanted.where(job.c.person_id == person_id)
    row = connection.execute(wanted).first()
    return None if row is None else described(row)


WITH_PERSON = select(job, person.c.name.label("person")).join(
    person, job.c.person_id == person.c.id, isouter=True
)


def described(row: Row[Any]) -> dict[str, Any]:
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
    }
