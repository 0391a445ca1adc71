"""Apps, their sessions, and the privacy setting; inside a caller's transaction."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, NamedTuple

from pydantic import Field
from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update
from typing_extensions import TypedDict

from webhook.accounts import sealed_secrets
from webhook.accounts.seal import Seal
from webhook.clock import stamp
from webhook.people import tokens
from webhook.people.people import PeopleError
from webhook.storage.db import fresh_ids
from webhook.storage.json_fields import Count, Id, Time
from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import AppGrantRow, AppRow, app, app_grant, app_session, person, privacy, token

KIND = "videoscrobbler"
"""The kind of a token that is a session key, and the source of webhooks sent with it."""

TOKEN_LASTS = timedelta(hours=1)
MAX_APP_NAME = 100

EVERYONE, FRIENDS, NOBODY = "everyone", "friends", "nobody"
SEEN_BY = (EVERYONE, FRIENDS, NOBODY)
NOT_CHOSEN = NOBODY
"""The privacy setting of a person who has not chosen one."""


# --- apps


@dataclass(frozen=True, slots=True)
class NewApp:
    """A new app; the secret is shown once."""

    id: int
    key: str
    secret: str


def create_app(connection: Connection, seal: Seal, name: str, person_id: int | None, now: datetime) -> NewApp:
    """Create an app with a key and a secret, as one person's own or for all. Raises PeopleError."""
    name = name.strip()
    if not name or len(name) > MAX_APP_NAME or not name.isprintable():
        raise PeopleError(f"an app's name has 1 to {MAX_APP_NAME} characters")
    key, secret = secrets.token_hex(16), secrets.token_hex(16)
    (made,) = fresh_ids(connection, app, 1)
    values = {"id": made, "key": key, "sealed": seal.seal(secret), "name": name, "person_id": person_id}
    connection.execute(insert(app), {**values, "created_at": now})
    return NewApp(made, key, secret)


def by_key(connection: Connection, key: str) -> AppRow | None:
    return fetch_first(connection, select(app).where(app.c.key == key), AppRow)


def suspend_app(connection: Connection, app_id: int, now: datetime | None) -> None:
    """Suspend an app, or with None resume it; raises PeopleError."""
    changed = update(app).where(app.c.id == app_id).values(suspended_at=now)
    if not connection.execute(changed).rowcount:
        raise PeopleError(f"there is no app {app_id}")


def remove_app(connection: Connection, app_id: int, now: datetime) -> None:
    """Remove an app and end its sessions; its plays stay. Raises PeopleError."""
    theirs = select(app_session.c.token_id).where(app_session.c.app_id == app_id)
    live = and_(token.c.id.in_(theirs), token.c.revoked_at.is_(None))
    connection.execute(update(token).where(live).values(revoked_at=now))
    if not connection.execute(delete(app).where(app.c.id == app_id)).rowcount:
        raise PeopleError(f"there is no app {app_id}")


class AppJson(TypedDict):
    """An app as the API gives it, without its secret."""

    id: Id
    name: str
    key: Annotated[str, Field(description="The API key that the app sends with every call.")]
    person: Annotated[str | None, Field(description="Who alone may let it in; null is everybody.")]
    sessions: Annotated[Count, Field(description="The number of open sessions.")]
    created_at: Time | None
    suspended_at: Time | None
    problem: Annotated[
        str | None, Field(description="What to do where its secret cannot be opened any more.")
    ]


def list_apps(connection: Connection, seal: Seal, person_id: int | None = None) -> list[AppJson]:
    """All apps, or this person's own."""
    open_ones = (
        select(app_session.c.app_id, func.count().label("sessions"))
        .join(token, token.c.id == app_session.c.token_id)
        .where(token.c.revoked_at.is_(None))
        .group_by(app_session.c.app_id)
        .subquery()
    )
    wanted = (
        select(app, person.c.name.label("person"), open_ones.c.sessions)
        .join(person, app.c.person_id == person.c.id, isouter=True)
        .join(open_ones, open_ones.c.app_id == app.c.id, isouter=True)
        .order_by(app.c.id)
    )
    if person_id is not None:
        wanted = wanted.where(app.c.person_id == person_id)
    return [
        {
            "id": row.id,
            "name": row.name,
            "key": row.key,
            "person": row.person,
            "sessions": row.sessions or 0,
            "created_at": stamp(row.created_at),
            "suspended_at": stamp(row.suspended_at),
            "problem": None if seal.opens(row.sealed) else sealed_secrets.APP_MEND,
        }
        for row in connection.execute(wanted)
    ]


# --- authorization


def find_grant(connection: Connection, asked_with: str) -> AppGrantRow | None:
    """The grant that was given for this request token; None if there is none."""
    mine = app_grant.c.digest == tokens.digest(asked_with)
    return fetch_first(connection, select(app_grant).where(mine), AppGrantRow)


def grant(connection: Connection, asked_with: str, app_id: int, person_id: int, now: datetime) -> bool:
    """Grant an app access for a person; True if the grant is theirs. A token's first grant stands."""
    old = now - 2 * TOKEN_LASTS  # by then the token itself has expired
    connection.execute(delete(app_grant).where(app_grant.c.granted_at < old))
    before = find_grant(connection, asked_with)
    if before is not None:
        return before.person_id == person_id
    values = {"digest": tokens.digest(asked_with), "app_id": app_id, "person_id": person_id}
    connection.execute(insert(app_grant), {**values, "granted_at": now})
    return True


@dataclass(frozen=True, slots=True)
class Redeeming:
    asked_with: str
    app_id: int
    app_name: str
    now: datetime


class Spent(Exception):
    """The request token was already exchanged for a session."""


def redeem(connection: Connection, one: Redeeming) -> tuple[str, str] | None:
    """The person's name and a new session key for a token; None if not granted yet. Raises Spent."""
    row = find_grant(connection, one.asked_with)
    if row is None:
        return None
    unused = and_(app_grant.c.digest == row.digest, app_grant.c.used_at.is_(None))
    if (
        row.app_id != one.app_id
        or not connection.execute(update(app_grant).where(unused).values(used_at=one.now)).rowcount
    ):
        raise Spent
    secret = tokens.new_secret()
    made = tokens.add_token(connection, KIND, secret, "", one.now, name=one.app_name, person_id=row.person_id)
    connection.execute(insert(app_session), {"token_id": made, "app_id": one.app_id})
    name = connection.execute(select(person.c.name).where(person.c.id == row.person_id)).scalar_one()
    return name, secret


class Person(NamedTuple):
    """The person of a session, and the session's token id."""

    id: int
    name: str
    token_id: int


def session(connection: Connection, app_id: int, secret: str) -> Person | None:
    """The person of this app's session; None if the key is not valid."""
    wanted = (
        select(person.c.id, person.c.name, token.c.id.label("token_id"))
        .join(token, token.c.person_id == person.c.id)
        .join(app_session, app_session.c.token_id == token.c.id)
        .where(
            token.c.digest == tokens.digest(secret),
            token.c.kind == KIND,
            token.c.revoked_at.is_(None),
            app_session.c.app_id == app_id,
        )
    )
    return fetch_first(connection, wanted, Person)


# --- users


class User(NamedTuple):
    """A person as the API shows them."""

    id: int
    name: str
    created_at: datetime


USERS = select(person.c.id, person.c.name, person.c.created_at)


def find_user(connection: Connection, name: str) -> User | None:
    return fetch_first(connection, USERS.where(person.c.name == name), User)


# --- privacy


def audience_of(connection: Connection, person_id: int) -> str:
    row = connection.execute(select(privacy.c.seen_by).where(privacy.c.person_id == person_id)).scalar()
    return row or NOT_CHOSEN


def set_seen_by(connection: Connection, person_id: int, whom: str) -> None:
    """Set who may see a person's viewing; raises PeopleError."""
    if whom not in SEEN_BY:
        raise PeopleError(f"seen by is one of {', '.join(SEEN_BY)}")
    connection.execute(delete(privacy).where(privacy.c.person_id == person_id))
    connection.execute(insert(privacy), {"person_id": person_id, "seen_by": whom})


def may_see(connection: Connection, asker: int | None, whose: int) -> bool:
    """True if the asker (None is anonymous) may see what this person watches and loves, and their friends."""
    if asker == whose:
        return True
    setting = audience_of(connection, whose)
    if setting == EVERYONE:
        return True
    return setting == FRIENDS and asker is not None and audience_of(connection, asker) != NOBODY


def visible_people(connection: Connection, asker: int | None) -> list[int]:
    """The ids of the people whom the asker may see; only their plays count in public numbers."""
    is_friend = asker is not None and audience_of(connection, asker) != NOBODY
    shown = func.coalesce(privacy.c.seen_by, NOT_CHOSEN).in_(
        (EVERYONE, FRIENDS) if is_friend else (EVERYONE,)
    )
    wanted = (
        select(person.c.id)
        .join(privacy, privacy.c.person_id == person.c.id, isouter=True)
        .where(or_(shown, person.c.id == (asker or 0)))
    )
    return list(connection.execute(wanted.order_by(person.c.id)).scalars())


def friends(connection: Connection, person_id: int, skip: int, limit: int) -> tuple[int, list[User]]:
    """The number of a person's friends and a page of them by name; all who share are friends."""
    if audience_of(connection, person_id) == NOBODY:
        return 0, []
    return others_who_share(connection, person_id, skip, limit)


def others_who_share(connection: Connection, person_id: int, skip: int, limit: int) -> tuple[int, list[User]]:
    """The number of other people who share with friends or everyone, and a page of them by name."""
    sharing = select(privacy.c.person_id).where(privacy.c.seen_by != NOBODY)
    others = and_(person.c.id != person_id, person.c.id.in_(sharing))
    count = connection.execute(select(func.count()).select_from(person).where(others)).scalar_one()
    page = USERS.where(others).order_by(person.c.name, person.c.id).offset(skip).limit(limit)
    return int(count), fetch_all(connection, page, User)
