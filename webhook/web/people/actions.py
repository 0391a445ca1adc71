"""Actions on people and tokens, shared by the pages and the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import available_timezones

from sqlalchemy import Connection, delete, func, select, update

from webhook import clock, sources
from webhook.accounts import sealed_secrets
from webhook.accounts.seal import Seal
from webhook.clock import stamp
from webhook.people import oidc_users, passkeys, passwords, people, scopes, sessions, tokens
from webhook.people.scopes import Scope
from webhook.service import Service
from webhook.storage.tables import (
    PasskeyRow,
    PersonRow,
    account,
    delivery,
    household,
    library,
    person,
    play,
    tick,
    token,
    webhook,
)
from webhook.texts import texts
from webhook.transfer import export
from webhook.web import actions as changes
from webhook.web import visible
from webhook.web.http.errors import Problem
from webhook.web.people.models import (
    Invitation,
    NewToken,
    OidcUserJson,
    PasskeyJson,
    PersonChange,
    PersonDetail,
    SessionJson,
    TokenJson,
    TokenRequest,
)
from webhook.web.visible import Visitor

TOKEN_CHOICES: Mapping[str, Mapping[str, str]] = texts(
    {
        "scopes": {
            "read": "read",
            "read history:write": "read and change the history",
            "admin": "everything",
            "calendar": "calendar only",
        },
        "lifetimes": {"": "never", "30": "in 30 days", "90": "in 90 days", "365": "in a year"},
    }
)
"""The choices of the forms for a new token."""

MAX_NAME_LENGTH = 100
RENAME_CHUNK = 1000
"""Webhooks rewritten per transaction."""
SERVICE_LINK = (
    "The owner's link comes with the start: it is in the log while the owner has no password. "
    "Or run: watchmark people password NAME"
)


# --- people


def one_person(connection: Connection, visitor: Visitor, name: str) -> PersonDetail:
    """A person with identities, filters, time zone, and whether they can sign in; raises Problem 404."""
    row = changes.find_person(connection, visitor, name)
    shown = next(one for one in visible.people(connection, visitor) if one["id"] == row.id)
    return {**shown, "timezone": row.timezone, "has_password": row.password is not None}


async def change(service: Service, visitor: Visitor, name: str, given: PersonChange) -> PersonDetail:
    """Change a person's name (owner only) or time zone; returns the person, raises Problem."""

    def check(connection: Connection) -> int:
        # read-only: checks permission and how many webhooks are affected
        row = changes.find_person(connection, visitor, name)
        if visitor.is_admin and changes_name(given, row.name):
            new_name(connection, given.name, row.id)
        return int(connection.execute(select(func.max(webhook.c.id))).scalar() or 0)

    newest = await service.database.read(check)
    if visitor.is_admin and changes_name(given, name):
        wanted = given.name.strip()
        for first in range(1, newest, RENAME_CHUNK):  # in batches, so that new webhooks need not wait
            await service.database.run(_rename_step(name, wanted, first, first + RENAME_CHUNK - 1))

    def apply(connection: Connection) -> PersonDetail:
        return one_person(connection, visitor, change_person(connection, visitor, name, given))

    return await service.database.run(apply)


def _rename_step(before: str, after: str, first: int, last: int) -> Callable[[Connection], None]:
    return lambda connection: people.rename_in_webhooks(connection, before, after, first, last)


def changes_name(given: PersonChange, name: str) -> bool:
    return "name" in given.model_fields_set and given.name != name


def change_person(connection: Connection, visitor: Visitor, name: str, given: PersonChange) -> str:
    """As `change`, in one transaction; returns the new name."""
    row = changes.find_person(connection, visitor, name)
    if "timezone" in given.model_fields_set:
        zone = parse_time_zone(given.timezone)
        connection.execute(update(person).where(person.c.id == row.id).values(timezone=zone))
    if not changes_name(given, row.name):
        return name
    if not visitor.is_admin:
        raise Problem(403, "Only the owner can rename people.")
    wanted = new_name(connection, given.name, row.id)
    people.rename(connection, row, wanted)
    return wanted


def new_name(connection: Connection, wanted: str, person_id: int) -> str:
    """Return the name if the person may be given it; raises Problem."""
    try:
        return people.validate_name(connection, wanted, person_id)
    except people.PeopleError as error:
        raise Problem(409 if "already" in str(error) else 422, f"name: {error}.") from error


def parse_time_zone(zone: str | None) -> str | None:
    """A time zone's name, or None for UTC; raises Problem."""
    if not zone:
        return None
    if zone not in known_zones():
        raise Problem(422, "timezone must be the name of a time zone such as Europe/Berlin.")
    return zone


@cache
def known_zones() -> frozenset[str]:
    """All time zones of this machine; cached, since listing them reads hundreds of files."""
    return frozenset(available_timezones())


@cache
def zones() -> tuple[str, ...]:
    """The time zones to choose from, by place, without names kept for older times."""
    old = ("Etc/", "SystemV/", "US/", "Brazil/", "Canada/", "Chile/", "Mexico/", "posix/", "right/")
    return tuple(sorted(zone for zone in known_zones() if "/" in zone and not zone.startswith(old)))


def goes_with(connection: Connection, person_id: int) -> dict[str, int]:
    """The number of rows deleted along with a person, by kind."""
    mine = select(account.c.id).where(account.c.person_id == person_id)
    counted = {
        "plays": select(func.count()).where(play.c.person_id == person_id),
        "accounts": select(func.count()).where(account.c.person_id == person_id),
        "deliveries": select(func.count()).where(delivery.c.account_id.in_(mine)),
        "marks": select(func.count()).where(tick.c.person_id == person_id),
        "library": select(func.count()).where(library.c.person_id == person_id),
        "tokens": select(func.count()).where(token.c.person_id == person_id, token.c.revoked_at.is_(None)),
    }
    return {what: connection.execute(wanted).scalar_one() for what, wanted in counted.items()}


def remove_person(connection: Connection, visitor: Visitor, name: str) -> dict[str, int]:
    """Remove a person with all their data, also from household rules; returns the counts."""
    row = changes.find_person(connection, visitor, name)
    gone = goes_with(connection, row.id)
    try:
        people.remove_person(connection, row)
    except people.PeopleError as error:
        raise Problem(409, changes.sentence_of(error)) from error
    for rule in connection.execute(select(household)).all():
        left = [whom for whom in rule.people if whom != row.id]
        here = household.c.id == rule.id
        if not left:
            connection.execute(delete(household).where(here))
        elif left != rule.people:
            connection.execute(update(household).where(here).values(people=left))
    return gone


async def invite(service: Service, visitor: Visitor, name: str, address: str) -> Invitation:
    """Create a one-time link by which a person sets a password; earlier ones become invalid."""
    secret = tokens.new_secret()

    def store(connection: Connection) -> None:
        row = changes.find_person(connection, visitor, name)
        if row.owner:
            raise Problem(409, SERVICE_LINK)
        passwords.invite(connection, secret, clock.now(), person_id=row.id)

    await service.database.run(store)
    until = clock.now() + passwords.WELCOME_LASTS
    return {"person": name, "url": f"{address}/welcome/{secret}", "valid_until": stamp(until)}


# --- sessions


def list_sessions(
    connection: Connection, visitor: Visitor, person_id: int | None = None
) -> list[SessionJson]:
    """The browsers in which a person is signed in, or anybody, the last used first."""
    return [
        {
            "id": row.id,
            "person": row.person,
            "method": row.method,
            "browser": row.browser,
            "address": row.address,
            "created_at": stamp(row.created_at),
            "last_seen": stamp(row.last_seen),
            "current": row.nonce == visitor.session,
        }
        for row in sessions.list_sessions(connection, person_id, clock.now())
    ]


def end_session(connection: Connection, visitor: Visitor, session_id: int) -> None:
    """End a session: the owner anybody's, others their own; raises Problem 404."""
    mine = None if visitor.is_admin else visitor.person_id or 0
    if not sessions.end_session_by_id(connection, session_id, mine):
        raise Problem(404, f"There is no session {session_id}.")


def end_other_sessions(connection: Connection, visitor: Visitor, name: str) -> int:
    """End a person's sessions except the visitor's own; returns how many there were."""
    row = changes.find_person(connection, visitor, name)
    return sessions.end_sessions(connection, row.id, but=visitor.session)


# --- passkeys


def list_passkeys(connection: Connection, person_id: int | None = None) -> list[PasskeyJson]:
    """The passkeys of everybody, or of one person."""
    return [
        {
            "id": row.id,
            "name": row.name,
            "person": row.person,
            "rp_id": row.rp_id,
            "created_at": stamp(row.created_at),
            "last_used": None if row.last_used is None else stamp(row.last_used),
        }
        for row in passkeys.list_passkeys(connection, person_id)
    ]


def find_passkey(connection: Connection, visitor: Visitor, passkey_id: int) -> PasskeyRow:
    """A passkey that the visitor may change: the owner anybody's, others their own; raises Problem 404."""
    row = passkeys.find_passkey_by_id(connection, passkey_id)
    if row is None or not (visitor.is_admin or row.person_id == visitor.person_id):
        raise Problem(404, f"There is no passkey {passkey_id}.")
    return row


def rename_passkey(connection: Connection, visitor: Visitor, passkey_id: int, name: str) -> None:
    row = find_passkey(connection, visitor, passkey_id)
    try:
        passkeys.rename_passkey(connection, row.id, name)
    except people.PeopleError as error:
        raise Problem(422, changes.sentence_of(error)) from error


def remove_passkey(connection: Connection, visitor: Visitor, passkey_id: int) -> None:
    """Remove a passkey and end its person's sessions that began with one; the visitor's own session stays."""
    row = find_passkey(connection, visitor, passkey_id)
    passkeys.remove_passkey(connection, row, but=visitor.session)


# --- users of an OpenID provider


def list_oidc_users(connection: Connection, person_id: int | None = None) -> list[OidcUserJson]:
    """The users of everybody, or of one person."""
    return [
        {
            "id": user.id,
            "issuer": user.issuer,
            "label": user.label,
            "person": user.person,
            "last_seen": stamp(user.last_seen),
        }
        for user in oidc_users.list_users(connection, person_id)
    ]


def assign_oidc_user(connection: Connection, visitor: Visitor, user_id: int, name: str) -> OidcUserJson:
    """Say who a user of the provider is; raises Problem where they are somebody already."""
    row = changes.find_person(connection, visitor, name)
    require_oidc_user(connection, visitor, user_id)
    try:
        oidc_users.assign_user(connection, user_id, row.id)
    except people.PeopleError as error:
        raise Problem(409, changes.sentence_of(error)) from error
    return next(user for user in list_oidc_users(connection, row.id) if user["id"] == user_id)


def remove_oidc_user(connection: Connection, visitor: Visitor, user_id: int) -> None:
    """Forget a user of the provider: the owner anybody's, others their own."""
    require_oidc_user(connection, visitor, user_id)
    oidc_users.remove_user(connection, user_id)


def require_oidc_user(connection: Connection, visitor: Visitor, user_id: int) -> None:
    row = oidc_users.find_user(connection, user_id)
    if row is None or not (visitor.is_admin or row.person_id == visitor.person_id):
        raise Problem(404, f"There is no user {user_id} of an OpenID provider.")


# --- tokens


def list_tokens(connection: Connection, seal: Seal, visitor: Visitor) -> list[TokenJson]:
    """The tokens that are not revoked: the owner sees everybody's, others their own."""
    mine = None if visitor.is_admin else visitor.person_id or 0
    return [one_token(row, seal) for row in tokens.list_tokens(connection, mine)]


def one_token(row: tokens.ListedToken, seal: Seal) -> TokenJson:
    return {
        "id": row.id,
        "kind": row.kind,
        "name": row.name,
        "person": row.person,
        "scopes": scopes.names(scopes.parse_scopes(row.scopes)),
        "created_at": stamp(row.created_at),
        "expires_at": stamp(row.expires_at),
        "expired": tokens.has_expired(row.expires_at, clock.now()),
        "problem": sealed_secrets.token_problem(row, seal),
    }


async def make_token(service: Service, visitor: Visitor, asked: TokenRequest, address: str) -> NewToken:
    """Create a token; returns its secret and the addresses to paste, raises Problem.

    A member's are their own; the owner's are everybody's or, where `person` says so, that person's.
    """
    now, label = clock.now(), asked.name or None
    granted, expires_at = scopes_for(asked, visitor), expiry_for(asked, visitor, now)
    secret = tokens.new_secret()
    sealed = service.seal.seal(secret) if asked.kind == "webhook" else ""
    is_feed = granted is not None and Scope.CALENDAR in granted

    def store(connection: Connection) -> tuple[int, str | None]:
        row = holder_for(connection, asked, visitor, is_feed=is_feed)
        bound, whose = (None, None) if row is None else (row.id, row.name)
        number = tokens.add_token(
            connection,
            asked.kind,
            secret,
            sealed,
            now,
            name=label,
            person_id=bound,
            scopes=scopes.names(granted),
            expires_at=expires_at,
        )
        return number, whose

    number, whose = await service.database.run(store)
    urls = {source: sources.address(address, source, secret) for source in sources.modules()}
    return {
        "id": number,
        "kind": asked.kind,
        "name": label,
        "person": whose,
        "scopes": scopes.names(granted),
        "expires_at": stamp(expires_at),
        "secret": secret,
        "urls": urls if asked.kind == "webhook" else None,
        "calendar": export.calendar_address(address, secret) if is_feed else None,
    }


def holder_for(
    connection: Connection, asked: TokenRequest, visitor: Visitor, *, is_feed: bool
) -> PersonRow | None:
    """The new token's person, or None for a shared one; raises Problem if its kind requires a person."""
    name = asked.person or visitor.restricted_to
    if name is None and is_feed:
        names = visible.names(connection)
        name = visitor.name or (names[0] if len(names) == 1 else None)
    if name is not None:
        return changes.find_person(connection, visitor, name)
    if is_feed:
        raise Problem(422, "person: a calendar belongs to one person; choose whose.")
    if asked.kind == "app":
        raise Problem(422, "person: an app password belongs to one person; choose whose.")
    return None


def scopes_for(asked: TokenRequest, visitor: Visitor) -> frozenset[Scope] | None:
    """The new token's scopes; raises Problem if they exceed those of the requesting token."""
    if asked.kind != "api":
        return None
    wanted = frozenset(asked.scopes or ()) or visitor.scopes or frozenset({Scope.ADMIN})
    if scopes.exceeds(wanted, visitor.scopes):
        held = ", ".join(scopes.names(visitor.scopes) or ())
        raise Problem(403, f"scopes: this token has {held} and can't create tokens with more.")
    return wanted


def expiry_for(asked: TokenRequest, visitor: Visitor, now: datetime) -> datetime | None:
    """The new token's expiry, or None; raises Problem if it is later than that of the requesting token."""
    wanted = None if asked.expires_in_days is None else now + timedelta(days=asked.expires_in_days)
    last = visitor.expires_at
    if last is None:
        return wanted
    if asked.kind == "webhook":
        raise Problem(
            403,
            f"This token expires at {stamp(last)}, so it can't create a webhook token, which never expires.",
        )
    if wanted is not None and wanted > last:
        raise Problem(
            403,
            f"expires_in_days: this token expires at {stamp(last)} and can't create tokens that expire later.",
        )
    return wanted or last


def revoke_token(connection: Connection, visitor: Visitor, token_id: int) -> None:
    """Revoke a token; raises Problem if the visitor may not see it."""
    mine = None if visitor.is_admin else visitor.person_id or 0
    if token_id not in [row.id for row in tokens.list_tokens(connection, mine)]:
        raise Problem(404, f"There is no active token {token_id}.")
    tokens.revoke_token(connection, token_id, clock.now())
