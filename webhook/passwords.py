"""Passwords: what one must be, how it is kept, and the one-time link that sets the owner's."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import Connection, Row, delete, insert, select, update

from webhook import people
from webhook.tables import note, person

SHORTEST = 8
LONGEST = 1024
"""Characters; more is refused unread at the sign-in, as hashing it would take long."""

WELCOME = "welcome"
WELCOME_LASTS = timedelta(hours=24)

hasher = PasswordHasher()


class Unfit(Exception):
    """It cannot be a password; the message says why."""


def check(password: str) -> None:
    """Raises Unfit where it is too short or too long."""
    if len(password) < SHORTEST:
        raise Unfit(f"A password has at least {SHORTEST} characters.")
    if len(password) > LONGEST:
        raise Unfit(f"A password has at most {LONGEST} characters.")


def hashed(password: str) -> str:
    """The password as it is kept. Takes 64 MB for a moment."""
    return hasher.hash(password)


def fits(kept: str | None, password: str) -> bool:
    """Whether this is the password that is kept so."""
    try:
        return kept is not None and hasher.verify(kept, password)
    except (Argon2Error, InvalidHashError):
        return False


def keep(connection: Connection, person_id: int, kept: str) -> None:
    connection.execute(update(person).where(person.c.id == person_id).values(password=kept))


# --- the one-time link


def owner(connection: Connection) -> Row[Any] | None:
    wanted = select(person).where(person.c.owner.is_(True)).order_by(person.c.id)
    return connection.execute(wanted).first()


def invite(connection: Connection, secret: str, now: datetime, lasts: timedelta = WELCOME_LASTS) -> None:
    """Make /welcome/{secret} a way in, once, and no earlier one any more."""
    noted = {"digest": people.digest(secret), "expires_at": (now + lasts).isoformat()}
    connection.execute(delete(note).where(note.c.name == WELCOME))
    connection.execute(insert(note).values(name=WELCOME, value=noted))


def invited(connection: Connection, secret: str, now: datetime) -> Row[Any] | None:
    """The owner, where this one-time link is the valid one."""
    noted = connection.execute(select(note.c.value).where(note.c.name == WELCOME)).scalar()
    if noted is None or not hmac.compare_digest(noted["digest"], people.digest(secret)):
        return None
    return owner(connection) if datetime.fromisoformat(noted["expires_at"]) > now else None


def accept(connection: Connection, secret: str, kept: str, now: datetime) -> Row[Any] | None:
    """Sets the owner's password and uses the link up; None where it is not valid any more."""
    found = invited(connection, secret, now)
    if found is None:
        return None
    keep(connection, found.id, kept)
    connection.execute(delete(note).where(note.c.name == WELCOME))
    return owner(connection)
