"""The sealed secrets of the database: found, described and renewed where the key does not open them."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import structlog
from sqlalchemy import Column, Connection, delete, select, update

from webhook import clock
from webhook.accounts.seal import Seal
from webhook.domain.outcome import UNREADABLE, Park
from webhook.people import tokens
from webhook.people.tokens import ListedToken
from webhook.storage.db import Database
from webhook.storage.rows import fetch_all
from webhook.storage.tables import (
    AccountRow,
    AppRow,
    NoteRow,
    SecondFactorRow,
    TokenRow,
    account,
    app,
    note,
    person,
    second_factor,
    token,
)
from webhook.storage.tables.base import TableRow, row_class_of

log = structlog.get_logger()

R = TypeVar("R", bound=TableRow)


@dataclass(frozen=True, kw_only=True, slots=True)
class Secret(Generic[R]):
    """One sealed value and its row."""

    column: Column[str]
    row: R

    @property
    def text(self) -> str:
        return str(getattr(self.row, self.column.name))

    @property
    def place(self) -> Any:
        """The condition that selects the secret's row by its primary key."""
        (key,) = self.column.table.primary_key
        return key == getattr(self.row, key.name)

    def store(self, connection: Connection, text: str | None) -> None:
        connection.execute(update(self.column.table).where(self.place).values({self.column: text}))


def find_secrets(connection: Connection, *, lock: bool = False) -> list[Secret[Any]]:
    """All sealed values."""
    found = []
    for column in DESCRIBE_UNREADABLE:
        wanted = select(column.table).where(column.is_not(None), column != "")
        wanted = wanted.with_for_update() if lock else wanted
        rows = fetch_all(connection, wanted, row_class_of(column.table))
        found += [Secret(column=column, row=row) for row in rows]
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadableSecret:
    """A secret that cannot be opened: its description, and the remedy."""

    what: str
    do: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RenewedSecret(UnreadableSecret):
    """A dropped secret; `secret` is its replacement, if there is one."""

    kind: Literal["sign-in", "webhook token", "app", "settings", "second factor"]
    id: int | None = None
    key: str | None = None
    secret: str | None = None


Renew = Callable[[Connection, Secret[Any], Seal, datetime], RenewedSecret | None]
"""A function that drops a secret; returns None if nobody needs to know."""


def renew_sign_in(
    connection: Connection, secret: Secret[AccountRow], new: Seal, now: datetime
) -> RenewedSecret:
    from webhook.queues import parking

    secret.store(connection, None)
    parking.park(connection, secret.row.id, Park.SIGNED_OUT, UNREADABLE, now)
    return RenewedSecret(kind="sign-in", **asdict(describe_sign_in(connection, secret)))


def describe_sign_in(connection: Connection, secret: Secret[AccountRow]) -> UnreadableSecret:
    tracker, name = secret.row.tracker, name_of(connection, secret.row.person_id)
    command = f"watchmark connect {shlex.quote(tracker)} --person {shlex.quote(name)}"
    return UnreadableSecret(what=f"the sign-in of {name} at {tracker}", do=f"Sign in again: {command}")


def renew_token(
    connection: Connection, secret: Secret[TokenRow], new: Seal, now: datetime
) -> RenewedSecret | None:
    """Replace a token; the old one stays valid, so that nothing is lost until the new address is pasted."""
    secret.store(connection, "")
    if not is_address(secret.row):
        return None
    fresh, row = tokens.new_secret(), secret.row
    made = tokens.add_token(
        connection, "webhook", fresh, new.seal(fresh), now, name=row.name, person_id=row.person_id
    )
    do = f"Paste the address of token {made} into your media server, then: watchmark token revoke {row.id}"
    return RenewedSecret(kind="webhook token", what=token_label(secret), do=do, id=made, secret=fresh)


def describe_token(connection: Connection, secret: Secret[TokenRow]) -> UnreadableSecret | None:
    if not is_address(secret.row):
        return None
    return UnreadableSecret(
        what=f"the address of {token_label(secret)}", do=TOKEN_MEND.format(id=secret.row.id)
    )


TOKEN_MEND = (
    "It is still let in, but cannot be shown. Make another token, paste its address, then: "
    "watchmark token revoke {id}"
)


def is_address(row: TokenRow) -> bool:
    """True for a webhook token that is not revoked, whose address is still shown."""
    return row.kind == "webhook" and row.revoked_at is None


def token_problem(row: ListedToken, seal: Seal) -> str | None:
    """The advice for a webhook token whose address cannot be shown, or None."""
    unreadable = row.kind == "webhook" and row.revoked_at is None and not seal.opens(row.sealed)
    return TOKEN_MEND.format(id=row.id) if unreadable else None


def token_label(secret: Secret[TokenRow]) -> str:
    return f"webhook token {secret.row.id}" + (f" ({secret.row.name})" if secret.row.name else "")


def renew_app(connection: Connection, secret: Secret[AppRow], new: Seal, now: datetime) -> RenewedSecret:
    fresh, row = secrets.token_hex(16), secret.row
    secret.store(connection, new.seal(fresh))
    do = "Put its new secret into the app."
    return RenewedSecret(
        kind="app", what=f"the secret of the app {row.name}", do=do, key=row.key, secret=fresh
    )


def describe_app(connection: Connection, secret: Secret[AppRow]) -> UnreadableSecret:
    return UnreadableSecret(what=f"the secret of the app {secret.row.name}", do=APP_MEND)


APP_MEND = "It cannot be let in. Remove it, add it again, and put its new key and secret into the app."


def renew_settings(
    connection: Connection, secret: Secret[NoteRow], new: Seal, now: datetime
) -> RenewedSecret:
    connection.execute(delete(note).where(secret.place))
    return RenewedSecret(kind="settings", **asdict(describe_settings(connection, secret)))


def describe_settings(connection: Connection, secret: Secret[NoteRow]) -> UnreadableSecret:
    return UnreadableSecret(what="what was set in the browser", do=SETTINGS_MEND)


SETTINGS_MEND = "Enter it again, under Connections and Settings."


def renew_second_factor(
    connection: Connection, secret: Secret[SecondFactorRow], new: Seal, now: datetime
) -> RenewedSecret:
    described = describe_second_factor(connection, secret)
    connection.execute(delete(second_factor).where(secret.place))
    return RenewedSecret(kind="second factor", what=described.what, do="Set it up again, on your page.")


def describe_second_factor(connection: Connection, secret: Secret[SecondFactorRow]) -> UnreadableSecret:
    name = name_of(connection, secret.row.person_id)
    command = f"watchmark people reset-second-factor {shlex.quote(name)}"
    return UnreadableSecret(
        what=f"the second factor of {name}", do=f"Sign in with a recovery code, or turn it off: {command}"
    )


def name_of(connection: Connection, person_id: int) -> str:
    return str(connection.execute(select(person.c.name).where(person.c.id == person_id)).scalar_one())


DESCRIBE_UNREADABLE: Mapping[Column[Any], Callable[[Connection, Secret[Any]], UnreadableSecret | None]] = {
    account.c.tokens: describe_sign_in,
    app.c.sealed: describe_app,
    note.c.sealed: describe_settings,
    second_factor.c.sealed: describe_second_factor,
    token.c.sealed: describe_token,
}
"""The description of the secrets in each sealed column, and the remedy for their loss."""

RENEW_SECRET: Mapping[Column[Any], Renew] = {
    account.c.tokens: renew_sign_in,
    app.c.sealed: renew_app,
    note.c.sealed: renew_settings,
    second_factor.c.sealed: renew_second_factor,
    token.c.sealed: renew_token,
}
"""The function that drops a secret of each sealed column."""


# --- secrets that cannot be opened


def find_unreadable(connection: Connection, seal: Seal) -> list[UnreadableSecret]:
    """The secrets that this key does not open and that somebody needs."""
    closed = [secret for secret in find_secrets(connection) if not seal.opens(secret.text)]
    found = [DESCRIBE_UNREADABLE[secret.column](connection, secret) for secret in closed]
    return [lost for lost in found if lost is not None]


def park_unreadable_accounts(connection: Connection, seal: Seal, now: datetime) -> None:
    """Park the accounts whose sign-in cannot be opened, so that their pages ask for a new one."""
    from webhook.queues import parking

    for secret in find_secrets(connection):
        mine = secret.column is account.c.tokens and secret.row.parked is None
        if mine and not seal.opens(secret.text):
            parking.park(connection, secret.row.id, Park.SIGNED_OUT, UNREADABLE, now)


def park_unreadable(database: Database, seal: Seal) -> None:
    """Log and ignore unreadable secrets, so that none of them keeps the service from starting."""
    lost = database.ask(lambda connection: find_unreadable(connection, seal))
    for one in lost:
        log.warning("A secret cannot be opened with this key and is ignored.", what=one.what, do=one.do)
    if lost:
        database.do(lambda connection: park_unreadable_accounts(connection, seal, clock.now()))
