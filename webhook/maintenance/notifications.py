"""Notifications: one when a person is needed, and one when the problem is solved.

The last notice of each thing is stored in the table `note`, so that it holds across processes and restarts, and
the code that parks an account need not know about notices. A notice is stored before it is sent: one that is
lost on its way is in the log, and no notice is sent twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import structlog
from sqlalchemy import Connection, delete, insert, select, text, update

from webhook import clock, trackers
from webhook.clock import stamp
from webhook.domain.outcome import DISCONNECTED
from webhook.maintenance.backup_schedule import BackupFailure, find_failure
from webhook.queries.deliveries import LimitJson, explain_park, limited_kinds
from webhook.queries.held import HeldList, select_held_lists
from webhook.queries.senders import SilentServerJson, find_silent_servers
from webhook.settings import Settings, SettingsError
from webhook.storage.db import Database, Unavailable
from webhook.storage.rows import fetch_all
from webhook.storage.tables import account, note, person

log = structlog.get_logger()

CHECK_INTERVAL = 30.0
SEND_TIMEOUT = 20.0
"""Seconds within which a notice must be sent to all addresses."""

LABEL = "Notifications"
PURPOSE = "Tells you, once, when an account or a list needs you, a server falls silent or a backup fails, and once when all is well again."
SETUP: tuple[str, ...] = (
    "Choose where notices should arrive: a phone, a chat or a mailbox. Apprise knows more than a hundred services.",
    "Look up how its address is written: https://github.com/caronc/apprise/wiki",
    "Enter the addresses below, separated by spaces, and save. Then send yourself a test.",
)

ACCOUNT_NOTE = "notice.account."
LIMIT_NOTE = "notice.limit."
LIST_NOTE = "notice.list."
SERVER_NOTE = "notice.server."
BACKUP_NOTE = "notice.backup"
ADVISORY_LOCK = 7103  # the advisory lock that lets one process at a time decide on PostgreSQL


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """A notification's title and text, which hold only names and instructions."""

    title: str
    body: str


class Sender(Protocol):
    async def send(self, notice: Notice) -> str | None: ...


# --- sending


class Notifier:
    """Sends to the addresses in NOTIFY_URLS."""

    def __init__(self, settings: Settings) -> None:
        self.urls = settings.notify_urls.get_secret_value()

    async def send(self, notice: Notice) -> str | None:
        """Send a notice; return None, or the reason why it failed. Nothing else waits for it."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                return await run_in_thread(lambda: self.deliver(notice))
        except TimeoutError:
            return f"it took longer than {SEND_TIMEOUT:.0f} seconds"
        except SettingsError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - its words may hold an address, and addresses hold tokens
            return type(error).__name__

    def deliver(self, notice: Notice) -> str | None:
        sent = open_apprise(self.urls).notify(title=notice.title, body=notice.body)
        return None if sent else "at least one address in NOTIFY_URLS did not take it"


async def run_in_thread(work: Callable[[], str | None]) -> str | None:
    """Run the work in a daemon thread, for which the end of the process does not wait."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str | None] = loop.create_future()

    def settle(answer: str | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(answer)
        else:
            future.set_exception(error)

    def run_work() -> None:
        answer: str | None = None
        failed: Exception | None = None
        try:
            answer = work()
        except Exception as error:  # noqa: BLE001 - whoever waits gets it, whatever it is
            failed = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, answer, failed)

    threading.Thread(target=run_work, name="notifier", daemon=True).start()
    return await future


def open_apprise(urls: str) -> Any:
    """Apprise with these addresses; raises SettingsError where one is none. Loaded late: it is heavy."""
    for chatty in ("apprise", "urllib3", "requests"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)  # they write addresses, and those hold tokens
    from apprise import Apprise, AppriseAsset

    made = Apprise(asset=AppriseAsset(app_id="Watchmark", app_desc="Watchmark", http_redirects=False))
    if not made.add(urls):
        raise SettingsError(
            f"NOTIFY_URLS holds an address that Apprise does not know; it knows {len(made)} of those given. "
            "How they are written: https://github.com/caronc/apprise/wiki"
        )
    return made


# --- deciding


class Watcher:
    """Compares the present state with the last notices, and sends the difference."""

    def __init__(self, database: Database, notifier: Sender, silence_days: int) -> None:
        self.database = database
        self.notifier = notifier
        self.days = silence_days

    async def run(self, stop: asyncio.Event) -> None:
        """Check now and every half minute, until stopped."""
        while not stop.is_set():
            try:
                await self.look(clock.now())
            except Unavailable as error:
                log.warning("The notifications to send could not be read.", why=str(error))
            except Exception as error:  # a notification must never stop deliveries
                log.error(
                    "A notification failed with an unexpected error; deliveries continue.", exc_info=error
                )
            await clock.awaken(asyncio.Event(), stop, CHECK_INTERVAL)

    async def look(self, now: datetime) -> int:
        """Send the notices that are due; return how many went out."""
        if not await self.database.read(lambda connection: find_changes(connection, now, self.days)):
            return 0
        found = await self.database.write(store_changes, (now, self.days))
        return sum([await self.send(notice) for notice in found])

    async def send(self, notice: Notice) -> bool:
        failed = await self.notifier.send(notice)
        if failed is None:
            log.info("A notice was sent.", notice=notice.title)
            return True
        log.warning("A notice could not be sent.", notice=notice.title, why=failed)
        return False


NoteValue = Mapping[str, str | int | None]
"""What a notice was about."""

Noted = Mapping[str, NoteValue]
"""What notices were sent about, by the name of its note."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoticeChange:
    """One difference: the note's new value (None deletes it), and the notice to send."""

    name: str
    value: NoteValue | None
    notice: Notice | None


def find_changes(connection: Connection, now: datetime, days: int) -> list[NoticeChange]:
    """The changes since the last notices."""
    noted = select(note.c.name, note.c.value).where(note.c.name.like("notice.%"))
    before = {row.name: row.value for row in connection.execute(noted)}
    return [
        *account_changes(connection, before),
        *limit_changes(connection, before),
        *list_changes(connection, before),
        *server_changes(connection, before, now, days),
        *backup_changes(connection, before),
    ]


def store_changes(connection: Connection, waiting: list[tuple[datetime, int]]) -> list[list[Notice]]:
    """Store the changes; of several processes only one gets the notices to send."""
    if connection.dialect.name != "sqlite":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
    told = []
    for now, days in waiting:
        found = find_changes(connection, now, days)
        for entry in found:
            store_change(connection, entry)
        told.append([entry.notice for entry in found if entry.notice is not None])
    return told


def store_change(connection: Connection, entry: NoticeChange) -> None:
    here = note.c.name == entry.name
    if entry.value is None:
        connection.execute(delete(note).where(here))
    elif not connection.execute(update(note).where(here).values(value=entry.value)).rowcount:
        connection.execute(insert(note), {"name": entry.name, "value": entry.value})


class NotifiedAccount(NamedTuple):
    id: int
    tracker: str
    person: str
    parked: str | None
    parked_why: str | None


def account_changes(connection: Connection, before: Noted) -> list[NoticeChange]:
    wanted = (
        select(
            account.c.id,
            account.c.tracker,
            person.c.name.label("person"),
            account.c.parked,
            account.c.parked_why,
        )
        .join(person, account.c.person_id == person.c.id)
        .order_by(account.c.id)
    )
    rows = {f"{ACCOUNT_NOTE}{row.id}": row for row in fetch_all(connection, wanted, NotifiedAccount)}
    found = []
    for name, row in rows.items():
        known = (before.get(name) or {}).get("parked")
        if row.parked == known:
            continue
        if row.parked is not None and row.parked_why == DISCONNECTED:  # signed out by the person
            found += [NoticeChange(name=name, value=None, notice=None)] if known else []
        elif row.parked is not None:
            found.append(NoticeChange(name=name, value={"parked": row.parked}, notice=parked_notice(row)))
        else:
            found.append(NoticeChange(name=name, value=None, notice=working_notice(row)))
    gone = [name for name in before if name.startswith(ACCOUNT_NOTE) and name not in rows]
    return found + [NoticeChange(name=name, value=None, notice=None) for name in gone]


def limit_changes(connection: Connection, before: Noted) -> list[NoticeChange]:
    """The limits of services on accounts that otherwise work."""
    refused = {
        f"{LIMIT_NOTE}{account_id}.{one['kind']}": one
        for account_id, kinds in limited_kinds(connection).items()
        for one in kinds
    }
    found = [
        NoticeChange(name=name, value={"reason": one["reason"]}, notice=limit_notice(one))
        for name, one in refused.items()
        if name not in before
    ]
    gone = [name for name in before if name.startswith(LIMIT_NOTE) and name not in refused]
    return found + [NoticeChange(name=name, value=None, notice=None) for name in gone]


def list_changes(connection: Connection, before: Noted) -> list[NoticeChange]:
    """The watchlists of which much is gone at a service, and held."""
    held = {
        f"{LIST_NOTE}{row.account_id}": row
        for row in fetch_all(connection, select_held_lists(None), HeldList)
    }
    found = [
        NoticeChange(name=name, value={"titles": row.titles}, notice=list_notice(row))
        for name, row in held.items()
        if name not in before
    ]
    gone = [name for name in before if name.startswith(LIST_NOTE) and name not in held]
    return found + [NoticeChange(name=name, value=None, notice=None) for name in gone]


def list_notice(row: HeldList) -> Notice:
    return Notice(
        title=f"The watchlist of {row.person} needs a decision",
        body=f"{row.titles} titles are gone from it at {trackers.label(row.tracker)}. Nothing was removed here. "
        "Keep them or remove them here too, under Needs you.",
    )


def limit_notice(limit: LimitJson) -> Notice:
    return Notice(
        title=f"{trackers.label(limit['tracker'])} of {limit['person']} has reached a limit",
        body=f"{limit['explanation']} Nothing is lost.",
    )


def parked_notice(row: NotifiedAccount) -> Notice:
    mended = explain_park(row.parked, row.tracker, row.person, row.parked_why) or str(row.parked)
    return Notice(
        title=f"{trackers.label(row.tracker)} of {row.person} needs you",
        body=f"{mended} Until then everything that is to be told there waits; nothing is lost.",
    )


def working_notice(row: NotifiedAccount) -> Notice:
    return Notice(
        title=f"{trackers.label(row.tracker)} of {row.person} works again",
        body="What waited is told now.",
    )


def server_changes(connection: Connection, before: Noted, now: datetime, days: int) -> list[NoticeChange]:
    quiet = {server_note(entry): entry for entry in find_silent_servers(connection, now, days)}
    found = [
        NoticeChange(name=name, value={"says": server_label(entry)}, notice=silence_notice(entry))
        for name, entry in quiet.items()
        if name not in before
    ]
    back = [name for name in before if name.startswith(SERVER_NOTE) and name not in quiet]
    return found + [
        NoticeChange(
            name=name, value=None, notice=resumed_notice(str(before[name]["says"])) if days else None
        )
        for name in back
    ]


def backup_changes(connection: Connection, before: Noted) -> list[NoticeChange]:
    failure = find_failure(connection)
    if (failure is not None) == (BACKUP_NOTE in before):
        return []
    if failure is None:
        return [NoticeChange(name=BACKUP_NOTE, value=None, notice=resumed_backup_notice())]
    value = {"since": stamp(failure.since)}
    return [NoticeChange(name=BACKUP_NOTE, value=value, notice=failed_backup_notice(failure))]


def failed_backup_notice(failure: BackupFailure) -> Notice:
    why = failure.why.removesuffix(".")
    return Notice(
        title="The scheduled backup failed",
        body=f"{why}. It is tried again every hour. Earlier backups are kept.",
    )


def resumed_backup_notice() -> Notice:
    return Notice(title="Backups are made again", body="The scheduled backup was made.")


def server_note(entry: SilentServerJson) -> str:
    """A name that fits: a server's own may be longer than a note's."""
    key = f"{entry['source']}\0{entry['server'] or ''}"
    return SERVER_NOTE + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def server_label(entry: SilentServerJson) -> str:
    server = entry["server_name"] or entry["server"]
    return f"{entry['source']} server {server}" if server else str(entry["source"])


def silence_notice(entry: SilentServerJson) -> Notice:
    return Notice(
        title=f"Silence from the {server_label(entry)}",
        body=f"{entry['says']} If somebody has watched since: see whether its webhook is still set up "
        "(watchmark urls), and whether the server reaches this one.",
    )


def resumed_notice(server: str) -> Notice:
    return Notice(title=f"The {server} sends again", body="Its webhooks arrive.")


def count_addresses(settings: Settings) -> int:
    """The number of addresses; raises SettingsError where one cannot be read."""
    urls = settings.notify_urls.get_secret_value()
    return len(open_apprise(urls)) if urls else 0


def example_notice() -> Notice:
    return Notice(title="Watchmark can reach you", body="This is a test: notices arrive here.")
