"""People, the identities they claim, and the tokens that let a webhook or a script in."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import shlex
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    type_coerce,
    update,
)

from webhook.domain.event import Action, Event
from webhook.domain.states import WebhookState
from webhook.storage.db import fresh_ids
from webhook.storage.tables import identity, note, person, token, webhook

FIRST = "me"
CLAIMED = "claimed"
LAST_REMOVED = "last person removed"
LONGEST = 200
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""The kinds of characters that steer what is shown, and are not seen themselves."""

EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")
HERE = ("tvtime", "videoscrobbler")
"""The APIs here, where whoever signs in claims their own name."""

PLAYING = frozenset(
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


IGNORED = "nobody tracks this user"
"""Why a webhook of an identity that is ignored comes to nothing."""


class Unknown(Exception):
    """There is no such person, identity or token; the message says what there is."""


# --- people


def add(connection: Connection, name: str, now: datetime, *, owner: bool = False) -> int:
    """A new person's id; raises Unknown when the name is taken or empty."""
    name = fit(connection, name)
    (made,) = fresh_ids(connection, person, 1)
    made = max(made, last_removed(connection) + 1)
    values = {"id": made, "name": name, "owner": owner, "filters": {}, "created_at": now}
    connection.execute(insert(person), values)
    return made


def fit(connection: Connection, name: str, person_id: int | None = None) -> str:
    """The name, where a person, or this one, can have it; raises Unknown when it is taken, or leads to no page."""
    name = name.strip()
    if not name or len(name) > 64 or ":" in name:
        raise Unknown("a person's name has 1 to 64 characters and no colon")
    if name in (".", "..") or "/" in name or "\\" in name:
        raise Unknown(
            "a person's name has no slash and is not only dots, as their page has it in its address"
        )
    if any(unicodedata.category(letter) in UNSEEN for letter in name):
        raise Unknown("a person's name has no characters that nobody sees, such as a line's end")
    for row in connection.execute(select(person.c.id, person.c.name)):
        if row.name == name or (row.id != person_id and alike(row.name) == alike(name)):
            raise Unknown(f"there is a person called {row.name} already")
    return name


def alike(name: str) -> str:
    """The name as it is compared: who differ in case only are one to whoever reads them."""
    return unicodedata.normalize("NFKC", name).casefold()


def rename(connection: Connection, row: Row[Any], name: str) -> None:
    """Give a person another name, in what was kept of their webhooks too; raises Unknown as `add` does."""
    name = fit(connection, name, row.id)
    connection.execute(update(person).where(person.c.id == row.id).values(name=name))
    rename_in_webhooks(connection, row.name, name)


def rename_in_webhooks(
    connection: Connection, before: str, after: str, first: int = 0, last: int | None = None
) -> None:
    """The person's name in the events of these webhooks."""
    told = type_coerce(webhook.c.events, Text)
    # Inside a text of the JSON the quotes would be escaped, so this finds nothing but the name.
    old, new = (f'"person":{orjson.dumps(one).decode()}' for one in (before, after))
    there = told.contains(old, autoescape=True) & (webhook.c.id >= first)
    if last is not None:
        there &= webhook.c.id <= last
    renamed = update(webhook).where(there)
    connection.execute(renamed.values(events=type_coerce(func.replace(told, old, new), Text)))


def remove(connection: Connection, row: Row[Any]) -> None:
    """Remove a person with all that is theirs. Raises Unknown for the owner, who stays."""
    if row.owner:
        raise Unknown(f"{row.name} is the owner, whom Watchmark cannot be without")
    connection.execute(delete(note).where(note.c.name == f"welcome:{row.id}"))
    last = max(row.id, last_removed(connection))
    connection.execute(delete(note).where(note.c.name == LAST_REMOVED))
    connection.execute(insert(note), {"name": LAST_REMOVED, "value": last})
    remember_claims(connection)  # what came by a token or a user of theirs must not pass to the first person
    connection.execute(delete(person).where(person.c.id == row.id))


def last_removed(connection: Connection) -> int:
    """The highest id of anybody who was removed: nobody gets it again, with what was kept under it."""
    found = connection.execute(select(note.c.value).where(note.c.name == LAST_REMOVED)).scalar()
    return int(found or 0)


def by_name(connection: Connection, name: str) -> Row[Any]:
    row = connection.execute(select(person).where(person.c.name == name)).first()
    if row is None:
        names = ", ".join(connection.execute(select(person.c.name).order_by(person.c.id)).scalars())
        raise Unknown(f"there is nobody called {name}; there is {names or 'nobody yet'}")
    return row


# --- identities


@dataclass(frozen=True, slots=True)
class Whose:
    """Who an event is of: the person, or None and the identity that nobody claims, or that is ignored."""

    person_id: int | None
    identity_id: int | None
    how: str
    ignored: bool = False


GONE = "person_removed"
"""Why the webhook of a sign-in comes to nothing whose person was removed since."""


def whose_sign_in(connection: Connection, source: str, event: Event, person_id: int, now: datetime) -> Whose:
    """Whose an event is that came by a sign-in here: that person's, whatever the person is called by now."""
    name = connection.execute(select(person.c.name).where(person.c.id == person_id)).scalar()
    if name is None:
        return Whose(None, None, GONE, ignored=True)
    row = seen(connection, source, event, now) if event.user else None
    mine = row is not None and row.person_id == person_id
    return Whose(person_id, row.id if row is not None and mine else None, f"signed in here as {name}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """By what a webhook came in: its source, the person whose token it came by, if it is one's own, and when.

    `claim_first`: whoever plays something first, while nobody claims anything, is the first person.
    """

    source: str
    token_of: int | None
    at: datetime
    claim_first: bool = False


NOBODY = "(nobody named)"
"""The user of a sender that names none, so that what it plays can be claimed like anybody's."""

ANOTHERS = "its address belongs to one person, and somebody else claims this user"


def whose(connection: Connection, event: Event, door: Door) -> Whose:
    """Whose this event is: of whoever claims its user. A token of somebody's own lets in only what is theirs."""
    if door.token_of is not None and not event.user:
        return Whose(door.token_of, None, "the webhook's token belongs to this person, and it names nobody")
    row = seen(connection, door.source, event, door.at)
    if row.person_id is None and (claimer := claims(connection, door.source, row.user, event.server)):
        connection.execute(update(identity).where(identity.c.id == row.id).values(person_id=claimer))
        row = connection.execute(select(identity).where(identity.c.id == row.id)).one()
    if row.person_id is not None and door.token_of not in (None, row.person_id):
        return Whose(None, row.id, ANOTHERS)
    if row.person_id is not None:
        return Whose(row.person_id, row.id, f"claimed as {door.source}:{row.label}")
    if row.ignored or ignored_anywhere(connection, door.source, row.user, event.server):
        return Whose(None, row.id, IGNORED, ignored=True)
    first = first_person(connection, event) if door.claim_first and door.token_of is None else None
    if first is not None:
        connection.execute(update(identity).where(identity.c.id == row.id).values(person_id=first))
        remember_claims(connection)
        wake(connection, [row.id])  # what they rated before they played waits for this claim
        return Whose(first, row.id, f"the first to play something, so claimed as {door.source}:{row.label}")
    return Whose(None, row.id, f"nobody claims {door.source}:{row.label}")


def collector(connection: Connection, name: str) -> Whose | None:
    """Whose collection it is that a server adds to by itself, where that is said; else None."""
    row = connection.execute(select(person.c.id).where(person.c.name == name)).first() if name else None
    return None if row is None else Whose(row.id, None, "COLLECTION_OF names this person")


def first_person(connection: Connection, event: Event) -> int | None:
    """The person that whoever plays first is, while nobody claims anything, nor ever did."""
    # A server's own record holds everybody's plays, so its first is nobody in particular.
    if event.action not in PLAYING or event.recorded or not event.user or not nobody_claims(connection):
        return None
    return connection.execute(select(person.c.id).order_by(person.c.id).limit(1)).scalar()


SEEN = select(identity).where(
    identity.c.source == bindparam("of_source"),
    identity.c.server == bindparam("of_server"),
    identity.c.user == bindparam("of_user"),
)


def seen(connection: Connection, source: str, event: Event, now: datetime) -> Row[Any]:
    """The identity of the event's user on its server, made when it is new.

    A user of the same name with another account is somebody else, so that nobody takes a claimed name.
    """
    label = event.user or NOBODY
    row = identity_of(connection, source, event.server, alike(label))
    if row is not None and is_another_account(row.account_ids, event.user_id):
        label = f"{label} (account {event.user_id})"
        row = identity_of(connection, source, event.server, alike(label))
    if row is None:
        return add_identity(connection, source, event, label, now)
    values: dict[str, Any] = {}
    if row.last_seen is None or (now - row.last_seen).total_seconds() > 60:
        values = {"last_seen": now, "server_name": event.server_name or row.server_name}
    if event.user_id and event.user_id not in row.account_ids:
        values["account_ids"] = [*row.account_ids, event.user_id]
    if values:
        connection.execute(update(identity).where(identity.c.id == row.id).values(values))
    return row


def identity_of(connection: Connection, source: str, server: str | None, user: str) -> Row[Any] | None:
    wanted = {"of_source": source, "of_server": (server or "")[:LONGEST], "of_user": user[:LONGEST]}
    return connection.execute(SEEN, wanted).first()


def add_identity(connection: Connection, source: str, event: Event, label: str, now: datetime) -> Row[Any]:
    values = {
        "source": source,
        "server": (event.server or "")[:LONGEST],
        "user": alike(label)[:LONGEST],
        "label": label[:LONGEST],
        "account_ids": [event.user_id] if event.user_id else [],
        "server_name": event.server_name,
        "first_seen": now,
        "last_seen": now,
    }
    connection.execute(insert(identity), values)
    made = identity_of(connection, source, event.server, alike(label))
    assert made is not None
    return made


PLEX_OWNER = "1"
"""The account id of a Plex server's owner in some webhooks; in others it is the one of plex.tv."""


def is_another_account(known: Collection[str], account_id: str | None) -> bool:
    """Whether an account id is of somebody else than the ones a user's name has always had."""
    if not account_id or not known or account_id in known or account_id == PLEX_OWNER:
        return False
    return any(one != PLEX_OWNER for one in known)


def claims(connection: Connection, source: str, user: str, server: str | None) -> int | None:
    """Who claims the user on any server."""
    there = elsewhere(source, user, server)
    mine = select(identity.c.person_id).where(there, identity.c.person_id.is_not(None))
    return connection.execute(mine.limit(1)).scalar()


def ignored_anywhere(connection: Connection, source: str, user: str, server: str | None) -> bool:
    mine = select(identity.c.id).where(elsewhere(source, user, server), identity.c.ignored.is_(True))
    return connection.execute(mine.limit(1)).first() is not None


def elsewhere(source: str, name: str, server: str | None) -> ColumnElement[bool]:
    """The user on any server; a Tautulli user is the Plex user of the server it watches."""
    user = identity.c.user == name[:LONGEST]
    anywhere = and_(identity.c.source == source, identity.c.server == "", user)
    same_server = and_(identity.c.source == "plex", identity.c.server == (server or "-"), user)
    return or_(anywhere, same_server) if source == "tautulli" else anywhere


def claimer(connection: Connection, source: str, event: Event) -> int | None:
    """Who claims the event's user, by this server or on any; None where nobody does."""
    if not event.user:
        return None
    row = identity_of(connection, source, event.server, alike(event.user))
    if row is not None and row.person_id is not None:
        return int(row.person_id)
    return claims(connection, source, alike(event.user), event.server)


def nobody_claims(connection: Connection) -> bool:
    """Whether nobody claims a user of a media server yet, nor ever did: whoever gave up a claim means it."""
    claimed = and_(identity.c.person_id.is_not(None), identity.c.source.not_in(HERE))
    began = select(note.c.name).where(note.c.name == CLAIMED)
    ever = (
        connection.execute(began).first()
        or connection.execute(select(identity.c.id).where(claimed).limit(1)).first()
    )
    return ever is None


def remember_claims(connection: Connection) -> None:
    """From the first claim on nobody is given a user unasked, also when all claims are given up again."""
    if connection.execute(select(note.c.name).where(note.c.name == CLAIMED)).first() is None:
        connection.execute(insert(note), {"name": CLAIMED, "value": True})


def claim(connection: Connection, name: str, wanted: str, now: datetime) -> list[int]:
    """Let a person claim `source:user` (any server) or `source:user@server`; the identities' ids."""
    claimer = by_name(connection, name)
    ids = meant(connection, wanted, now)
    give(connection, ids, claimer.id)
    return ids


def claim_user(connection: Connection, person_id: int, source: str, now: datetime) -> str:
    """Let a person claim their own name at one of the APIs here; the user that it is there.

    Two people whose names differ in case only are told apart by what no name has: a colon.
    """
    names = {row.id: row.name for row in connection.execute(select(person.c.id, person.c.name))}
    name = names.pop(person_id)
    twins = [other for other in names.values() if alike(other) == alike(name)]
    user = f"{name}:{person_id}" if twins else str(name)
    here = and_(identity.c.source == source, identity.c.server == "", identity.c.user == alike(user))
    row = connection.execute(select(identity.c.id, identity.c.person_id).where(here)).first()
    if row is None:
        values = {"source": source, "server": "", "user": alike(user), "label": user, "first_seen": now}
        connection.execute(insert(identity), {**values, "person_id": person_id})
    elif row.person_id != person_id:
        give(connection, [row.id], person_id)
    return user


def meant(connection: Connection, wanted: str, now: datetime) -> list[int]:
    """The identities that `source:user` (any server, seen or not) or `source:user@server` means."""
    source, user, server = told_apart(connection, wanted)
    user_key = alike(user)
    if max(len(user), len(user_key)) > LONGEST:
        raise Unknown(f"a user has at most {LONGEST} characters")
    mine = and_(identity.c.source == source, identity.c.user == user_key)
    if server is None:
        anywhere = connection.execute(select(identity.c.id).where(mine, identity.c.server == "")).first()
        if anywhere is None:
            values = {"source": source, "server": "", "user": user_key, "label": user, "first_seen": now}
            connection.execute(insert(identity), values)
    else:
        mine = and_(mine, or_(identity.c.server == server, identity.c.server_name == server))
    ids = list(connection.execute(select(identity.c.id).where(mine)).scalars())
    if not ids:
        raise Unknown(f"no {source} user {user} was seen on a server {server}")
    return ids


def give(connection: Connection, ids: Collection[int], person_id: int) -> int:
    """Let a person claim these identities; how many webhooks waited for it."""
    mine = update(identity).where(identity.c.id.in_(ids))
    connection.execute(mine.values(person_id=person_id, ignored=False))
    of_servers = select(identity.c.id).where(identity.c.id.in_(ids), identity.c.source.not_in(HERE))
    if connection.execute(of_servers).first():
        remember_claims(connection)
    return wake(connection, ids)


def ignore(connection: Connection, wanted: str, now: datetime) -> list[int]:
    """Say that nobody tracks `source:user` or `source:user@server`; the identities' ids."""
    ids = meant(connection, wanted, now)
    leave_out(connection, ids)
    return ids


def unignore(connection: Connection, wanted: str) -> list[int]:
    """Take that back; the identities' ids. What they play waits for a claim again."""
    source, user, server = told_apart(connection, wanted)
    mine = and_(identity.c.source == source, identity.c.user == alike(user), identity.c.ignored.is_(True))
    if server is not None:
        mine = and_(mine, or_(identity.c.server == server, identity.c.server_name == server))
    ids = list(connection.execute(select(identity.c.id).where(mine)).scalars())
    if not ids:
        raise Unknown(f"{wanted} is not ignored")
    heed(connection, ids)
    return ids


def leave_out(connection: Connection, ids: Collection[int]) -> int:
    """Ignore these identities; how many webhooks waited for a claim. Raises Unknown where one is claimed."""
    claimers = select(person.c.name).join(identity, identity.c.person_id == person.c.id)
    name = connection.execute(claimers.where(identity.c.id.in_(ids)).limit(1)).scalar()
    if name is not None:
        raise Unknown(f"{name} claims this user; give the claim up first")
    connection.execute(update(identity).where(identity.c.id.in_(ids)).values(ignored=True))
    return wake(connection, ids)


def heed(connection: Connection, ids: Collection[int]) -> int:
    """Ignore these identities no longer; how many webhooks wait for a claim again."""
    connection.execute(update(identity).where(identity.c.id.in_(ids)).values(ignored=False))
    return wake(connection, ids)


def release(connection: Connection, name: str, wanted: str) -> int:
    """Give up a claim; how many identities that was. What was interpreted stays as it is."""
    claimer = by_name(connection, name)
    source, user, server = told_apart(connection, wanted)
    mine = and_(
        identity.c.source == source, identity.c.user == alike(user), identity.c.person_id == claimer.id
    )
    if server is not None:
        mine = and_(mine, or_(identity.c.server == server, identity.c.server_name == server))
    gone = connection.execute(update(identity).where(mine).values(person_id=None)).rowcount
    if not gone:
        raise Unknown(f"{name} does not claim {wanted}")
    return gone


def spelled(wanted: str) -> tuple[str, str]:
    """The source, and the user with or without a server. Raises Unknown."""
    source, colon, whom = wanted.partition(":")
    if not colon or not source or not whom or whom.startswith("@"):
        raise Unknown(f"{wanted} is not an identity: write source:user or source:user@server, e.g. plex:Anna")
    return source.lower(), whom


def told_apart(connection: Connection, wanted: str) -> tuple[str, str, str | None]:
    """Source, user and server that are meant; without a server the user is meant on every one.

    What follows the last @ is a server where one of that name or id was seen. Otherwise the whole is a user
    that was seen or reads like an e-mail address, which many a user is called by.
    """
    source, whom = spelled(wanted)
    user, _, server = whom.rpartition("@")
    if not user:
        return source, whom.removesuffix("@"), None
    if not server:
        return source, user, None
    here = and_(
        identity.c.source == source, or_(identity.c.server == server, identity.c.server_name == server)
    )
    if connection.execute(select(identity.c.id).where(here).limit(1)).first():
        return source, user, server
    called = and_(identity.c.source == source, identity.c.user == alike(whom))
    if EMAIL.fullmatch(whom) or connection.execute(select(identity.c.id).where(called).limit(1)).first():
        return source, whom, None
    return source, user, server


def wake(connection: Connection, identity_ids: Collection[int]) -> int:
    """Let the webhooks that wait for a claim, or were ignored for their user, be interpreted; how many."""
    theirs = and_(webhook.c.identity_id.in_(identity_ids), webhook.c.raw.is_not(None))
    waiting = or_(
        webhook.c.state == WebhookState.UNCLAIMED,
        and_(webhook.c.state == WebhookState.IGNORED, webhook.c.reason == IGNORED),
    )
    again = update(webhook).where(theirs, waiting)
    return connection.execute(again.values(state=WebhookState.RECEIVED, reason=None)).rowcount


# --- tokens

MAX_TOKEN_DAYS = 3650
WEBHOOK_TOKENS_NEVER_END = (
    "a webhook token never ends, as what is sent to it later would be lost. Revoke it instead."
)


def token_command(kind: str, scopes: Collection[str] | None, person: str | None) -> str:
    """The command that makes a token like this one, for the same person and no more than these scopes."""
    limits = [f"--scope {scope}" for scope in scopes or ()]
    whose = [] if person is None else [f"--person {shlex.quote(person)}"]
    return " ".join([f"watchmark token new --kind {kind}", *limits, *whose])


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def keep_token(
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
    (made,) = fresh_ids(connection, token, 1)
    values = {"id": made, "kind": kind, "digest": digest(secret), "sealed": sealed, "name": name}
    values |= {"person_id": person_id, "created_at": now, "expires_at": expires_at}
    connection.execute(insert(token), {**values, "scopes": None if scopes is None else list(scopes)})
    return made


def unrevoked_tokens(connection: Connection, kind: str) -> list[Row[Any]]:
    """The tokens of a kind that nobody has revoked, expired ones included."""
    mine = and_(token.c.kind == kind, token.c.revoked_at.is_(None))
    return list(connection.execute(select(token).where(mine).order_by(token.c.id)))


def valid_tokens(connection: Connection, kind: str, now: datetime) -> list[Row[Any]]:
    """The tokens of a kind that let in: neither revoked nor expired."""
    return [row for row in unrevoked_tokens(connection, kind) if not has_expired(row.expires_at, now)]


def has_expired(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is not None and expires_at <= now


def app_tokens(connection: Connection, person_id: int, now: datetime) -> list[Row[Any]]:
    """The person's app passwords, which let an app in beside their own password."""
    return [row for row in valid_tokens(connection, "app", now) if row.person_id == person_id]


def app_token(connection: Connection, person_id: int, password: str, now: datetime) -> int | None:
    """The id of the app password that this is, or None. Takes the same time whichever it is not."""
    wanted, found = digest(password), None
    for row in app_tokens(connection, person_id, now):
        if hmac.compare_digest(row.digest, wanted):
            found = int(row.id)
    return found


def tokens(connection: Connection, person_id: int | None = None) -> list[Row[Any]]:
    """The tokens that nobody has revoked, everybody's or one person's, each with the person's name."""
    wanted = select(token, person.c.name.label("person")).join(
        person, token.c.person_id == person.c.id, isouter=True
    )
    if person_id is not None:
        wanted = wanted.where(token.c.person_id == person_id)
    return list(connection.execute(wanted.where(token.c.revoked_at.is_(None)).order_by(token.c.id)))


def revoke(connection: Connection, token_id: int, now: datetime) -> None:
    live = and_(token.c.id == token_id, token.c.revoked_at.is_(None))
    if not connection.execute(update(token).where(live).values(revoked_at=now)).rowcount:
        raise Unknown(f"there is no valid token {token_id}")


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(person)).scalar_one()
