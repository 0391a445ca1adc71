"""Tallies: cached statistics of a person's plays before some time.

A tally is right as long as it is there: triggers in the database (migrations/versions/0004_tallies.py)
let go of it in the transaction in which a play that it counts changes, whoever changes it. So it is begun
with an empty row, committed before the counting starts, and is put into that row if it is still there.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, func, insert, select, update

from webhook.storage.tables import person, tally

if TYPE_CHECKING:
    from webhook.history.stats_shows import TallyJson

PLAYS_LOCK = 7102
"""The advisory lock that a change of plays shares on PostgreSQL, with the person's id; the triggers use this number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """A stored tally of all plays before `until`; `size` is the number of titles stored with it."""

    what: str
    token: str
    until: datetime
    made_at: datetime
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenTally:
    """A tally being counted."""

    person_id: int
    what: str
    token: str
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedTally:
    """A counted tally: `answer` as returned, `titles` as later plays are added to them."""

    begun: OpenTally
    answer: TallyJson
    titles: list[TallyTitle]


TallyTitle = tuple[str, str | None, str | None, int | None, int, int, int]
"""A group of plays by kind, title, ids and year; how many, their time in ms, and when the last one was (UTC ms)."""

TALLY_COLUMNS = (tally.c.what, tally.c.token, tally.c.until, tally.c.made_at, tally.c.size)


def list_tallies(connection: Connection, person_id: int) -> dict[str, Tally]:
    """The person's tallies, by name."""
    wanted = select(*TALLY_COLUMNS).where(tally.c.person_id == person_id, tally.c.size.is_not(None))
    rows = connection.execute(wanted.order_by(tally.c.made_at))
    return {row.what: Tally(**row._mapping) for row in rows}


def find_tally(connection: Connection, person_id: int, what: str) -> tuple[Tally, TallyJson] | None:
    """A tally and its answer, or None if it must be counted."""
    here = (tally.c.person_id == person_id, tally.c.what == what, tally.c.size.is_not(None))
    wanted = select(*TALLY_COLUMNS, tally.c.answer).where(*here).order_by(tally.c.made_at.desc()).limit(1)
    row = connection.execute(wanted).first()
    if row is None:
        return None
    values = dict(row._mapping)
    answer = values.pop("answer")
    return Tally(**values), answer


def tally_titles(connection: Connection, person_id: int, found: Tally) -> list[TallyTitle] | None:
    """The titles of a tally, or None if it was dropped since it was read."""
    here = (tally.c.person_id == person_id, tally.c.what == found.what, tally.c.token == found.token)
    return connection.execute(select(tally.c.titles).where(*here)).scalar()


# --- in a transaction that writes


def begin_tally(
    connection: Connection, person_id: int, what: str, until: datetime, now: datetime
) -> OpenTally | None:
    """Begin an empty tally, to be counted after the commit; None while the person's plays are changing."""
    there = connection.execute(select(person.c.id).where(person.c.id == person_id)).first()
    if there is None or not is_alone(connection, person_id):
        return None
    mine = (tally.c.person_id == person_id, tally.c.what == what)
    connection.execute(delete(tally).where(*mine, tally.c.size.is_(None)))
    begun = OpenTally(person_id=person_id, what=what, token=secrets.token_hex(16), until=until)
    values = {"person_id": person_id, "what": what, "token": begun.token, "until": until, "made_at": now}
    connection.execute(insert(tally), values)
    return begun


def store_tally(connection: Connection, counted: CountedTally) -> bool:
    """Store a counted tally in place of an older one; returns False if plays have changed since it began."""
    begun = counted.begun
    if not is_alone(connection, begun.person_id):
        return False
    mine = (tally.c.person_id == begun.person_id, tally.c.what == begun.what)
    values = {"answer": counted.answer, "titles": counted.titles, "size": len(counted.titles)}
    done = connection.execute(update(tally).where(*mine, tally.c.token == begun.token).values(values))
    if done.rowcount:
        connection.execute(delete(tally).where(*mine, tally.c.token != begun.token))
    return bool(done.rowcount)


def is_alone(connection: Connection, person_id: int) -> bool:
    """True if no other transaction is changing the person's plays; on SQLite the write lock ensures it."""
    if connection.dialect.name == "sqlite":
        return True
    return bool(
        connection.execute(select(func.pg_try_advisory_xact_lock(PLAYS_LOCK, person_id))).scalar_one()
    )
