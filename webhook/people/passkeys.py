"""Passkeys as they are kept: whose they are, for which address, and how often each was used."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from webhook.people import tokens
from webhook.people.people import PeopleError
from webhook.people.sessions import SignInMethod, end_sessions
from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import PasskeyRow, passkey, person, used_challenge

MAX_PASSKEYS = 20
"""Passkeys of one person."""

MAX_PASSKEY_NAME = 100
USER_HANDLE_BYTES = 32


class NewPasskey(NamedTuple):
    """A passkey that an authenticator has made; bytes are base64url."""

    rp_id: str
    credential_id: str
    public_key: str
    user_handle: str
    sign_count: int


class ListedPasskey(NamedTuple):
    """A passkey as lists show it."""

    id: int
    name: str
    person: str
    rp_id: str
    created_at: datetime
    last_used: datetime | None


# --- challenges


def use_challenge(connection: Connection, challenge: str, expires_at: datetime, now: datetime) -> bool:
    """Use a challenge up; False where it was answered before."""
    connection.execute(delete(used_challenge).where(used_challenge.c.expires_at <= now))
    digest = tokens.digest(challenge)
    known = select(used_challenge.c.digest).where(used_challenge.c.digest == digest)
    if connection.execute(known).first() is not None:
        return False
    connection.execute(insert(used_challenge), {"digest": digest, "expires_at": expires_at})
    return True


# --- rows


def has_passkeys(connection: Connection) -> bool:
    """True where anybody has a passkey."""
    return connection.execute(select(passkey.c.id).limit(1)).first() is not None


def user_handle(connection: Connection, person_id: int) -> str:
    """What authenticators know the person by: random, and the same in all of their passkeys; base64url."""
    wanted = select(passkey.c.user_handle).where(passkey.c.person_id == person_id).limit(1)
    known = connection.execute(wanted).scalar()
    return str(known) if known else secrets.token_urlsafe(USER_HANDLE_BYTES)


def find_credential_ids(connection: Connection, person_id: int, rp_id: str) -> list[str]:
    mine = (passkey.c.person_id == person_id, passkey.c.rp_id == rp_id)
    return list(connection.execute(select(passkey.c.credential_id).where(*mine)).scalars())


def add_passkey(connection: Connection, person_id: int, name: str, new: NewPasskey, now: datetime) -> None:
    """Store a person's passkey; raises PeopleError where it is somebody's already, or one too many."""
    if find_passkey(connection, new.credential_id) is not None:
        raise PeopleError("this passkey is registered already")
    count = len(list(connection.execute(select(passkey.c.id).where(passkey.c.person_id == person_id))))
    if count >= MAX_PASSKEYS:
        raise PeopleError(f"nobody can have more than {MAX_PASSKEYS} passkeys; remove one first")
    values = {**new._asdict(), "person_id": person_id, "name": name, "created_at": now}
    connection.execute(insert(passkey), values)


def find_passkey(connection: Connection, credential_id: str) -> PasskeyRow | None:
    """The passkey of which the browser sent this id."""
    return fetch_first(
        connection, select(passkey).where(passkey.c.credential_id == credential_id), PasskeyRow
    )


def find_passkey_by_id(connection: Connection, passkey_id: int) -> PasskeyRow | None:
    return fetch_first(connection, select(passkey).where(passkey.c.id == passkey_id), PasskeyRow)


def note_use(connection: Connection, passkey_id: int, sign_count: int, now: datetime) -> bool:
    """Note a use by its counter; False where the counter did not rise, as that of a copy does not.

    Many authenticators do not count: theirs is 0 for ever (https://www.w3.org/TR/webauthn-3/#sctn-sign-counter).
    """
    counts = passkey.c.sign_count
    rises = counts < sign_count if sign_count else counts == 0
    used = update(passkey).where(passkey.c.id == passkey_id, rises)
    return connection.execute(used.values(sign_count=sign_count, last_used=now)).rowcount > 0


def validate_passkey_name(name: str) -> str:
    """The name without space around it; raises PeopleError where it is empty, too long or cannot be shown."""
    name = name.strip()
    if not name or len(name) > MAX_PASSKEY_NAME or not name.isprintable():
        raise PeopleError(f"a passkey's name has 1 to {MAX_PASSKEY_NAME} characters, all of them printable")
    return name


def rename_passkey(connection: Connection, passkey_id: int, name: str) -> None:
    """Name a passkey anew; raises PeopleError."""
    named = update(passkey).where(passkey.c.id == passkey_id)
    connection.execute(named.values(name=validate_passkey_name(name)))


def remove_passkey(connection: Connection, row: PasskeyRow, *, but: str | None = None) -> None:
    """Remove a passkey and end its person's sessions that began with one, except this."""
    connection.execute(delete(passkey).where(passkey.c.id == row.id))
    end_sessions(connection, row.person_id, but=but, method=SignInMethod.PASSKEY)


def remove_passkeys(connection: Connection, person_id: int) -> int:
    """Remove all of a person's passkeys and end the sessions that began with one; return how many there were."""
    end_sessions(connection, person_id, method=SignInMethod.PASSKEY)
    return connection.execute(delete(passkey).where(passkey.c.person_id == person_id)).rowcount


def list_passkeys(connection: Connection, person_id: int | None = None) -> list[ListedPasskey]:
    """The passkeys of one person or of everybody, the oldest first."""
    columns = (passkey.c.id, passkey.c.name, person.c.name.label("person"), passkey.c.rp_id)
    wanted = select(*columns, passkey.c.created_at, passkey.c.last_used).join(
        person, passkey.c.person_id == person.c.id
    )
    if person_id is not None:
        wanted = wanted.where(passkey.c.person_id == person_id)
    return fetch_all(connection, wanted.order_by(passkey.c.id), ListedPasskey)
