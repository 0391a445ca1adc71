"""Accounts: sign-in, check, switches and disconnection, for the commands and the pages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import NamedTuple, Protocol, TypeVar, cast

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from webhook import clock, servers, trackers
from webhook.accounts.credentials import Credentials
from webhook.accounts.seal import Seal
from webhook.domain.event import Action
from webhook.domain.json_shapes import RulesJson
from webhook.domain.outcome import DISCONNECTED, Park, Snooze, Undelivered
from webhook.domain.rules import ALWAYS_ON, FOLLOWS, OPTIONAL_ACTIONS, SWITCHES
from webhook.domain.states import DeliveryState
from webhook.history import watchlist_reads
from webhook.queues import calls_left, parking
from webhook.settings import SettingsError, variable
from webhook.storage.db import Database, fresh_ids
from webhook.storage.rows import fetch_first
from webhook.storage.tables import AccountRow, account, delivery, person
from webhook.trackers import (
    Device,
    DeviceCode,
    Password,
    Revokes,
    SignInFailed,
    Tokens,
    TokenSignIn,
    Tracker,
)
from webhook.trackers._sign_in import ReceiverSignIn

T = TypeVar("T")
ShowCode = Callable[[DeviceCode], None]
"""Callback that shows the person the code and where to enter it."""

POLL_SLOWDOWN = 5.0
"""Seconds by which polling slows down when it is asked to (RFC 8628, slow_down)."""


class AccountError(Exception):
    """An action that is not possible with this account; the message is for the person."""


class Dependencies(Protocol):
    """The open resources that these functions need; a running service and a command both have them."""

    @property
    def database(self) -> Database: ...

    @property
    def seal(self) -> Seal: ...

    @property
    def credentials(self) -> Credentials: ...

    @property
    def trackers(self) -> Mapping[str, Tracker]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountCheck:
    """The result of checking an account: its name at the service, or why it does not work."""

    works: bool
    name: str | None = None
    reason: str | None = None
    park: Park | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectResult:
    """An account after its sign-in, with the result of its check."""

    account_id: int
    verdict: AccountCheck


class PersonAccount(NamedTuple):
    """An account with the name of the person it belongs to."""

    id: int
    tracker: str
    tells: list[str]
    rules: RulesJson
    person: str


# --- sign in


async def connect_device(
    dependencies: Dependencies, person_id: int, name: str, shown: ShowCode
) -> ConnectResult:
    """Sign in by a code or a consent page: `shown` gets it, then the person's approval is polled for.

    Raises SignInFailed.
    """
    tracker = get_tracker(dependencies, name)
    device = cast(Device, tracker)
    code = await device.begin()
    shown(code)
    return await finish_sign_in(dependencies, person_id, tracker, await wait_for_approval(device, code), None)


async def connect_password(
    dependencies: Dependencies, person_id: int, name: str, username: str, password: str
) -> ConnectResult:
    """Sign in by user name and password, which are used once and not kept. Raises SignInFailed."""
    tracker = get_tracker(dependencies, name)
    tokens = await cast(Password, tracker).login(username, password)
    return await finish_sign_in(dependencies, person_id, tracker, tokens, username)


async def connect_token(dependencies: Dependencies, person_id: int, name: str, token: str) -> ConnectResult:
    """Sign in by a token that the person copied from the service. Raises SignInFailed."""
    tracker = get_tracker(dependencies, name)
    tokens = await cast(TokenSignIn, tracker).accept_token(token)
    return await finish_sign_in(dependencies, person_id, tracker, tokens, None)


async def connect_receiver(
    dependencies: Dependencies, person_id: int, name: str, given: Mapping[str, str]
) -> ConnectResult:
    """Store a receiver as the owner typed it; a secret that was left empty stays. Raises SignInFailed."""
    tracker = get_tracker(dependencies, name)
    stored = await read_stored_sign_in(dependencies, person_id, name)
    tokens = await cast(ReceiverSignIn, tracker).accept_receiver(given, stored)
    return await finish_sign_in(dependencies, person_id, tracker, tokens, None)


async def read_stored_sign_in(dependencies: Dependencies, person_id: int, name: str) -> Tokens:
    """What is stored of a person's sign-in; nothing where there is none, or none that can be opened."""
    mine = and_(account.c.person_id == person_id, account.c.tracker == name)
    wanted = select(account.c.tokens).where(mine)
    sealed = await dependencies.database.read(lambda connection: connection.execute(wanted).scalar())
    try:
        return dependencies.credentials.open_tokens(sealed)
    except Snooze:
        return {}


async def finish_sign_in(
    dependencies: Dependencies, person_id: int, tracker: Tracker, tokens: Tokens, name: str | None
) -> ConnectResult:
    """Store the tokens, then check the account: the service gives the tokens only once."""
    made = await store_sign_in(dependencies.database, dependencies.seal, person_id, tracker, tokens, name)
    return ConnectResult(account_id=made, verdict=await check_account(dependencies, made))


async def wait_for_approval(device: Device, code: DeviceCode) -> Tokens:
    """The tokens, once the person has agreed. Raises SignInFailed when they refuse or the code expires."""
    ends = time.monotonic() + code.expires_in.total_seconds()
    pause = code.interval.total_seconds()
    while time.monotonic() < ends:
        await asyncio.sleep(pause)
        asked = time.monotonic()
        tokens = await device.poll(code)
        if tokens is not None:
            return tokens
        if time.monotonic() - asked >= pause:  # slow_down: poll less often
            pause += POLL_SLOWDOWN
    raise SignInFailed("the code has expired; start again")


async def store_sign_in(
    database: Database, seal: Seal, person_id: int, tracker: Tracker, tokens: Tokens, name: str | None
) -> int:
    """Store a sign-in and resume the account's waiting deliveries; return the account's id."""
    sealed = seal.seal(dict(tokens))
    now = clock.now()
    server = tokens.get("server")

    def store(connection: Connection) -> int:
        made = store_tokens(connection, person_id, tracker, sealed, name, now)
        connection.execute(update(account).where(account.c.id == made).values(server=server))
        return made

    return await database.run(store)


def store_tokens(
    connection: Connection, person_id: int, tracker: Tracker, sealed: str, name: str | None, now: datetime
) -> int:
    mine = and_(account.c.person_id == person_id, account.c.tracker == tracker.name)
    found = connection.execute(select(account.c.id).where(mine)).scalar()
    made = add_account(connection, person_id, tracker, now) if found is None else found
    values = {"tokens": sealed, **({} if name is None else {"name": name})}
    connection.execute(update(account).where(account.c.id == made).values(values))
    watchlist_reads.forget_account(connection, made)  # it may be another account at the service
    parking.unpark(connection, made, now)
    return made


def add_account(connection: Connection, person_id: int, tracker: Tracker, now: datetime) -> int:
    # Unwatched is sent to the built-in library by default, as it belongs to the person.
    home = {Action.UNWATCHED} if tracker.sign_in == "none" else set()
    # A media server has marks of its own: it is told nothing until that is switched on.
    tells = frozenset[Action]() if is_media_server(tracker) else (ALWAYS_ON | home) & tracker.tells
    return insert_account(connection, person_id, tracker.name, tells, now)


def insert_account(
    connection: Connection, person_id: int, tracker: str, tells: Collection[Action], now: datetime
) -> int:
    (made,) = fresh_ids(connection, account, 1)
    values = {"id": made, "person_id": person_id, "tracker": tracker, "rules": {}, "failures": 0}
    told = sorted(action.value for action in tells)
    connection.execute(insert(account), {**values, "tells": told, "created_at": now})
    return made


def add_builtin_accounts(
    connection: Connection, built: Mapping[str, Tracker], person_id: int, now: datetime
) -> None:
    """Add the accounts of trackers that need no sign-in, such as the built-in library."""
    have = set(
        connection.execute(select(account.c.tracker).where(account.c.person_id == person_id)).scalars()
    )
    for name, tracker in built.items():
        if tracker.sign_in == "none" and name not in have:
            add_account(connection, person_id, tracker, now)


# --- check


async def check_account(dependencies: Dependencies, account_id: int) -> AccountCheck:
    """Check the account: park it where a person must act, resume it where it works."""
    row = await read_account(dependencies.database, account_id)
    tracker = dependencies.trackers.get(row.tracker)
    if tracker is None:
        return AccountCheck(works=False, reason=setup_hint(row.tracker))
    try:
        name = await verify_access(dependencies, row, tracker)
    except Snooze as error:
        reason, park = error.reason, error.park
        if park is not None:
            await dependencies.database.run(lambda connection: park_account(connection, row, park, reason))
        return AccountCheck(works=False, reason=reason, park=park)
    except (Undelivered, SettingsError) as error:
        return AccountCheck(works=False, reason=str(error))
    await dependencies.database.run(lambda connection: record_check(connection, account_id, name))
    return AccountCheck(works=True, name=name)


async def verify_access(dependencies: Dependencies, row: AccountRow, tracker: Tracker) -> str:
    try:
        return await request_name(dependencies, row, tracker)
    except Snooze as error:
        now = await read_account(dependencies.database, row.id)
        if error.park is not Park.SIGNED_OUT or now.tokens == row.tokens:
            raise
        # Another process renewed the sign-in at the same moment; a refresh token works only once.
        return await request_name(dependencies, now, tracker)


async def request_name(dependencies: Dependencies, row: AccountRow, tracker: Tracker) -> str:
    access = await dependencies.credentials.access(row.id, row.person_id, tracker)
    if tracker.sign_in != "none" and not access.tokens:
        raise Snooze(f"{tracker.label} is not signed in to", park=Park.SIGNED_OUT)
    return await tracker.check(access)


def park_account(connection: Connection, row: AccountRow, park: Park, reason: str) -> None:
    if row.parked != park:  # one that is parked for this keeps the time and words it was parked with
        parking.park(connection, row.id, park, reason, clock.now())


def record_check(connection: Connection, account_id: int, name: str) -> None:
    here = account.c.id == account_id
    connection.execute(update(account).where(here).values(name=name))
    waits = select(delivery.c.id).where(parking.is_stuck(), delivery.c.state == DeliveryState.PARKED)
    stopped = select(
        account.c.parked.is_not(None) | waits.where(delivery.c.account_id == account_id).exists()
    )
    if connection.execute(stopped.where(here)).scalar():
        parking.unpark(connection, account_id, clock.now())


# --- disconnect and switch


async def disconnect(dependencies: Dependencies, account_id: int) -> bool:
    """Disconnect an account and return True if it is deleted; one with deliveries stays, parked."""
    row = await read_account(dependencies.database, account_id)
    await revoke_sign_in(dependencies, row)
    return await dependencies.database.run(
        lambda connection: drop_sign_in(connection, account_id, clock.now())
    )


async def revoke_sign_in(dependencies: Dependencies, row: AccountRow) -> None:
    """Revoke the sign-in at the service, where it supports that; errors are ignored."""
    tracker = dependencies.trackers.get(row.tracker)
    if tracker is None or row.tokens is None or not hasattr(tracker, "revoke"):
        return
    with suppress(Undelivered, SettingsError):
        await cast(Revokes, tracker).revoke(dependencies.seal.open(row.tokens))


def drop_sign_in(connection: Connection, account_id: int, now: datetime) -> bool:
    calls_left.forget(connection, account_id)
    here = account.c.id == account_id
    told = select(func.count()).select_from(delivery).where(delivery.c.account_id == account_id)
    if not connection.execute(told).scalar_one():
        connection.execute(delete(account).where(here))
        return True
    connection.execute(update(account).where(here).values(tokens=None))
    parking.park(connection, account_id, Park.SIGNED_OUT, DISCONNECTED, now)
    return False


async def switch_action(dependencies: Dependencies, account_id: int, action: Action, on: bool) -> list[str]:
    """Switch an action on or off for an account and return the actions it is sent; raises AccountError."""
    row = await read_account(dependencies.database, account_id)
    tracker = get_tracker(dependencies, row.tracker)
    action = FOLLOWS.get(action, action)
    if action not in tracker.tells:
        can = ", ".join(sorted({FOLLOWS.get(known, known).value for known in tracker.tells}))
        raise AccountError(f"{tracker.label} cannot be told {action}; it can be told {can}.")
    return await dependencies.database.run(lambda connection: set_action(connection, account_id, action, on))


def set_action(connection: Connection, account_id: int, action: Action, on: bool) -> list[str]:
    here = account.c.id == account_id
    tells = set(connection.execute(select(account.c.tells).where(here)).scalar_one())
    told = sorted(tells | {action.value} if on else tells - {action.value})
    connection.execute(update(account).where(here).values(tells=told))
    return told


def is_media_server(tracker: Tracker) -> bool:
    """True for one that has marks of its own, and is told nothing until that is switched on."""
    return hasattr(tracker, "copies")


def list_switches(tracker: Tracker) -> list[Action]:
    """What a person can switch on and off of what the tracker is sent."""
    known = SWITCHES if is_media_server(tracker) else OPTIONAL_ACTIONS
    return [action for action in known if action in tracker.tells]


# --- find


def get_tracker(dependencies: Dependencies, name: str) -> Tracker:
    """The tracker; raises AccountError when there is none of that name or it is not set up."""
    if name in dependencies.trackers:
        return dependencies.trackers[name]
    raise AccountError(setup_hint(name))


def setup_hint(name: str) -> str:
    """The sentence that says why a tracker is off and which variables switch it on."""
    known = trackers.modules()
    if name not in known:
        return f"There is no tracker called {name}; there is {', '.join(known)}."
    needed = required_variables(known[name], name)
    if (server := servers.modules().get(name)) is not None:
        needed = list(dict.fromkeys([*needed, *required_variables(server, name)]))
    return f"{known[name].LABEL} is not set up. Set {' and '.join(needed)} and restart; or set it up under Connections in the browser."


def required_variables(module: ModuleType, name: str) -> list[str]:
    """The variables that this tracker or server cannot do without."""
    fields = module.Settings.model_fields.items()
    return [variable(f"{name}_", field) for field, about in fields if about.is_required()]


def find_account(connection: Connection, person_id: int, name: str) -> PersonAccount:
    """A person's account at a tracker; raises AccountError when there is none."""
    if name not in trackers.modules():
        raise AccountError(setup_hint(name))
    wanted = (
        select(
            account.c.id, account.c.tracker, account.c.tells, account.c.rules, person.c.name.label("person")
        )
        .join(person, account.c.person_id == person.c.id)
        .where(account.c.person_id == person_id, account.c.tracker == name)
    )
    row = fetch_first(connection, wanted, PersonAccount)
    if row is None:
        who = connection.execute(select(person.c.name).where(person.c.id == person_id)).scalar_one()
        raise AccountError(
            f"{who} has no account at {name}. Sign in: watchmark connect {name} --person {who}"
        )
    return row


async def read_account(database: Database, account_id: int) -> AccountRow:
    """The account; raises AccountError when there is none."""
    wanted = select(account).where(account.c.id == account_id)
    row = await database.read(lambda connection: fetch_first(connection, wanted, AccountRow))
    if row is None:
        raise AccountError(f"There is no account {account_id}.")
    return row
