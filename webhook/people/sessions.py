"""Sessions: the browsers that people are signed in with, each until it is ended or thirty days old."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import PersonRow, SessionRow, person, session

SESSION_LIFE = timedelta(days=30)
MAX_SESSIONS = 50
"""Sessions of one person; a further one ends that which was not used for longest."""

MAX_BROWSER_LENGTH = 200
NOTE_INTERVAL = timedelta(hours=1)
"""The time after which it is noted again that a session is used."""


class SignInMethod(StrEnum):
    PASSWORD = "password"
    LINK = "link"
    OIDC = "oidc"
    PROXY = "proxy"
    PASSKEY = "passkey"


class NewSession(NamedTuple):
    """A session that begins: its secret name, how the person signed in, and with what, from where."""

    nonce: str
    person_id: int
    method: SignInMethod
    browser: str
    address: str


class OpenSession(NamedTuple):
    """A session as lists show it."""

    id: int
    nonce: str
    method: str
    browser: str
    address: str
    created_at: datetime
    last_seen: datetime
    person: str


def add_session(connection: Connection, new: NewSession, now: datetime) -> None:
    """Store a session; those that are over, and of too many the oldest, are forgotten."""
    connection.execute(delete(session).where(session.c.created_at <= now - SESSION_LIFE))
    kept = select(session.c.id).where(session.c.person_id == new.person_id)
    over = kept.order_by(session.c.last_seen.desc(), session.c.id.desc()).offset(MAX_SESSIONS - 1)
    ids = list(connection.execute(over).scalars())
    connection.execute(delete(session).where(session.c.id.in_(ids)))
    values = {**new._asdict(), "browser": new.browser[:MAX_BROWSER_LENGTH], "address": new.address[:64]}
    connection.execute(insert(session), {**values, "created_at": now, "last_seen": now})


def find_session(connection: Connection, nonce: str, now: datetime) -> tuple[SessionRow, PersonRow] | None:
    """The session of this name with its person, unless it was ended or is over."""
    row = fetch_first(connection, select(session).where(session.c.nonce == nonce), SessionRow)
    if row is None or row.created_at <= now - SESSION_LIFE:
        return None
    whose = fetch_first(connection, select(person).where(person.c.id == row.person_id), PersonRow)
    return None if whose is None else (row, whose)


def note_use(connection: Connection, session_id: int, address: str, now: datetime) -> None:
    mine = update(session).where(session.c.id == session_id)
    connection.execute(mine.values(last_seen=now, address=address[:64]))


def end_session(connection: Connection, nonce: str) -> None:
    """End a session, even for copies of its cookie."""
    connection.execute(delete(session).where(session.c.nonce == nonce))


def end_sessions(
    connection: Connection, person_id: int, *, but: str | None = None, method: SignInMethod | None = None
) -> int:
    """End a person's sessions, except one or only those of one method; return how many there were."""
    mine = delete(session).where(session.c.person_id == person_id)
    if but is not None:
        mine = mine.where(session.c.nonce != but)
    if method is not None:
        mine = mine.where(session.c.method == method.value)
    return connection.execute(mine).rowcount


def end_session_by_id(connection: Connection, session_id: int, person_id: int | None) -> bool:
    """End a session, of this person or of anybody; False where there is none."""
    one = delete(session).where(session.c.id == session_id)
    if person_id is not None:
        one = one.where(session.c.person_id == person_id)
    return connection.execute(one).rowcount > 0


def list_sessions(connection: Connection, person_id: int | None, now: datetime) -> list[OpenSession]:
    """The open sessions of one person or of everybody, the last used first."""
    columns = (session.c.id, session.c.nonce, session.c.method, session.c.browser, session.c.address)
    wanted = select(*columns, session.c.created_at, session.c.last_seen, person.c.name.label("person")).join(
        person, session.c.person_id == person.c.id
    )
    wanted = wanted.where(session.c.created_at > now - SESSION_LIFE)
    if person_id is not None:
        wanted = wanted.where(session.c.person_id == person_id)
    return fetch_all(
        connection, wanted.order_by(session.c.last_seen.desc(), session.c.id.desc()), OpenSession
    )
