"""Identities: the users of media servers, who claims them, and whose an event is."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, insert, or_, select, update

from webhook.domain.event import Action, Event
from webhook.domain.states import WebhookState
from webhook.people.ownership import lock_ownership
from webhook.people.people import CLAIMED_NOTE, PeopleError, find_person, fold_name, remember_claims
from webhook.storage.prepared import Prepared
from webhook.storage.rows import fetch_all, fetch_first, fetch_one
from webhook.storage.tables import IdentityRow, identity, note, person, webhook

MAX_USER_LENGTH = 200
EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")

BUILTIN_APIS = ("tvtime", "videoscrobbler")
"""The APIs of Watchmark itself, where whoever signs in claims their own name."""

PLAYBACK_ACTIONS = frozenset(
    {
        Action.START,
        Action.RESUME,
        Action.PAUSE,
        Action.STOP,
        Action.PROGRESS,
        Action.WATCHED,
        Action.UNWATCHED,
    }
)

PLEX_OWNER_ID = "1"
"""The account id of a Plex server's owner in some webhooks; in others it is the one of plex.tv."""

PLEX_SOURCES = ("plex", "tautulli")
"""The sources whose account ids are those of plex.tv, on every server."""

UNNAMED_USER = "(nobody named)"
"""The user of a sender that names none, so that what it plays can be claimed like anybody's."""

USER_IGNORED = "nobody tracks this user"
PERSON_REMOVED = "person_removed"
CLAIMED_BY_ANOTHER = "its address belongs to one person, and somebody else claims this user"


@dataclass(frozen=True, slots=True)
class Ownership:
    """The person an event belongs to, or None with the identity that nobody claims or that is ignored."""

    person_id: int | None
    identity_id: int | None
    reason: str
    ignored: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The source of a webhook, the person whose own token it came by, if any, and its time.

    With `claim_first` the first to play something, while nobody claims anything, is the first person.
    """

    source: str
    token_person_id: int | None
    at: datetime
    claim_first: bool = False


class NamedPerson(NamedTuple):
    id: int
    name: str


class ClaimRow(NamedTuple):
    """An identity that may be claimed."""

    id: int
    person_id: int | None


class Claim(NamedTuple):
    """The person who claims a user, and the user's identity, if any."""

    identity_id: int | None
    person_id: int


# --- whose an event is


def owner_of(connection: Connection, event: Event, origin: Origin) -> Ownership:
    """The owner of an event: whoever claims its user. A person's own token admits only their own events."""
    if origin.token_person_id is not None and not event.user:
        reason = "the webhook's token belongs to this person, and it names nobody"
        return Ownership(origin.token_person_id, None, reason)
    row = upsert_identity(connection, origin.source, event, origin.at)
    if row.person_id is None and (claimer := claimer_anywhere(connection, origin.source, row.user, event)):
        connection.execute(update(identity).where(identity.c.id == row.id).values(person_id=claimer))
        row = fetch_one(connection, select(identity).where(identity.c.id == row.id), IdentityRow)
    if row.person_id is not None and origin.token_person_id not in (None, row.person_id):
        return Ownership(None, row.id, CLAIMED_BY_ANOTHER)
    if row.person_id is not None:
        return Ownership(row.person_id, row.id, f"claimed as {origin.source}:{row.label}")
    if row.ignored or is_ignored_anywhere(connection, origin.source, row.user, event):
        return Ownership(None, row.id, USER_IGNORED, ignored=True)
    if origin.claim_first and origin.token_person_id is None:
        first = first_person(connection, event)
        if first is not None:
            return claim_for_first(connection, origin.source, row, first)
    return Ownership(None, row.id, f"nobody claims {origin.source}:{row.label}")


def claim_for_first(connection: Connection, source: str, row: IdentityRow, person_id: int) -> Ownership:
    connection.execute(update(identity).where(identity.c.id == row.id).values(person_id=person_id))
    remember_claims(connection)
    requeue_webhooks(connection, [row.id])  # what they rated before they played waits for this claim
    reason = f"the first to play something, so claimed as {source}:{row.label}"
    return Ownership(person_id, row.id, reason)


def owner_of_sign_in(
    connection: Connection, source: str, event: Event, person_id: int, now: datetime
) -> Ownership:
    """The owner of an event that came through a built-in API: the person who had signed in to it."""
    name = connection.execute(select(person.c.name).where(person.c.id == person_id)).scalar()
    if name is None:
        return Ownership(None, None, PERSON_REMOVED, ignored=True)
    row = upsert_identity(connection, source, event, now) if event.user else None
    mine = row is not None and row.person_id == person_id
    return Ownership(person_id, row.id if row is not None and mine else None, f"signed in here as {name}")


def owner_of_collection(connection: Connection, name: str) -> Ownership | None:
    """The owner of a collection that a server adds to by itself, where COLLECTION_OF names one."""
    found = connection.execute(select(person.c.id).where(person.c.name == name)).scalar() if name else None
    return None if found is None else Ownership(found, None, "COLLECTION_OF names this person")


def first_person(connection: Connection, event: Event) -> int | None:
    """The person that whoever plays first becomes, while nobody claims anything, nor ever did."""
    # A server's own record holds everybody's plays, so its first is nobody in particular.
    if event.action not in PLAYBACK_ACTIONS or event.recorded or not event.user or has_claims(connection):
        return None
    return connection.execute(select(person.c.id).order_by(person.c.id).limit(1)).scalar()


def has_claims(connection: Connection) -> bool:
    """True once somebody has claimed a user of a media server, even if the claim was given up since."""
    claimed = and_(identity.c.person_id.is_not(None), identity.c.source.not_in(BUILTIN_APIS))
    noted = connection.execute(select(note.c.name).where(note.c.name == CLAIMED_NOTE)).first()
    return bool(noted or connection.execute(select(identity.c.id).where(claimed).limit(1)).first())


# --- identities

SELECT_IDENTITY = Prepared(
    select(identity).where(
        identity.c.source == bindparam("of_source"),
        identity.c.server == bindparam("of_server"),
        identity.c.user == bindparam("of_user"),
    )
)


def upsert_identity(connection: Connection, source: str, event: Event, now: datetime) -> IdentityRow:
    """The identity of the event's user on its server, added when it is new."""
    label, row = find_user(connection, source, event)
    if row is None:
        return add_identity(connection, source, event, label, now)
    values: dict[str, object] = {}
    if row.last_seen is None or (now - row.last_seen).total_seconds() > 60:
        values = {"last_seen": now, "server_name": event.server_name or row.server_name}
    if event.user_id and event.user_id not in row.account_ids:
        values["account_ids"] = [*row.account_ids, event.user_id]
    if values:
        connection.execute(update(identity).where(identity.c.id == row.id).values(values))
    return row


def find_user(connection: Connection, source: str, event: Event) -> tuple[str, IdentityRow | None]:
    """The name that the event's user has here, and the identity on its server, if it was seen before.

    A user of the same name with another account is somebody else, so that nobody takes a claimed name.
    """
    label = event.user or UNNAMED_USER
    row = find_identity(connection, source, event.server, fold_name(label))
    if row is not None and is_another_account(row.account_ids, event.user_id):
        label = f"{label} (account {event.user_id})"
        row = find_identity(connection, source, event.server, fold_name(label))
    return label, row


def find_identity(connection: Connection, source: str, server: str | None, user: str) -> IdentityRow | None:
    wanted = {
        "of_source": source,
        "of_server": (server or "")[:MAX_USER_LENGTH],
        "of_user": user[:MAX_USER_LENGTH],
    }
    return fetch_first(connection, SELECT_IDENTITY, IdentityRow, wanted)


def add_identity(connection: Connection, source: str, event: Event, label: str, now: datetime) -> IdentityRow:
    values = {
        "source": source,
        "server": (event.server or "")[:MAX_USER_LENGTH],
        "user": fold_name(label)[:MAX_USER_LENGTH],
        "label": label[:MAX_USER_LENGTH],
        "account_ids": [event.user_id] if event.user_id else [],
        "server_name": event.server_name,
        "first_seen": now,
        "last_seen": now,
    }
    connection.execute(insert(identity), values)
    row = find_identity(connection, source, event.server, fold_name(label))
    assert row is not None
    return row


def is_another_account(account_ids: Collection[str], account_id: str | None) -> bool:
    """True when an account id is of somebody else than the ones that a user's name has had."""
    if not account_id or not account_ids or account_id in account_ids or account_id == PLEX_OWNER_ID:
        return False
    return any(known != PLEX_OWNER_ID for known in account_ids)


def claimer_anywhere(connection: Connection, source: str, user: str, event: Event) -> int | None:
    """The person who claims the event's user on any server."""
    matching = matches_any_server(source, user, event.server)
    claimed = select(identity.c.person_id).where(matching, identity.c.person_id.is_not(None))
    claimer: int | None = connection.execute(claimed.limit(1)).scalar()
    known_as = identity.c.person_id == claimer
    if claimer is None or is_another_plex_account(connection, source, user, known_as, event.user_id):
        return None
    return claimer


def is_ignored_anywhere(connection: Connection, source: str, user: str, event: Event) -> bool:
    known_as = identity.c.ignored.is_(True)
    ignored = select(identity.c.id).where(matches_any_server(source, user, event.server), known_as)
    if connection.execute(ignored.limit(1)).first() is None:
        return False
    return not is_another_plex_account(connection, source, user, known_as, event.user_id)


def is_another_plex_account(
    connection: Connection, source: str, user: str, known_as: ColumnElement[bool], account_id: str | None
) -> bool:
    """True when an account is none of those that a user's name has on any server, among identities that are `known_as`.

    An account of plex.tv is the same on each server; elsewhere each server has ids of its own.
    """
    if source not in PLEX_SOURCES:
        return False
    named = select(identity.c.account_ids).where(
        identity.c.source.in_(PLEX_SOURCES), identity.c.user == user[:MAX_USER_LENGTH], known_as
    )
    known = {one for account_ids in connection.execute(named).scalars() for one in account_ids}
    return is_another_account(known, account_id)


def matches_any_server(source: str, name: str, server: str | None) -> ColumnElement[bool]:
    """The user on any server; a Tautulli user is the Plex user of the server it watches."""
    user = identity.c.user == name[:MAX_USER_LENGTH]
    anywhere = and_(identity.c.source == source, identity.c.server == "", user)
    same_server = and_(identity.c.source == "plex", identity.c.server == (server or "-"), user)
    return or_(anywhere, same_server) if source == "tautulli" else anywhere


def find_claim(connection: Connection, source: str, event: Event) -> Claim | None:
    """The claim of the event's user, on this server or on any; its identity is None where none was seen here."""
    if not event.user:
        return None
    label, row = find_user(connection, source, event)
    if row is not None and row.person_id is not None:
        return Claim(row.id, row.person_id)
    claimer = claimer_anywhere(connection, source, fold_name(label), event)
    return None if claimer is None else Claim(row.id if row else None, claimer)


# --- claims


def claim_identities(connection: Connection, name: str, wanted: str, now: datetime) -> list[int]:
    """Let a person claim `source:user` (any server) or `source:user@server`; return the identities' ids."""
    claimer = find_person(connection, name)
    ids = resolve_identities(connection, wanted, now)
    assign_identities(connection, ids, claimer.id)
    return ids


def claim_own_name(connection: Connection, person_id: int, source: str, now: datetime) -> str:
    """Let a person claim their own name at a built-in API; return the user name they have there.

    Two people whose names differ in case only are told apart by a colon, which no name has.
    """
    people = fetch_all(connection, select(person.c.id, person.c.name), NamedPerson)
    name = next(other.name for other in people if other.id == person_id)
    twins = [other for other in people if other.id != person_id and fold_name(other.name) == fold_name(name)]
    user = f"{name}:{person_id}" if twins else name
    here = and_(identity.c.source == source, identity.c.server == "", identity.c.user == fold_name(user))
    row = fetch_first(connection, select(identity.c.id, identity.c.person_id).where(here), ClaimRow)
    if row is None:
        lock_ownership(connection)
        values = {"source": source, "server": "", "user": fold_name(user), "label": user, "first_seen": now}
        connection.execute(insert(identity), {**values, "person_id": person_id})
    elif row.person_id != person_id:
        assign_identities(connection, [row.id], person_id)
    return user


def resolve_identities(connection: Connection, wanted: str, now: datetime) -> list[int]:
    """The ids of the identities that `source:user` (seen or not) or `source:user@server` names."""
    lock_ownership(connection)
    source, user, server = parse_identity(connection, wanted)
    user_key = fold_name(user)
    if max(len(user), len(user_key)) > MAX_USER_LENGTH:
        raise PeopleError(f"a user has at most {MAX_USER_LENGTH} characters")
    same_user = and_(identity.c.source == source, identity.c.user == user_key)
    if server is None:
        anywhere = connection.execute(select(identity.c.id).where(same_user, identity.c.server == "")).first()
        if anywhere is None:
            values = {"source": source, "server": "", "user": user_key, "label": user, "first_seen": now}
            connection.execute(insert(identity), values)
    else:
        same_user = and_(same_user, on_server(server))
    ids = list(connection.execute(select(identity.c.id).where(same_user)).scalars())
    if not ids:
        raise PeopleError(f"no {source} user {user} was seen on a server {server}")
    return ids


def assign_identities(connection: Connection, ids: Collection[int], person_id: int) -> int:
    """Let a person claim these identities; return how many webhooks waited for it."""
    lock_ownership(connection)
    claimed = update(identity).where(identity.c.id.in_(ids))
    connection.execute(claimed.values(person_id=person_id, ignored=False))
    of_servers = select(identity.c.id).where(identity.c.id.in_(ids), identity.c.source.not_in(BUILTIN_APIS))
    if connection.execute(of_servers).first():
        remember_claims(connection)
    return requeue_webhooks(connection, ids)


def release_claims(connection: Connection, name: str, wanted: str) -> int:
    """Give up a claim and return how many identities it covered; their plays stay as they are."""
    lock_ownership(connection)
    claimer = find_person(connection, name)
    claimed = and_(matches_spelling(connection, wanted), identity.c.person_id == claimer.id)
    count = connection.execute(update(identity).where(claimed).values(person_id=None)).rowcount
    if not count:
        raise PeopleError(f"{name} does not claim {wanted}")
    return count


def ignore_user(connection: Connection, wanted: str, now: datetime) -> list[int]:
    """Mark `source:user` or `source:user@server` as tracked by nobody; return the identities' ids."""
    ids = resolve_identities(connection, wanted, now)
    ignore_identities(connection, ids)
    return ids


def unignore_user(connection: Connection, wanted: str) -> list[int]:
    """Take that back and return the identities' ids; what they play waits for a claim again."""
    ignored = and_(matches_spelling(connection, wanted), identity.c.ignored.is_(True))
    ids = list(connection.execute(select(identity.c.id).where(ignored)).scalars())
    if not ids:
        raise PeopleError(f"{wanted} is not ignored")
    unignore_identities(connection, ids)
    return ids


def ignore_identities(connection: Connection, ids: Collection[int]) -> int:
    """Ignore these identities and return how many webhooks waited; raises PeopleError where one is claimed."""
    lock_ownership(connection)
    claimers = select(person.c.name).join(identity, identity.c.person_id == person.c.id)
    name = connection.execute(claimers.where(identity.c.id.in_(ids)).limit(1)).scalar()
    if name is not None:
        raise PeopleError(f"{name} claims this user; give the claim up first")
    connection.execute(update(identity).where(identity.c.id.in_(ids)).values(ignored=True))
    return requeue_webhooks(connection, ids)


def unignore_identities(connection: Connection, ids: Collection[int]) -> int:
    """Stop ignoring these identities and return how many webhooks wait for a claim again."""
    lock_ownership(connection)
    connection.execute(update(identity).where(identity.c.id.in_(ids)).values(ignored=False))
    return requeue_webhooks(connection, ids)


def requeue_webhooks(connection: Connection, identity_ids: Collection[int]) -> int:
    """Queue the webhooks that waited for a claim, or were ignored for their user; return how many."""
    theirs = and_(webhook.c.identity_id.in_(identity_ids), webhook.c.raw.is_not(None))
    waiting = or_(
        webhook.c.state == WebhookState.UNCLAIMED,
        and_(webhook.c.state == WebhookState.IGNORED, webhook.c.reason == USER_IGNORED),
    )
    again = update(webhook).where(theirs, waiting)
    return connection.execute(again.values(state=WebhookState.RECEIVED, reason=None)).rowcount


# --- how an identity is written


def split_source(wanted: str) -> tuple[str, str]:
    """The source, and the user with or without a server; raises PeopleError."""
    source, colon, user = wanted.partition(":")
    if not colon or not source or not user or user.startswith("@"):
        raise PeopleError(
            f"{wanted} is not an identity: write source:user or source:user@server, e.g. plex:Anna"
        )
    return source.lower(), user


def parse_identity(connection: Connection, wanted: str) -> tuple[str, str, str | None]:
    """The source, user and server; without a server the user is meant on every one.

    What follows the last @ is a server where one of that name or id was seen. Otherwise the whole is a user
    that was seen or reads like an e-mail address, which many a user is called by.
    """
    source, whole = split_source(wanted)
    user, _, server = whole.rpartition("@")
    if not user:
        return source, whole.removesuffix("@"), None
    if not server:
        return source, user, None
    here = and_(identity.c.source == source, on_server(server))
    if connection.execute(select(identity.c.id).where(here).limit(1)).first():
        return source, user, server
    named = and_(identity.c.source == source, identity.c.user == fold_name(whole))
    if EMAIL.fullmatch(whole) or connection.execute(select(identity.c.id).where(named).limit(1)).first():
        return source, whole, None
    return source, user, server


def matches_spelling(connection: Connection, wanted: str) -> ColumnElement[bool]:
    """The identities that were seen of `source:user` or `source:user@server`."""
    source, user, server = parse_identity(connection, wanted)
    same_user = and_(identity.c.source == source, identity.c.user == fold_name(user))
    return same_user if server is None else and_(same_user, on_server(server))


def on_server(server: str) -> ColumnElement[bool]:
    return or_(identity.c.server == server, identity.c.server_name == server)
