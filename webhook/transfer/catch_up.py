"""Catch-up: recover plays whose webhooks were missed while this service was down or unreachable.

Each server is asked for its own history. Plays already in our history are skipped; the rest go into the
inbox like webhooks, so filters, people and trackers treat them the same. The position up to which a server
was read is stored in the same transaction as the plays found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta

import structlog
from sqlalchemy import Connection, delete, func, insert, select
from typing_extensions import TypedDict

from webhook import clock
from webhook.clock import stamp
from webhook.domain.event import Event
from webhook.domain.outcome import Undelivered
from webhook.domain.rules import viewers
from webhook.history import past_records
from webhook.people import household, identities
from webhook.queues import inbox, players
from webhook.servers import Found, Server
from webhook.storage.db import Database, Unavailable
from webhook.storage.json_fields import Count, Time
from webhook.storage.tables import note, person, webhook
from webhook.storage.types import from_ms, to_ms

log = structlog.get_logger()

LOOK_BACK = timedelta(days=2)
"""How far each run looks back before the last position: servers record offline plays late."""

SECOND = timedelta(seconds=1)
"""Servers date by the second: what is played in that of the beginning may seem to be from before it."""

BATCH_SIZE = 100
NIGHT = time(3, 10)
FIRST_RETRY, MAX_RETRY = timedelta(minutes=1), timedelta(hours=1)
"""The time until a server that could not be read is asked again: doubled from the first up to the second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The result of a catch-up with one server."""

    server: str
    missed: int = 0
    known: int = 0
    error: str | None = None

    @property
    def works(self) -> bool:
        return self.error is None


@dataclass(slots=True)
class Mark:
    """The position up to which a server was read. `seen` holds the keys found within LOOK_BACK before it."""

    until: datetime
    seen: dict[str, int]
    ran_at: datetime | None = None
    error: str | None = None

    @property
    def since(self) -> datetime:
        return self.until - LOOK_BACK


async def catch_up(database: Database, server: Server) -> Report:
    """Catch up with one server; a failure is in the report, and the next run reads from the same position."""
    mark = await database.read(lambda connection: mark_of(connection, server.name))
    missed = known = 0
    latest = mark.until
    part: list[Found] = []
    try:
        async for found in server.plays(mark.since):
            # The clock of a server may be ahead; later plays must still be asked for.
            latest = max(latest, min(found.event.at, clock.now()))
            if found.key not in mark.seen:
                part.append(found)
            if len(part) >= BATCH_SIZE:
                stored = await database.write(store, Storing(server.name, part))
                missed, known, part = missed + stored, known + len(part) - stored, []
        ended = Storing(server.name, part, until=latest)
        stored = await database.write(store, ended)
    except Undelivered as error:
        log.warning(
            "Catch-up could not read the server's history; it will be retried.",
            server=server.name,
            why=str(error),
        )
        await database.write(store, Storing(server.name, part, error=str(error)))
        return Report(server=server.name, missed=missed, known=known, error=str(error))
    missed, known = missed + stored, known + len(part) - stored
    log.info("Catch-up is done.", server=server.name, missed=missed, known=known)
    return Report(server=server.name, missed=missed, known=known)


@dataclass(frozen=True, slots=True)
class Storing:
    """The plays to store, and, after the last ones, the new position or the error."""

    server: str
    found: Sequence[Found]
    until: datetime | None = None
    error: str | None = None


def store(connection: Connection, waiting: list[Storing]) -> list[int]:
    return [store_one(connection, storing) for storing in waiting]


def store_one(connection: Connection, storing: Storing) -> int:
    """Put the missed plays into the inbox and update the position; returns how many were missed."""
    now = clock.now()
    mark = mark_of(connection, storing.server)
    fresh = [found for found in storing.found if found.key not in mark.seen]
    missed = missed_events(connection, storing.server, fresh)
    if missed:
        inbox.store_webhooks(
            connection,
            [inbox.event_webhook(storing.server, event, now, inbox.CATCH_UP) for event in missed],
        )
    mark.seen |= {found.key: to_ms(found.event.at) for found in fresh}
    mark.error = storing.error
    if storing.until is not None:
        mark.until, mark.ran_at = max(mark.until, storing.until), now
        oldest = to_ms(mark.since)
        mark.seen = {key: at for key, at in mark.seen.items() if at >= oldest}
    keep_mark(connection, storing.server, mark)
    return len(missed)


def missed_events(connection: Connection, source: str, fresh: Sequence[Found]) -> list[Event]:
    """The entries that are no play of a viewer yet, each once; also those that turn out now to be none."""
    missed = [event for found in fresh for event in match_viewers(connection, source, found)]
    return list({event.record or place: event for place, event in enumerate(missed)}.values())


def match_viewers(connection: Connection, source: str, found: Found) -> list[Event]:
    """What an entry adds to the history of its viewers: itself, or an entry before it whose play it is."""
    event = replace(found.event, record=found.record_key(source)) if found.logged else found.event
    claim = identities.find_claim(connection, source, event)
    if claim is None:
        return [event]
    rules = household.rules(connection)
    if rules and claim.identity_id is not None and players.lacks_player(event):
        event = players.add_player(connection, event, claim.identity_id)
    whose = viewers(event, claim.person_id, rules)
    if found.logged:
        placed = [past_records.place_entry(connection, person_id, event, source) for person_id in whose]
        return [one for one in placed if one is not None]
    past = [past_records.find_record(connection, person_id, event) for person_id in whose]
    return [] if all(one is not None and one.settled for one in past) else [event]


# --- the position of each server


def mark_of(connection: Connection, server: str) -> Mark:
    """The server's position; a new server's is when this service began: earlier plays are imported."""
    value = connection.execute(select(note.c.value).where(note.c.name == name_of(server))).scalar()
    if value is None:
        began = connection.execute(select(func.min(person.c.created_at))).scalar()
        return Mark(until=(began or clock.now()) - SECOND + LOOK_BACK, seen={})
    ran_at = value.get("ran_at")
    return Mark(
        from_ms(value["until"]),
        value["seen"],
        None if ran_at is None else from_ms(ran_at),
        value.get("error"),
    )


def keep_mark(connection: Connection, server: str, mark: Mark) -> None:
    value = {"until": to_ms(mark.until), "seen": mark.seen, "error": mark.error}
    value["ran_at"] = None if mark.ran_at is None else to_ms(mark.ran_at)
    connection.execute(delete(note).where(note.c.name == name_of(server)))
    connection.execute(insert(note), {"name": name_of(server), "value": value})


def name_of(server: str) -> str:
    return f"catch_up.{server}"


class CatchUpJson(TypedDict):
    """How far a server's history has been read, as the API gives it."""

    server: str
    label: str
    read_until: Time | None
    ran_at: Time | None
    error: str | None
    repaired: Count


def server_progress(connection: Connection, servers: Mapping[str, Server]) -> list[CatchUpJson]:
    """Each server with its position, as the API gives it."""
    shown: list[CatchUpJson] = []
    for name, server in servers.items():
        mark = mark_of(connection, name)
        repaired = connection.execute(
            select(func.count())
            .select_from(webhook)
            .where(
                webhook.c.source == name,
                webhook.c.content_type == f"{inbox.EVENT_CONTENT_TYPE}; by={inbox.CATCH_UP}",
            )
        ).scalar_one()
        shown.append(
            {
                "server": name,
                "label": server.label,
                "read_until": stamp(min(mark.until, mark.ran_at)) if mark.ran_at else None,
                "ran_at": stamp(mark.ran_at),
                "error": mark.error,
                "repaired": repaired,
            }
        )
    return shown


# --- at start, every night, and at the interval that is set


class CatchUp:
    """Runs the catch-up with every configured server in the background."""

    def __init__(
        self, database: Database, servers: Mapping[str, Server], news: asyncio.Event, minutes: int
    ) -> None:
        self.database = database
        self.servers = servers
        self.news = news
        self.pause = timedelta(minutes=minutes)
        self.asked = asyncio.Event()
        self.failures = 0

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                reports = await self.run_once()
                self.failures = 0 if all(report.works for report in reports) else self.failures + 1
            except Unavailable as error:
                log.warning("The database is unavailable; catch-up is retried later.", why=str(error))
                self.failures += 1
            await clock.awaken(self.asked, stop, self.rest(clock.now()).total_seconds())

    async def run_once(self) -> list[Report]:
        reports = [await catch_up(self.database, server) for server in self.servers.values()]
        if any(report.missed for report in reports):
            self.news.set()
        return reports

    def rest(self, now: datetime) -> timedelta:
        """The time until the next run: the next night, or the set interval or the next retry if that is sooner."""
        here = now.astimezone()
        tonight = datetime.combine(here.date(), NIGHT, here.tzinfo)
        night = tonight if tonight > here else tonight + timedelta(days=1)
        pauses = [night - here]
        if self.pause:
            pauses.append(self.pause)
        if self.failures:
            pauses.append(min(FIRST_RETRY * 2 ** min(self.failures - 1, 10), MAX_RETRY))
        return min(pauses)
