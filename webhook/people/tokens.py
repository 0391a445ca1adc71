"""Tokens: the secrets that let in a webhook, a script or an app."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import shlex
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, insert, select, update

from webhook.people.people import PeopleError
from webhook.storage.db import fresh_ids
from webhook.storage.rows import fetch_all
from webhook.storage.tables import TokenRow, person, token

MAX_TOKEN_DAYS = 3650
WEBHOOK_TOKENS_NEVER_END = (
    "a webhook token never ends, as what is sent to it later would be lost. Revoke it instead."
)


class ListedToken(NamedTuple):
    """A token as lists show it, with the name of the person it belongs to."""

    id: int
    kind: str
    sealed: str
    name: str | None
    person_id: int | None
    created_at: datetime
    revoked_at: datetime | None
    scopes: list[str] | None
    expires_at: datetime | None
    person: str | None


def token_command(kind: str, scopes: Collection[str] | None, person_name: str | None) -> str:
    """The command that makes a token of this kind, for the same person and no more than these scopes."""
    limits = [f"--scope {scope}" for scope in scopes or ()]
    owner = [] if person_name is None else [f"--person {shlex.quote(person_name)}"]
    return " ".join([f"watchmark token new --kind {kind}", *limits, *owner])


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def add_token(
    connection: Connection,
    kind: str,
    secret: str,
    sealed: str,
    now: datetime,
    *,
    name: str | None = None,
    person_id: int | None = None,
    scopes: Collection[str] | None = None,
    expires_at: datetime | None = None,
) -> int:
    """Store a token; without scopes it opens everything, without an expiry it never ends."""
    (token_id,) = fresh_ids(connection, token, 1)
    values = {"id": token_id, "kind": kind, "digest": digest(secret), "sealed": sealed, "name": name}
    values |= {"person_id": person_id, "created_at": now, "expires_at": expires_at}
    connection.execute(insert(token), {**values, "scopes": None if scopes is None else list(scopes)})
    return token_id


def newest_secret(connection: Connection) -> str | None:
    """The sealed secret of the newest token that has one."""
    newest = select(token.c.sealed).where(token.c.sealed != "").order_by(token.c.id.desc()).limit(1)
    return connection.execute(newest).scalar()


def unrevoked_tokens(connection: Connection, kind: str) -> list[TokenRow]:
    """The tokens of a kind that nobody has revoked, expired ones included."""
    unrevoked = and_(token.c.kind == kind, token.c.revoked_at.is_(None))
    return fetch_all(connection, select(token).where(unrevoked).order_by(token.c.id), TokenRow)


def valid_tokens(connection: Connection, kind: str, now: datetime) -> list[TokenRow]:
    """The tokens of a kind that let in: neither revoked nor expired."""
    return [row for row in unrevoked_tokens(connection, kind) if not has_expired(row.expires_at, now)]


def has_expired(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is not None and expires_at <= now


def app_passwords(connection: Connection, person_id: int, now: datetime) -> list[TokenRow]:
    """The person's app passwords, which let an app in beside their own password."""
    return [row for row in valid_tokens(connection, "app", now) if row.person_id == person_id]


def find_app_password(connection: Connection, person_id: int, password: str, now: datetime) -> int | None:
    """The id of the app password that this is, or None; takes the same time in either case."""
    wanted, found = digest(password), None
    for row in app_passwords(connection, person_id, now):
        if hmac.compare_digest(row.digest, wanted):
            found = row.id
    return found


def list_tokens(
    connection: Connection, person_id: int | None = None, *, revoked: bool = False
) -> list[ListedToken]:
    """The tokens of everybody or of one person; revoked ones only where they are asked for."""
    wanted = (
        select(
            token.c.id,
            token.c.kind,
            token.c.sealed,
            token.c.name,
            token.c.person_id,
            token.c.created_at,
            token.c.revoked_at,
            token.c.scopes,
            token.c.expires_at,
            person.c.name.label("person"),
        )
        .join(person, token.c.person_id == person.c.id, isouter=True)
        .order_by(token.c.id)
    )
    if not revoked:
        wanted = wanted.where(token.c.revoked_at.is_(None))
    if person_id is not None:
        wanted = wanted.where(token.c.person_id == person_id)
    return fetch_all(connection, wanted, ListedToken)


def revoke_token(connection: Connection, token_id: int, now: datetime) -> None:
    unrevoked = and_(token.c.id == token_id, token.c.revoked_at.is_(None))
    if not connection.execute(update(token).where(unrevoked).values(revoked_at=now)).rowcount:
        raise PeopleError(f"there is no valid token {token_id}")
