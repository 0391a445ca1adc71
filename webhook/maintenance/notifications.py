"""Notices: a person hears that they are needed, once, and once that all is well again.

What was announced last is kept in the table `note`, so that it holds across processes and restarts, and
whoever parks an account (a delivery, a command, a page) need not know about notices. An announcement is
written down before it is sent: one that gets lost on its way is in the log, and nobody hears it twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog
from sqlalchemy import Connection, Row, delete, insert, select, text, update

from webhook import clock, trackers
from webhook.accounts.accounts import DISCONNECTED
from webhook.queries.deliveries import explain_park, limited_kinds
from webhook.queries.senders import find_silent_servers
from webhook.settings import Settings, SettingsError
from webhook.storage.db import Database, Unavailable
from webhook.storage.tables import account, note, person

log = structlog.get_logger()

EVERY = 30.0
SEND_TIME = 20.0
"""Seconds in which all addresses must have taken a notice."""

LABEL = "Notifications"
FOR = "Tells you, once, when an account needs you or a server falls silent, and once when all is well again."
SETUP: tuple[str, ...] = (
    "Choose where notices should arrive: a phone, a chat or a mailbox. Apprise knows more than a hundred services.",
    "Look up how its address is written: https://github.com/caronc/apprise/wiki",
    "Enter the addresses below, one a line, and save. Then send yourself a test.",
)

ACCOUNT = "notice.account."
LIMIT = "notice.limit."
SERVER = "notice.server."
ALONE = 7103  # the advisory lock that lets one process at a time decide on PostgreSQL


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """What a person is told: never more than names and what is to be done."""

    title: str
    body: str


class Sends(Protocol):
    async def send(self, notice: Notice) -> str | None: ...


# --- sending


class Notifier:
    """Sends to the addresses in NOTIFY_URLS."""

    def __init__(self, settings: Settings) -> None:
        self.urls = settings.notify_urls.get_secret_value()

    async def send(self, notice: Notice) -> str | None:
        """None once it is out, else why not. Nothing it does keeps anything else waiting."""
        try:
            async with asyncio.timeout(SEND_TIME):
                return await aside(lambda: self.deliver(notice))
        except TimeoutError:
            return f"it took longer than {SEND_TIME:.0f} seconds"
        except SettingsError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - its words may hold an address, and addresses hold tokens
            return type(error).__name__

    def deliver(self, notice: Notice) -> str | None:
        sent = opened(self.urls).notify(title=notice.title, body=notice.body)
        return None if sent else "at least one address in NOTIFY_URLS did not take it"


async def aside(work: Callable[[], str | None]) -> str | None:
    """The work in a thread of its own that keeps nobody from ending: an executor would be waited for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str | None] = loop.create_future()

    def settle(answer: str | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(answer)
        else:
            future.set_exception(error)

    def worked() -> None:
        answer: str | None = None
        failed: Exception | None = None
        try:
            answer = work()
        except Exception as error:  # noqa: BLE001 - whoever waits gets it, whatever it is
            failed = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, answer, failed)

    threading.Thread(target=worked, name="notifier", daemon=True).start()
    return await future


def opened(urls: str) -> Any:
    """Apprise with these addresses; raises SettingsError where one is none. Loaded late: it is heavy."""
    for chatty in ("apprise", "urllib3", "requests"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)  # they write addresses, and those hold tokens
    from apprise import Apprise, AppriseAsset

    made = Apprise(asset=AppriseAsset(app_id="Watchmark", app_desc="Watchmark", http_redirects=False))
    if not made.add(urls):
        taken = len(made)
        raise SettingsError(
            f"NOTIFY_URLS holds an address that Apprise does not know ({taken} of them it does). "
            "How they are written: https://github.com/caronc/apprise/wiki"
        )
    return made


# --- deciding


class Watcher:
    """Compares what is with what was last announced, and announces the difference."""

    def __init__(self, database: Database, notifier: Sends, silence_days: int) -> None:
        self.database = database
        self.notifier = notifier
        self.days = silence_days

    async def run(self, stop: asyncio.Event) -> None:
        """Now and every half minute, until told to stop."""
        while not stop.is_set():
            try:
                await self.look(clock.now())
            except Unavailable as error:
                log.warning("What is to be announced could not be looked up.", why=str(error))
            except Exception as error:  # a notice is never worth a delivery
                log.error("A notice met a fault of ours; the work goes on.", exc_info=error)
            await clock.awaken(asyncio.Event(), stop, EVERY)

    async def look(self, now: datetime) -> int:
        """Announces what is news; how many notices went out."""
        if not await self.database.read(lambda connection: news(connection, now, self.days)):
            return 0
        found = await self.database.write(announced, (now, self.days))
        return sum([await self.sent(notice) for notice in found])

    async def sent(self, notice: Notice) -> bool:
        failed = await self.notifier.send(notice)
        if failed is None:
            log.info("A notice was sent.", notice=notice.title)
            return True
        log.warning("A notice could not be sent.", notice=notice.title, why=failed)
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """One difference: the note's new value (None: it is forgotten), and what a person is told of it."""

    name: str
    value: Mapping[str, Any] | None
    notice: Notice | None


def news(connection: Connection, now: datetime, days: int) -> list[News]:
    """What has changed since it was last announced."""
    noted = select(note.c.name, note.c.value).where(note.c.name.like("notice.%"))
    before = {row.name: row.value for row in connection.execute(noted)}
    return [
        *of_accounts(connection, before),
        *of_limits(connection, before),
        *of_servers(connection, before, now, days),
    ]


def announced(connection: Connection, waiting: list[tuple[datetime, int]]) -> list[list[Notice]]:
    """Writes down what is news now; of several processes only one gets to say it."""
    if connection.dialect.name != "sqlite":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({ALONE})"))
    told = []
    for now, days in waiting:
        found = news(connection, now, days)
        for entry in found:
            write_down(connection, entry)
        told.append([entry.notice for entry in found if entry.notice is not None])
    return told


def write_down(connection: Connection, entry: News) -> None:
    here = note.c.name == entry.name
    if entry.value is None:
        connection.execute(delete(note).where(here))
    elif not connection.execute(update(note).where(here).values(value=entry.value)).rowcount:
        connection.execute(insert(note), {"name": entry.name, "value": entry.value})


def of_accounts(connection: Connection, before: Mapping[str, Any]) -> list[News]:
    wanted = select(account, person.c.name.label("person")).join(person, account.c.person_id == person.c.id)
    rows = {f"{ACCOUNT}{row.id}": row for row in connection.execute(wanted.order_by(account.c.id))}
    found = []
    for name, row in rows.items():
        known = (before.get(name) or {}).get("parked")
        if row.parked == known:
            continue
        if row.parked is not None and row.parked_why == DISCONNECTED:  # by the person themselves
            found += [News(name=name, value=None, notice=None)] if known else []
        elif row.parked is not None:
            found.append(News(name=name, value={"parked": row.parked}, notice=needs(row)))
        else:
            found.append(News(name=name, value=None, notice=works(row)))
    gone = [name for name in before if name.startswith(ACCOUNT) and name not in rows]
    return found + [News(name=name, value=None, notice=None) for name in gone]


def of_limits(connection: Connection, before: Mapping[str, Any]) -> list[News]:
    """What services began to refuse of accounts that work otherwise."""
    refused = {
        f"{LIMIT}{account_id}.{one['kind']}": one
        for account_id, kinds in limited_kinds(connection).items()
        for one in kinds
    }
    found = [
        News(name=name, value={"reason": one["reason"]}, notice=refuses(one))
        for name, one in refused.items()
        if name not in before
    ]
    gone = [name for name in before if name.startswith(LIMIT) and name not in refused]
    return found + [News(name=name, value=None, notice=None) for name in gone]


def refuses(limit: Mapping[str, Any]) -> Notice:
    return Notice(
        title=f"{trackers.label(limit['tracker'])} of {limit['person']} has reached a limit",
        body=f"{limit['explanation']} Nothing is lost.",
    )


def needs(row: Row[Any]) -> Notice:
    mended = explain_park(row.parked, row.tracker, row.person, row.parked_why) or str(row.parked)
    return Notice(
        title=f"{trackers.label(row.tracker)} of {row.person} needs you",
        body=f"{mended} Until then everything that is to be told there waits; nothing is lost.",
    )


def works(row: Row[Any]) -> Notice:
    return Notice(
        title=f"{trackers.label(row.tracker)} of {row.person} works again",
        body="What waited is told now.",
    )


def of_servers(connection: Connection, before: Mapping[str, Any], now: datetime, days: int) -> list[News]:
    quiet = {server_note(entry): entry for entry in find_silent_servers(connection, now, days)}
    found = [
        News(name=name, value={"says": named(entry)}, notice=fell_silent(entry))
        for name, entry in quiet.items()
        if name not in before
    ]
    back = [name for name in before if name.startswith(SERVER) and name not in quiet]
    return found + [
        News(name=name, value=None, notice=sends_again(before[name]["says"]) if days else None)
        for name in back
    ]


def server_note(entry: Mapping[str, Any]) -> str:
    """A name that fits: a server's own may be longer than a note's."""
    key = f"{entry['source']}\0{entry['server'] or ''}"
    return SERVER + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def named(entry: Mapping[str, Any]) -> str:
    server = entry["server_name"] or entry["server"]
    return f"{entry['source']} server {server}" if server else str(entry["source"])


def fell_silent(entry: Mapping[str, Any]) -> Notice:
    return Notice(
        title=f"Silence from the {named(entry)}",
        body=f"{entry['says']} If somebody has watched since: see whether its webhook is still set up "
        "(watchmark urls), and whether the server reaches this one.",
    )


def sends_again(server: str) -> Notice:
    return Notice(title=f"The {server} sends again", body="Its webhooks arrive.")


def check(settings: Settings) -> int:
    """How many addresses there are; raises SettingsError where one cannot be read."""
    urls = settings.notify_urls.get_secret_value()
    return len(opened(urls)) if urls else 0


def example() -> Notice:
    return Notice(title="Watchmark can reach you", body="This is a test: notices arrive here.")
