"""Passwords: their rules, their hashes, and the one-time links that set one."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, delete, insert, or_, select, update

from webhook.people import tokens
from webhook.people.sessions import end_sessions
from webhook.storage.rows import fetch_first
from webhook.storage.tables import PersonRow, note, person

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_LENGTH = 1024
"""Characters; a longer one is refused unread at the sign-in, as hashing it would take long."""

WELCOME = "welcome"
WELCOME_LASTS = timedelta(hours=24)


class InvalidPassword(Exception):
    """It cannot be a password; the message says why."""


class WelcomeLink(NamedTuple):
    """A valid link: the note that holds it, the person it lets in, and whether it asks for a password first."""

    note: str
    person: PersonRow
    asks_password: bool = True


def validate_password(password: str) -> None:
    """Raises InvalidPassword where it is too short or too long."""
    if len(password) < MIN_PASSWORD_LENGTH:
        raise InvalidPassword(f"A password has at least {MIN_PASSWORD_LENGTH} characters.")
    if len(password) > MAX_PASSWORD_LENGTH:
        raise InvalidPassword(f"A password has at most {MAX_PASSWORD_LENGTH} characters.")


@cache
def password_hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()


def hash_password(password: str) -> str:
    """The hash that is stored; making it takes 64 MB for a moment."""
    return password_hasher().hash(password)


def verify_password(stored: str | None, password: str) -> bool:
    """True when the stored hash is of this password."""
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return stored is not None and password_hasher().verify(stored, password)
    except (Argon2Error, InvalidHashError):
        return False


def set_password(connection: Connection, person_id: int, password_hash: str) -> None:
    """Set the password, which ends the person's sessions."""
    connection.execute(update(person).where(person.c.id == person_id).values(password=password_hash))
    end_sessions(connection, person_id)


# --- the one-time link


def find_owner(connection: Connection) -> PersonRow | None:
    wanted = select(person).where(person.c.owner.is_(True)).order_by(person.c.id)
    return fetch_first(connection, wanted, PersonRow)


def invite(
    connection: Connection,
    secret: str,
    now: datetime,
    lasts: timedelta = WELCOME_LASTS,
    person_id: int | None = None,
    *,
    asks_password: bool = True,
) -> None:
    """Let /welcome/{secret} in the owner, or this person, once; their earlier links end.

    A link of the demo does not ask for a new password, and lets in whenever it is opened.
    """
    name = WELCOME if person_id is None else f"{WELCOME}:{person_id}"
    value = {
        "digest": tokens.digest(secret),
        "expires_at": (now + lasts).isoformat(),
        "person": person_id,
        "asks_password": asks_password,
    }
    connection.execute(delete(note).where(note.c.name == name))
    connection.execute(insert(note).values(name=name, value=value))


def accept_invitation(
    connection: Connection, secret: str, password_hash: str, now: datetime
) -> PersonRow | None:
    """Set the password and use the link up; None where it is not valid any more."""
    link = find_link(connection, secret, now)
    if link is None:
        return None
    set_password(connection, link.person.id, password_hash)
    connection.execute(delete(note).where(note.c.name == link.note))
    return fetch_first(connection, select(person).where(person.c.id == link.person.id), PersonRow)


def find_link(connection: Connection, secret: str, now: datetime) -> WelcomeLink | None:
    """The valid link with this secret, which is compared with every link in constant time."""
    digest, found = tokens.digest(secret), None
    links = or_(note.c.name == WELCOME, note.c.name.startswith(f"{WELCOME}:", autoescape=True))
    for name, value in connection.execute(select(note.c.name, note.c.value).where(links)):
        if hmac.compare_digest(value["digest"], digest):
            found = name, value
    if found is None or datetime.fromisoformat(found[1]["expires_at"]) <= now:
        return None
    wanted = found[1].get("person")
    if wanted is None:
        row = find_owner(connection)
    else:
        row = fetch_first(connection, select(person).where(person.c.id == wanted), PersonRow)
    return None if row is None else WelcomeLink(found[0], row, found[1].get("asks_password", True))
