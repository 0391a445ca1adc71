"""People, the identities they claim, and the tokens that let a webhook or a script in."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, func, insert, or_, select, update

from webhook.db import fresh_ids
from webhook.event import Action, Event
from webhook.tables import identity, person, token, webhook

FIRST = "me"
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


class Unknown(Exception):
    """There is no such person, identity or token; the message says what there is."""


# --- people


def add(connection: Connection, name: str, now: datetime, *, owner: bool = False) -> int:
    """A new person's id; raises Unknown when the name is taken or empty."""
    name = name.strip()
    if not name or len(name) > 64 or ":" in name:
        raise Unknown("a person's name has 1 to 64 characters and no colon")
    if connection.execute(select(person.c.id).where(person.c.name == name)).first():
        raise Unknown(f"there is a person called {name} already")
    (made,) = fresh_ids(connection, person, 1)
    values = {"id": made, "name": name, "owner": owner, "filters": {}, "created_at": now}
    connection.execute(insert(person), values)
    return made


def by_name(connection: Connection, name: str) -> Row[Any]:
    row = connection.execute(select(person).where(person.c.name == name)).first()
    if row is None:
        names = ", ".join(connection.execute(select(person.c.name).order_by(person.c.id)).scalars())
        raise Unknown(f"there is nobody called {name}; there is {names or 'nobody yet'}")
    return row


# --- identities


@dataclass(frozen=True, slots=True)
class Whose:
    """Who an event is of: the person, or None and the identity that nobody claims."""

    person_id: int | None
    identity_id: int | None
    how: str


def whose(connection: Connection, source: str, event: Event, bound: int | None, now: datetime) -> Whose:
    """Whose event this is: by the token, by a claim, or, while nobody claims anything, the first person's."""
    if bound is not None:
        return Whose(bound, None, "the webhook's token belongs to this person")
    if not event.user:
        return Whose(None, None, "the webhook names nobody")
    row = seen(connection, source, event, now)
    if row.person_id is not None:
        return Whose(row.person_id, row.id, f"claimed as {source}:{row.label}")
    if claimer := claims(connection, source, event):
        connection.execute(update(identity).where(identity.c.id == row.id).values(person_id=claimer))
        return Whose(claimer, row.id, f"claimed as {source}:{row.label}")
    if event.action in PLAYING and nobody_claims(connection):
        first = connection.execute(select(person.c.id).order_by(person.c.id).limit(1)).scalar()
        if first is not None:
            connection.execute(update(identity).where(identity.c.id == row.id).values(person_id=first))
            return Whose(first, row.id, f"the first to play something, so claimed as {source}:{row.label}")
    return Whose(None, row.id, f"nobody claims {source}:{row.label}")


SEEN = select(identity).where(
    identity.c.source == bindparam("of_source"),
    identity.c.server == bindparam("of_server"),
    identity.c.user == bindparam("of_user"),
)


def seen(connection: Connection, source: str, event: Event, now: datetime) -> Row[Any]:
    """The identity of the event's user on its server, made when it is new."""
    assert event.user
    key = {"source": source, "server": (event.server or "")[:200], "user": event.user.casefold()[:200]}
    wanted = {"of_source": key["source"], "of_server": key["server"], "of_user": key["user"]}
    row = connection.execute(SEEN, wanted).first()
    if row is None:
        values = {
            **key,
            "label": event.user[:200],
            "server_name": event.server_name,
            "first_seen": now,
            "last_seen": now,
        }
        connection.execute(insert(identity), values)
        row = connection.execute(SEEN, wanted).one()
    elif row.last_seen is None or (now - row.last_seen).total_seconds() > 60:
        values = {"last_seen": now, "server_name": event.server_name or row.server_name}
        connection.execute(update(identity).where(identity.c.id == row.id).values(values))
    return row


def claims(connection: Connection, source: str, event: Event) -> int | None:
    """Who claims the user on any server; a Tautulli user is the Plex user of the server it watches."""
    assert event.user
    user = identity.c.user == event.user.casefold()[:200]
    anywhere = and_(identity.c.source == source, identity.c.server == "", user)
    same_server = and_(identity.c.source == "plex", identity.c.server == (event.server or "-"), user)
    wanted = or_(anywhere, same_server) if source == "tautulli" else anywhere
    return connection.execute(
        select(identity.c.person_id).where(wanted, identity.c.person_id.is_not(None)).limit(1)
    ).scalar()


def claimer(connection: Connection, source: str, event: Event) -> int | None:
    """Who claims the event's user, by this server or on any; None where nobody does."""
    if not event.user:
        return None
    key = {
        "of_source": source,
        "of_server": (event.server or "")[:200],
        "of_user": event.user.casefold()[:200],
    }
    row = connection.execute(SEEN, key).first()
    if row is not None and row.person_id is not None:
        return int(row.person_id)
    return claims(connection, source, event)


def nobody_claims(connection: Connection) -> bool:
    return (
        connection.execute(select(identity.c.id).where(identity.c.person_id.is_not(None)).limit(1)).first()
        is None
    )


def claim(connection: Connection, name: str, wanted: str, now: datetime) -> list[int]:
    """Let a person claim `source:user` (any server) or `source:user@server`; the identities' ids."""
    claimer = by_name(connection, name)
    source, user, server = spelled(wanted)
    user_key = user.casefold()
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
    connection.execute(update(identity).where(identity.c.id.in_(ids)).values(person_id=claimer.id))
    wake_unclaimed(connection, ids)
    return ids


def release(connection: Connection, name: str, wanted: str) -> int:
    """Give up a claim; how many identities that was. What was interpreted stays as it is."""
    claimer = by_name(connection, name)
    source, user, server = spelled(wanted)
    mine = and_(
        identity.c.source == source, identity.c.user == user.casefold(), identity.c.person_id == claimer.id
    )
    if server is not None:
        mine = and_(mine, or_(identity.c.server == server, identity.c.server_name == server))
    gone = connection.execute(update(identity).where(mine).values(person_id=None)).rowcount
    if not gone:
        raise Unknown(f"{name} does not claim {wanted}")
    return gone


def spelled(wanted: str) -> tuple[str, str, str | None]:
    source, colon, user = wanted.partition(":")
    user, _, server = user.partition("@")
    if not colon or not source or not user:
        raise Unknown(f"{wanted} is not an identity: write source:user or source:user@server, e.g. plex:Anna")
    return source.lower(), user, server or None


def wake_unclaimed(connection: Connection, identity_ids: Collection[int]) -> int:
    """Let the webhooks that waited for a claim be interpreted; how many."""
    waiting = and_(webhook.c.state == "unclaimed", webhook.c.identity_id.in_(identity_ids))
    return connection.execute(update(webhook).where(waiting).values(state="received", reason=None)).rowcount


# --- tokens


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
) -> int:
    (made,) = fresh_ids(connection, token, 1)
    values = {"id": made, "kind": kind, "digest": digest(secret), "sealed": sealed, "name": name}
    connection.execute(insert(token), {**values, "person_id": person_id, "created_at": now})
    return made


def valid_tokens(connection: Connection, kind: str) -> list[Row[Any]]:
    mine = and_(token.c.kind == kind, token.c.revoked_at.is_(None))
    return list(connection.execute(select(token).where(mine).order_by(token.c.id)))


def revoke(connection: Connection, token_id: int, now: datetime) -> None:
    live = and_(token.c.id == token_id, token.c.revoked_at.is_(None))
    if not connection.execute(update(token).where(live).values(revoked_at=now)).rowcount:
        raise Unknown(f"there is no valid token {token_id}")


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(person)).scalar_one()
