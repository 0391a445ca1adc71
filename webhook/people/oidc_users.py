"""Users of an OpenID provider, and the person that each of them is.

Nobody is guessed: a user is a person by the link that this person or the owner made, or by the claim that
OIDC_PERSON_CLAIM names, and by that only where no other user of the provider is that person already.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from webhook.people.people import PeopleError
from webhook.people.sessions import SignInMethod, end_sessions
from webhook.storage.rows import fetch_all, fetch_first, fetch_one
from webhook.storage.tables import OidcUserRow, PersonRow, oidc_user, person

MAX_UNLINKED = 50
"""Users without a person that are remembered; of more, the one not seen for longest is forgotten."""


@dataclass(frozen=True, slots=True)
class OidcUser:
    """A user as the provider describes them; `person` is the value of the claim that OIDC_PERSON_CLAIM names."""

    issuer: str
    subject: str
    label: str
    person: str | None = None


class ListedOidcUser(NamedTuple):
    """A user with the name of the person that they are, or None."""

    id: int
    issuer: str
    label: str
    person: str | None
    last_seen: datetime


def sign_in_user(connection: Connection, user: OidcUser, now: datetime) -> PersonRow | None:
    """The person that the user is, or None: then the user waits for the owner to say who they are."""
    row = upsert_user(connection, user, now)
    person_id = row.person_id
    if person_id is None and (named := find_unlinked_person(connection, user)) is not None:
        set_person(connection, row.id, named)
        person_id = named
    if person_id is None:
        prune_strangers(connection)
        return None
    return fetch_one(connection, select(person).where(person.c.id == person_id), PersonRow)


def upsert_user(connection: Connection, user: OidcUser, now: datetime) -> OidcUserRow:
    """The stored user, added or brought up to date."""
    mine = (oidc_user.c.issuer == user.issuer, oidc_user.c.subject == user.subject)
    values = {"label": user.label, "last_seen": now}
    if not connection.execute(update(oidc_user).where(*mine).values(values)).rowcount:
        known = {"issuer": user.issuer, "subject": user.subject, "first_seen": now}
        connection.execute(insert(oidc_user), {**known, **values})
    return fetch_one(connection, select(oidc_user).where(*mine), OidcUserRow)


def find_unlinked_person(connection: Connection, user: OidcUser) -> int | None:
    """The person whom the user's claim names, unless another user of the same provider is that person."""
    if user.person is None:
        return None
    named = connection.execute(select(person.c.id).where(person.c.name == user.person)).scalar()
    others = (oidc_user.c.issuer == user.issuer, oidc_user.c.person_id == named)
    linked = connection.execute(select(oidc_user.c.id).where(*others).limit(1)).first()
    return None if named is None or linked else int(named)


def link_user(connection: Connection, user: OidcUser, person_id: int, now: datetime) -> None:
    """Link the user to a person who proved to be both; raises PeopleError where the user is somebody else."""
    row = upsert_user(connection, user, now)
    if row.person_id not in (None, person_id):
        raise PeopleError(f"{user.label} is linked to another person already")
    set_person(connection, row.id, person_id)


def assign_user(connection: Connection, user_id: int, person_id: int) -> None:
    """Say who a waiting user is; raises PeopleError where there is none, or where they are somebody already."""
    row = find_user(connection, user_id)
    if row is None:
        raise PeopleError(f"there is no user {user_id} of an OpenID provider")
    if row.person_id not in (None, person_id):
        raise PeopleError(f"{row.label} is linked to another person already")
    set_person(connection, user_id, person_id)


def set_person(connection: Connection, user_id: int, person_id: int) -> None:
    connection.execute(update(oidc_user).where(oidc_user.c.id == user_id).values(person_id=person_id))


def remove_user(connection: Connection, user_id: int) -> None:
    """Forget a user and end the sessions begun at the provider; who signs in as them again waits to be linked."""
    row = find_user(connection, user_id)
    if row is not None and row.person_id is not None:
        end_sessions(connection, row.person_id, method=SignInMethod.OIDC)
    connection.execute(delete(oidc_user).where(oidc_user.c.id == user_id))


def prune_strangers(connection: Connection) -> None:
    unlinked = select(oidc_user.c.id).where(oidc_user.c.person_id.is_(None))
    over = unlinked.order_by(oidc_user.c.last_seen.desc(), oidc_user.c.id.desc()).offset(MAX_UNLINKED)
    gone = list(connection.execute(over).scalars())
    connection.execute(delete(oidc_user).where(oidc_user.c.id.in_(gone)))


def find_user(connection: Connection, user_id: int) -> OidcUserRow | None:
    return fetch_first(connection, select(oidc_user).where(oidc_user.c.id == user_id), OidcUserRow)


def list_users(connection: Connection, person_id: int | None = None) -> list[ListedOidcUser]:
    """The users of everybody, those who wait first, or those of one person."""
    columns = (
        oidc_user.c.id,
        oidc_user.c.issuer,
        oidc_user.c.label,
        person.c.name.label("person"),
        oidc_user.c.last_seen,
    )
    wanted = select(*columns).join(person, oidc_user.c.person_id == person.c.id, isouter=True)
    if person_id is not None:
        wanted = wanted.where(oidc_user.c.person_id == person_id)
    ordered = wanted.order_by(oidc_user.c.person_id.is_not(None), oidc_user.c.id)
    return fetch_all(connection, ordered, ListedOidcUser)
