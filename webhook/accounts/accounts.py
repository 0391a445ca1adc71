"""Accounts: signed in to, checked, switched and given up; what the commands and the pages do with them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast

from sqlalchemy import Connection, Row, and_, delete, func, insert, select, update

from webhook import clock, trackers
from webhook.accounts.credentials import Credentials, Seal
from webhook.domain.event import Action
from webhook.domain.outcome import Park, Snooze, Undelivered
from webhook.domain.rules import ALWAYS_ON, FOLLOWS
from webhook.domain.states import DeliveryState
from webhook.queues import parking
from webhook.settings import SettingsError, variable
from webhook.storage.db import Database, fresh_ids
from webhook.storage.tables import account, delivery, person
from webhook.trackers import Device, DeviceCode, Password, Revokes, SignInFailed, Tokens, TokenSignIn, Tracker

T = TypeVar("T")
Shown = Callable[[DeviceCode], None]
"""Shows the person the code to type in, and where."""

SLOWER = 5.0
"""Seconds by which polling slows down when it is asked to (RFC 8628, slow_down)."""

DISCONNECTED = "disconnected"


class AccountError(Exception):
    """It cannot be done with this account; the message is for the person."""


class Parts(Protocol):
    """What a running service and a command both have open."""

    @property
    def database(self) -> Database: ...

    @property
    def seal(self) -> Seal: ...

    @property
    def credentials(self) -> Credentials: ...

    @property
    def trackers(self) -> Mapping[str, Tracker]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether an account works right now: its name at the service, or why it does not."""

    works: bool
    name: str | None = None
    reason: str | None = None
    park: Park | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Connected:
    """An account after its sign-in, and whether it works."""

    account_id: int
    verdict: Verdict


# --- sign in


async def connect_device(parts: Parts, person_id: int, name: str, shown: Shown) -> Connected:
    """Sign in by a code to type in or a page to agree on; `shown` gets it, then the person is waited for.

    Raises SignInFailed.
    """
    tracker = built(parts, name)
    device = cast(Device, tracker)
    code = await device.begin()
    shown(code)
    return await connected(parts, person_id, tracker, await agreed(device, code), None)


async def connect_password(
    parts: Parts, person_id: int, name: str, username: str, password: str
) -> Connected:
    """Sign in by user name and password, which are used once and not kept. Raises SignInFailed."""
    tracker = built(parts, name)
    tokens = await cast(Password, tracker).login(username, password)
    return await connected(parts, person_id, tracker, tokens, username)


async def connect_token(parts: Parts, person_id: int, name: str, token: str) -> Connected:
    """Sign in by a token that the person copied from the service. Raises SignInFailed."""
    tracker = built(parts, name)
    tokens = await cast(TokenSignIn, tracker).accept_token(token)
    return await connected(parts, person_id, tracker, tokens, None)


async def connected(
    parts: Parts, person_id: int, tracker: Tracker, tokens: Tokens, name: str | None
) -> Connected:
    """The tokens are kept before they are tried: the service gives them only once."""
    made = await finish(parts.database, parts.seal, person_id, tracker, tokens, name)
    return Connected(account_id=made, verdict=await check(parts, made))


async def agreed(device: Device, code: DeviceCode) -> Tokens:
    """The tokens, once the person has agreed. Raises SignInFailed when they refuse or the code expires."""
    ends = time.monotonic() + code.expires_in.total_seconds()
    pause = code.interval.total_seconds()
    while time.monotonic() < ends:
        await asyncio.sleep(pause)
        asked = time.monotonic()
        tokens = await device.poll(code)
        if tokens is not None:
            return tokens
        if time.monotonic() - asked >= pause:  # it came back late: the tracker was asked for a slower pace
            pause += SLOWER
    raise SignInFailed("the code has expired; start again")


async def finish(
    database: Database, seal: Seal, person_id: int, tracker: Tracker, tokens: Tokens, name: str | None
) -> int:
    """Keep a sign-in: the person's account, made or renewed, goes on with what waits in it."""
    sealed = seal.seal(dict(tokens))
    now = clock.now()
    return await database.run(lambda connection: keep(connection, person_id, tracker, sealed, name, now))


def keep(
    connection: Connection, person_id: int, tracker: Tracker, sealed: str, name: str | None, now: datetime
) -> int:
    mine = and_(account.c.person_id == person_id, account.c.tracker == tracker.name)
    row = connection.execute(select(account).where(mine)).first()
    made = add(connection, person_id, tracker, now) if row is None else int(row.id)
    values = {"tokens": sealed, **({} if name is None else {"name": name})}
    connection.execute(update(account).where(account.c.id == made).values(values))
    parking.unpark(connection, made, now)
    return made


def add(connection: Connection, person_id: int, tracker: Tracker, now: datetime) -> int:
    # What is one's own library, and not a service, is unticked too when the server is.
    home = {Action.UNWATCHED} if tracker.sign_in == "none" else set()
    return add_named(connection, person_id, tracker.name, (ALWAYS_ON | home) & tracker.tells, now)


def add_named(
    connection: Connection, person_id: int, tracker: str, tells: Collection[Action], now: datetime
) -> int:
    (made,) = fresh_ids(connection, account, 1)
    values = {"id": made, "person_id": person_id, "tracker": tracker, "rules": {}, "failures": 0}
    told = sorted(action.value for action in tells)
    connection.execute(insert(account), {**values, "tells": told, "created_at": now})
    return made


def add_homes(connection: Connection, built: Mapping[str, Tracker], person_id: int, now: datetime) -> None:
    """A tracker that needs no sign-in (the built-in library) is everybody's from the start."""
    have = set(
        connection.execute(select(account.c.tracker).where(account.c.person_id == person_id)).scalars()
    )
    for name, tracker in built.items():
        if tracker.sign_in == "none" and name not in have:
            add(connection, person_id, tracker, now)


# --- check


async def check(parts: Parts, account_id: int) -> Verdict:
    """Whether the account works right now; parked where a person must act, set going again where it works."""
    row = await by_id(parts.database, account_id)
    tracker = parts.trackers.get(row.tracker)
    if tracker is None:
        return Verdict(works=False, reason=not_set_up(row.tracker))
    try:
        name = await asked(parts, row, tracker)
    except Snooze as error:
        reason, park = error.reason, error.park
        if park is not None:
            await parts.database.run(lambda connection: parked(connection, row, park, reason))
        return Verdict(works=False, reason=reason, park=park)
    except (Undelivered, SettingsError) as error:
        return Verdict(works=False, reason=str(error))
    await parts.database.run(lambda connection: working(connection, account_id, name))
    return Verdict(works=True, name=name)


async def asked(parts: Parts, row: Row[Any], tracker: Tracker) -> str:
    try:
        return await ask(parts, row, tracker)
    except Snooze as error:
        now = await by_id(parts.database, row.id)
        if error.park is not Park.SIGNED_OUT or now.tokens == row.tokens:
            raise
        # Another process renewed the sign-in at the same moment; a refresh token works only once.
        return await ask(parts, now, tracker)


async def ask(parts: Parts, row: Row[Any], tracker: Tracker) -> str:
    access = await parts.credentials.access(row.id, row.person_id, tracker)
    if tracker.sign_in != "none" and not access.tokens:
        raise Snooze(f"{tracker.label} is not signed in to", park=Park.SIGNED_OUT)
    return await tracker.check(access)


def parked(connection: Connection, row: Row[Any], park: Park, reason: str) -> None:
    if row.parked != park:  # one that is parked for this keeps the time and words it was parked with
        parking.park(connection, row.id, park, reason, clock.now())


def working(connection: Connection, account_id: int, name: str) -> None:
    here = account.c.id == account_id
    connection.execute(update(account).where(here).values(name=name))
    waits = select(delivery.c.id).where(parking.is_stuck(), delivery.c.state == DeliveryState.PARKED)
    stopped = select(
        account.c.parked.is_not(None) | waits.where(delivery.c.account_id == account_id).exists()
    )
    if connection.execute(stopped.where(here)).scalar():
        parking.unpark(connection, account_id, clock.now())


# --- disconnect and switch


async def disconnect(parts: Parts, account_id: int) -> bool:
    """Give up the sign-in; whether the account is gone. One with deliveries stays, parked, for their sake."""
    row = await by_id(parts.database, account_id)
    await revoke(parts, row)
    return await parts.database.run(lambda connection: drop(connection, account_id, clock.now()))


async def revoke(parts: Parts, row: Row[Any]) -> None:
    """Tell the service that the sign-in is given up, where it can be told; it need not listen."""
    tracker = parts.trackers.get(row.tracker)
    if tracker is None or row.tokens is None or not hasattr(tracker, "revoke"):
        return
    with suppress(Undelivered, SettingsError):
        await cast(Revokes, tracker).revoke(parts.seal.open(row.tokens))


def drop(connection: Connection, account_id: int, now: datetime) -> bool:
    here = account.c.id == account_id
    told = select(func.count()).select_from(delivery).where(delivery.c.account_id == account_id)
    if not connection.execute(told).scalar_one():
        connection.execute(delete(account).where(here))
        return True
    connection.execute(update(account).where(here).values(tokens=None))
    parking.park(connection, account_id, Park.SIGNED_OUT, DISCONNECTED, now)
    return False


async def switch(parts: Parts, account_id: int, action: Action, on: bool) -> list[str]:
    """Switch on or off that an account is told of this; what it is told now. Raises AccountError."""
    row = await by_id(parts.database, account_id)
    tracker = built(parts, row.tracker)
    action = FOLLOWS.get(action, action)
    if action not in tracker.tells:
        can = ", ".join(sorted({FOLLOWS.get(known, known).value for known in tracker.tells}))
        raise AccountError(f"{tracker.label} cannot be told {action}; it can be told {can}.")
    return await parts.database.run(lambda connection: switched(connection, account_id, action, on))


def switched(connection: Connection, account_id: int, action: Action, on: bool) -> list[str]:
    here = account.c.id == account_id
    tells = set(connection.execute(select(account.c.tells).where(here)).scalar_one())
    told = sorted(tells | {action.value} if on else tells - {action.value})
    connection.execute(update(account).where(here).values(tells=told))
    return told


# --- find


def built(parts: Parts, name: str) -> Tracker:
    """The tracker; raises AccountError when there is none of that name or it is not set up."""
    if name in parts.trackers:
        return parts.trackers[name]
    raise AccountError(not_set_up(name))


def not_set_up(name: str) -> str:
    """Why a tracker is off, which variables switch it on, and where that is done in a browser."""
    known = trackers.modules()
    if name not in known:
        return f"There is no tracker called {name}; there is {', '.join(known)}."
    fields = known[name].Settings.model_fields.items()
    needed = [variable(f"{name}_", field) for field, about in fields if about.is_required()]
    return f"{known[name].LABEL} is not set up. Set {' and '.join(needed)} and restart; or set it up under Connections in the browser."


def of(connection: Connection, person_id: int, name: str) -> Row[Any]:
    """A person's account at a tracker; raises AccountError when there is none."""
    if name not in trackers.modules():
        raise AccountError(not_set_up(name))
    wanted = (
        select(account, person.c.name.label("person"))
        .join(person, account.c.person_id == person.c.id)
        .where(account.c.person_id == person_id, account.c.tracker == name)
    )
    row = connection.execute(wanted).first()
    if row is None:
        who = connection.execute(select(person.c.name).where(person.c.id == person_id)).scalar_one()
        raise AccountError(
            f"{who} has no account at {name}. Sign in: watchmark connect {name} --person {who}"
        )
    return row


async def by_id(database: Database, account_id: int) -> Row[Any]:
    wanted = select(account).where(account.c.id == account_id)
    row = await database.read(lambda connection: connection.execute(wanted).first())
    if row is None:
        raise AccountError(f"There is no account {account_id}.")
    return row
