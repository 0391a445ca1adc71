"""The interpreter: webhook -> event -> person -> play -> deliveries, several webhooks in one transaction.

Webhooks are read and parsed before the transaction begins. Interpreting a webhook again changes nothing
where nothing has changed, and mends what a better parser, another filter or a new claim makes different.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, bindparam, update
from sqlalchemy.exc import SQLAlchemyError

from webhook import clock
from webhook.domain import lenient_json
from webhook.domain.event import Action, Event, Ignored, Item, Unreadable
from webhook.domain.event_json import event_from_json
from webhook.domain.play import Change
from webhook.domain.rules import Filters, HouseholdRule, stopping_filter, viewers
from webhook.domain.states import WebhookState
from webhook.history import library, plays, seasons
from webhook.history.play_store import get_play
from webhook.people import identities
from webhook.people.ownership import lock_ownership
from webhook.pipeline.brake import find_hold
from webhook.pipeline.conflicts import ConflictReader
from webhook.pipeline.echoes import echo_reason, find_echo
from webhook.pipeline.parsed import Parsed, Verdict
from webhook.pipeline.planning import (
    Context,
    closing_event,
    event_json,
    find_earlier_play,
    plan_and_enqueue,
    space_of,
)
from webhook.pipeline.shared_reads import Capabilities, SharedReads
from webhook.pipeline.turns import Turns, Window
from webhook.queues import leases, outbox, players
from webhook.queues.hand_marks import HELD_REASONS
from webhook.queues.inbox import event_origin, event_person_id
from webhook.sources import Payload
from webhook.storage.db import Database, Unavailable
from webhook.storage.json_shapes import EventJson
from webhook.storage.prepared import Prepared, TransactionLost, savepoint
from webhook.storage.tables import PersonRow, WebhookRow, webhook

log = structlog.get_logger()

# Built once: putting a statement together costs more than running it.
RECORD = Prepared(
    update(webhook)
    .where(webhook.c.id == bindparam("of"))
    .values(
        state=bindparam("new_state"),
        reason=bindparam("new_reason"),
        events=bindparam("new_events"),
        identity_id=bindparam("new_identity"),
        interpreted_at=bindparam("at"),
    )
)

Read = Callable[[str, Payload, datetime], list[Event] | Ignored]
MAX_WEBHOOKS = 16
"""Webhooks interpreted in one transaction."""

MAX_BUSY_WEBHOOKS = 6
BACK_OFF = 0.02
"""Seconds of pause between batches while the receiver is busy, since senders wait for its answer."""

IDLE_INTERVAL = 1.0

CLOCK_TOLERANCE = timedelta(minutes=1)
"""A clock further behind its latest record than this was set back."""


class Interpreter:
    """Interprets the webhooks in the inbox, oldest first."""

    def __init__(
        self,
        database: Database,
        read: Read,
        capabilities: Mapping[str, Capabilities],
        watched_mark: float,
        *,
        claim_first: bool = False,
        collection_of: str = "",
    ) -> None:
        self.database = database
        self.read = read
        self.capabilities = capabilities
        self.mark = watched_mark
        self.claim_first = claim_first
        self.collection_of = collection_of
        self.turns = Turns(self.parse)
        self.news = asyncio.Event()
        self.behind = timedelta(0)  # the part of the clock's set-back already corrected
        self.told = asyncio.Event()  # set when there may be something to deliver
        self.claim_due: Callable[[Connection], None] | None = None
        """Claims what a batch made due in its transaction; without it the dispatcher is told afterwards."""
        self.added: set[str] = set()  # the media servers to which something was added
        self._loop: asyncio.AbstractEventLoop | None = None  # while it runs

    async def run(self, stop: asyncio.Event, is_busy: Callable[[], bool]) -> None:
        """Interpret until stopped; back off while requests are being answered."""
        self._loop = asyncio.get_running_loop()
        while not stop.is_set():
            try:
                busy = is_busy()
                if busy:
                    await asyncio.sleep(BACK_OFF)
                count = await self.interpret_next(MAX_BUSY_WEBHOOKS if busy else MAX_WEBHOOKS)
            except Unavailable as error:
                log.warning(
                    "The database is unavailable; webhooks wait.",
                    action="interpret_unavailable",
                    why=str(error),
                )
                count = 0
                await asyncio.sleep(IDLE_INTERVAL)
            if count is None:
                await asyncio.sleep(BACK_OFF)
            elif count == 0:
                await clock.awaken(self.news, stop, IDLE_INTERVAL)
            elif self.claim_due is None:
                self.told.set()
        self._loop = None

    @property
    def is_running(self) -> bool:
        return self._loop is not None

    def wake(self) -> None:
        """Wake the interpreter from any thread, where it runs."""
        if (loop := self._loop) is not None:
            loop.call_soon_threadsafe(self.news.set)

    async def interpret_next(self, most: int) -> int | None:
        """Interpret a batch of received webhooks; returns their number, None if others were first to take them."""
        window = await self.database.read_first(lambda connection: self.turns.read_window(connection, most))
        if not window.entries:
            return 0
        return await self.database.write(self.interpret_batches, window) or None

    def interpret(self, connection: Connection, limits: list[int]) -> list[int]:
        """Parse and interpret webhooks; returns the number done for each request."""
        window = self.turns.read_window(connection, max(limits))
        return self.interpret_batches(connection, [window]) * len(limits)

    def interpret_rows(self, connection: Connection, rows: list[WebhookRow]) -> int:
        """Interpret webhooks that this transaction has stored, and before which none waits; returns the number done."""
        if self.database.sqlite:  # no other interpreter, and nothing changed since they were stored
            return self.interpret_together(connection, list(map(self.parse, rows)))
        window = self.turns.read_window(connection, len(rows), uncommitted=True)
        return self.interpret_window(connection, window)

    def interpret_batches(self, connection: Connection, waiting: list[Window]) -> list[int]:
        """Interpret the webhooks that are this interpreter's turn; returns the number for each window."""
        done = [self.interpret_window(connection, window) for window in waiting]
        if self.claim_due is not None and any(done):
            self.claim_due(connection)
        return done

    def interpret_window(self, connection: Connection, window: Window) -> int:
        reader = ConflictReader(connection, claim_first=self.claim_first, collection_of=self.collection_of)
        return self.interpret_together(connection, self.turns.take(reader, window))

    def interpret_together(self, connection: Connection, taken: list[Parsed]) -> int:
        reads = SharedReads(connection, self.capabilities)
        for entry in taken:  # each is recorded before the next, whose claim may requeue it
            record(connection, entry.row, self.judge(entry, reads))
        return len(taken)

    def interpret_row(self, connection: Connection, row: WebhookRow) -> Verdict:
        """Interpret one webhook, whatever its state."""
        verdict = self.judge(self.parse(row), SharedReads(connection, self.capabilities))
        record(connection, row, verdict)
        return verdict

    # --- before the transaction

    def parse(self, row: WebhookRow) -> Parsed:
        """Parse a webhook's events; an unexpected error quarantines it and leaves the others alone."""
        try:
            events = self.parse_events(row)
        except Unreadable as error:
            return Parsed(row, Verdict(WebhookState.QUARANTINED, str(error)))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged and kept
            return Parsed(row, quarantine(row, error))
        if isinstance(events, Ignored):
            return Parsed(row, Verdict(WebhookState.IGNORED, events.reason))
        return Parsed(row, events)

    def parse_events(self, row: WebhookRow) -> list[Event] | Ignored:
        if row.raw is None:
            raise Unreadable("its raw body was pruned, so it cannot be read again")
        payload = lenient_json.loads(row.raw, row.content_type)
        if event_origin(row.content_type):
            return [event_from_json(payload)]
        return self.read(row.source, payload, row.received_at)

    # --- in the transaction

    def judge(self, parsed: Parsed, reads: SharedReads) -> Verdict:
        """Apply all events of a webhook, or none."""
        if isinstance(parsed.events, Verdict):
            return parsed.events
        try:
            with savepoint(reads.connection):
                return self.judge_events(parsed.row, parsed.events, reads, clock.now())
        except (SQLAlchemyError, TransactionLost):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged and kept
            return quarantine(parsed.row, error)

    def judge_events(self, row: WebhookRow, read: list[Event], reads: SharedReads, now: datetime) -> Verdict:
        connection = reads.connection
        bound = reads.token_person(row.token_id)
        if read[0].action is Action.ADD and read[0].server is not None:
            self.added.add(read[0].server)
        owner = self.find_owner(connection, row, read[0], bound)
        if owner is None:
            return Verdict(WebhookState.IGNORED, "nobody_did_it", [event_json(event) for event in read])
        if owner.person_id is None:
            state = WebhookState.IGNORED if owner.ignored else WebhookState.UNCLAIMED
            return Verdict(state, owner.reason, [event_json(event) for event in read], owner.identity_id)
        # Household rules apply to webhooks of a household token, not to those of a person's token.
        rules = reads.household_rules() if bound is None else []
        read = self.with_player(row, read, owner, reads, rules)
        if (held := self.find_hold(row, read, owner, reads, now)) is not None:
            return held
        if seasons.is_whole(read[0]):
            entry = self.keep_episodes(row, read[0], owner.person_id, reads)
            return Verdict(WebhookState.INTERPRETED, None, [entry], owner.identity_id)
        events = [
            entry
            for person_id in viewers(read[0], owner.person_id, rules)
            for entry in self.apply_to_viewer(row, read, person_id, owner, reads, now)
        ]
        stops = [entry.get("stopped") for entry in events]
        if stops and all(stops):
            return Verdict(WebhookState.IGNORED, stops[0], events, owner.identity_id)
        return Verdict(WebhookState.INTERPRETED, None, events, owner.identity_id)

    def with_player(
        self,
        row: WebhookRow,
        read: list[Event],
        owner: identities.Ownership,
        reads: SharedReads,
        rules: Sequence[HouseholdRule],
    ) -> list[Event]:
        """The events with the player that their sender leaves out, where a rule asks for it and it was heard."""
        if owner.person_id is None or owner.identity_id is None or not players.lacks_player(read[0]):
            return read
        if not rules and not reads.asks_place(owner.person_id):
            return read
        named = players.add_player(reads.connection, read[0], owner.identity_id, row.id)
        return [replace(event, player=named.player, library=named.library) for event in read]

    def apply_to_viewer(
        self,
        row: WebhookRow,
        read: list[Event],
        person_id: int,
        owner: identities.Ownership,
        reads: SharedReads,
        now: datetime,
    ) -> list[EventJson]:
        """Apply the events to one who watched, unless their filters stop them; returns the result of each."""
        viewer = reads.person(person_id)
        if viewer is None:
            return []  # removed since the rule was made
        is_own = person_id == owner.person_id
        entries: list[EventJson]
        if stopped := stopping_filter(Filters.from_json(viewer.filters), read[0]):
            entries = [{**event_json(event), "person": viewer.name, "stopped": stopped} for event in read]
        else:
            # The server's count of viewings is that of its own user.
            mine = read if is_own else [replace(event, view_count=None) for event in read]
            entries = self.apply_events(row, viewer, mine, reads, now)
        how = owner.reason if is_own else "by a household rule"
        return [{**entry, "how": how} for entry in entries]

    def find_hold(
        self,
        row: WebhookRow,
        read: list[Event],
        owner: identities.Ownership,
        reads: SharedReads,
        now: datetime,
    ) -> Verdict | None:
        """The verdict on a mark by hand that is not acted on, as it came in a flood."""
        viewer = reads.person(owner.person_id or 0)
        if viewer is None:
            return None
        context = Context(reads.connection, row.id, row.source, viewer.id, reads.targets(viewer.id), now)
        reason = find_hold(context, row, read[0], viewer)
        if reason is None:
            return None
        entries: list[EventJson] = [
            {**event_json(event), "person": viewer.name, "stopped": reason} for event in read
        ]
        state = WebhookState.HELD if reason in HELD_REASONS else WebhookState.IGNORED
        return Verdict(state, reason, entries, owner.identity_id)

    def keep_episodes(self, row: WebhookRow, event: Event, person_id: int, reads: SharedReads) -> EventJson:
        """Keep an event for each episode of a season or show that was marked as a whole."""
        viewer = reads.person(person_id)
        assert viewer is not None
        result = seasons.keep_episodes(reads.connection, viewer.id, event, row)
        return {**event_json(event), "person": viewer.name, **result}

    def find_owner(
        self, connection: Connection, row: WebhookRow, event: Event, bound: int | None
    ) -> identities.Ownership | None:
        """The owner of the event; None if no person acted and it belongs to nobody's collection."""
        if (person_id := event_person_id(row.content_type)) is not None:
            return identities.owner_of_sign_in(connection, row.source, event, person_id, row.received_at)
        if event.user is None and event.action is Action.ADD and bound is None:
            return identities.owner_of_collection(connection, self.collection_of)
        origin = identities.Origin(
            source=row.source, token_person_id=bound, at=row.received_at, claim_first=self.claim_first
        )
        return identities.owner_of(connection, event, origin)

    def apply_events(
        self, row: WebhookRow, viewer: PersonRow, read: list[Event], reads: SharedReads, now: datetime
    ) -> list[EventJson]:
        """Apply the events to one person's plays and enqueue deliveries; returns the result of each."""
        targets, space = reads.targets(viewer.id), space_of(row)
        context = Context(reads.connection, row.id, row.source, viewer.id, targets, now, space)
        file = [event.item for event in read]
        entries: list[EventJson] = []
        for number, event in enumerate(read):
            entry: EventJson = {**event_json(event), "person": viewer.name}
            play_id = find_earlier_play(reads.connection, row.events or [], entry)
            echo_of = find_echo(context, event) if play_id is None else None
            if echo_of is not None:
                entries.append({**entry, "stopped": echo_reason(echo_of), "echo_of": echo_of})
                continue
            if play_id is not None:
                reapply_event(context, event, play_id, number)
            else:
                play_id = self.apply_event(context, event, number, file, reads)
            entries.append({**entry, "play": play_id})
        return entries

    def apply_event(
        self, context: Context, event: Event, number: int, file: Collection[Item], reads: SharedReads
    ) -> int | None:
        """Apply one event and return the play it belongs to."""
        connection, person_id = context.connection, context.person_id
        library.apply(connection, person_id, event)
        applied = plays.apply(connection, person_id, event, context.source, self.mark, context.space)
        change, play_id = applied.change, applied.play_id
        others = plays.close_others_on_player(connection, person_id, event, self.mark, play_id, file)
        for over in [*([applied.closed] if applied.closed else []), *others]:
            theirs = replace(context, person_id=over.person_id, targets=reads.targets(over.person_id))
            origin = f"{context.webhook_id}.{number}.{over.play_id}"
            plan_and_enqueue(theirs, closing_event(over.change), over.change, over.play_id, origin)
        if change is not None and number and change.tell is not None and not change.finished:
            return play_id  # second episode of one file: only its mark is sent
        context = replace(context, known_at=reads.accounts_at(person_id, applied.listed))
        plan_and_enqueue(context, event, change, play_id, f"{context.webhook_id}.{number}")
        return play_id

    # --- what happens without a webhook

    def sweep(self, connection: Connection, moments: list[datetime]) -> list[int]:
        """Close plays without a stop, and expire live deliveries that are too old; returns the counts."""
        now = max(moments)
        lock_ownership(connection)  # no interpreter changes the plays that end here
        self.mend_clock(connection, now)
        reads = SharedReads(connection, self.capabilities)
        closed = plays.close_overdue(connection, now, self.mark)
        for over in closed:
            context = Context(connection, None, "", over.person_id, reads.targets(over.person_id), now)
            plan_and_enqueue(
                context, closing_event(over.change), over.change, over.play_id, f"end.{over.play_id}"
            )
        return [len(closed) + outbox.expire_live(connection, now)] * len(moments)

    def mend_clock(self, connection: Connection, now: datetime) -> None:
        """After the clock is set back, bring due times forward by as much, so that nothing waits longer."""
        behind = leases.measure_set_back(connection, now)
        if behind > self.behind + CLOCK_TOLERANCE:
            log.warning(
                "The clock was set back; due times are brought forward.",
                action="clock_set_back",
                by=str(behind),
            )
            leases.bring_forward(connection, behind - self.behind, now)
            self.told.set()
        self.behind = behind


def reapply_event(context: Context, event: Event, play_id: int, number: int) -> None:
    """Keep an earlier interpretation, and add only what a changed rule now accepts."""
    current = get_play(context.connection, play_id)  # None where a person removed it
    if current is None or current.unwatched_at is not None:
        return
    if current.watched_at is not None and current.watched_at == event.at:
        change = Change(play=current, finished=True)
        plan_and_enqueue(context, event, change, play_id, f"{context.webhook_id}.{number}")


def quarantine(row: WebhookRow, error: Exception) -> Verdict:
    log.error(
        "A webhook could not be interpreted and is quarantined.",
        action="interpret_fault",
        webhook=row.id,
        exc_info=error,
    )
    return Verdict(WebhookState.QUARANTINED, f"{type(error).__name__}: {error}"[:500])


def record(connection: Connection, row: WebhookRow, verdict: Verdict) -> None:
    """Store the verdict of a webhook."""
    values = {
        "of": row.id,
        "new_state": verdict.state.value,
        "new_reason": verdict.reason,
        "new_events": list(verdict.events),
        "new_identity": verdict.identity_id,
        "at": clock.now(),
    }
    RECORD.execute(connection, values)
    log.info(
        "A webhook was interpreted.",
        action="interpret",
        webhook=row.id,
        state=verdict.state.value,
        reason=verdict.reason,
    )
