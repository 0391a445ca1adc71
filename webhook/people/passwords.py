"""Passwords: what one must be, how it is kept, and the one-time links that set one."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from webhook.people import people
from webhook.storage.tables import note, person

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


def invite(
    connection: Connection,
    secret: str,
    now: datetime,
    lasts: timedelta = WELCOME_LASTS,
    person_id: int | None = None,
) -> None:
    """Make /welcome/{secret} a way in for the owner, or this person, once; no earlier one of theirs is any more."""
    name = WELCOME if person_id is None else f"{WELCOME}:{person_id}"
    noted = {
        "digest": people.digest(secret),
        "expires_at": (now + lasts).isoformat(),
        "person": person_id,
    }
    connection.execute(delete(note).where(note.c.name == name))
    connection.execute(insert(note).values(name=name, value=noted))


def invited(connection: Connection, secret: str, now: datetime) -> Row[Any] | None:
    """Whose one-time link this is, where it is a valid one."""
    found = link(connection, secret, now)
    return None if found is None else found[1]


def accept(connection: Connection, secret: str, kept: str, now: datetime) -> Row[Any] | None:
    """Sets the password and uses the link up; None where it is not valid any more."""
    found = link(connection, secret, now)
    if found is None:
        return None
    name, row = found
    keep(connection, row.id, kept)
    connection.execute(delete(note).where(note.c.name == name))
    return connection.execute(select(person).where(person.c.id == row.id)).first()


def link(connection: Connection, secret: str, now: datetime) -> tuple[str, Row[Any]] | None:
    """A valid link's name among the notes, and whom it lets in. Compares with all there are, in constant time."""
    digest, found = people.digest(secret), None
    links = or_(note.c.name == WELCOME, note.c.name.startswith(f"{WELCOME}:", autoescape=True))
    for name, noted in connection.execute(select(note.c.name, note.c.value).where(links)):
        if hmac.compare_digest(noted["digest"], digest):
            found = name, noted
    if found is None or datetime.fromisoformat(found[1]["expires_at"]) <= now:
        return None
    wanted = found[1].get("person")
    if wanted is None:
        row = owner(connection)
    else:
        row = connection.execute(select(person).where(person.c.id == wanted)).first()
    return None if row is None else (found[0], row)
