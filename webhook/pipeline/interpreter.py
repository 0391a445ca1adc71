"""The interpreter: webhook -> event -> person -> play -> deliveries, in one transaction each.

Interpreting a webhook again changes nothing where nothing has changed, and mends what a better
parser, another filter or a new claim makes different.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Row, and_, bindparam, func, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from webhook import clock
from webhook.clock import stamp
from webhook.domain import lenient_json
from webhook.domain.event import Action, Event, Ignored, Unreadable, event_from_json, item_to_json
from webhook.domain.items import keys
from webhook.domain.play import Change
from webhook.domain.retry import LIVE
from webhook.domain.rules import (
    AccountRules,
    Filters,
    PlannedDelivery,
    Target,
    plan_deliveries,
    stopped_by,
    viewers,
)
from webhook.domain.states import OPEN_STATES, DeliveryState, WebhookState
from webhook.history import library, plays, seasons
from webhook.history.play_store import get_play, is_rewatch
from webhook.people import household, identities
from webhook.queues import leases, outbox
from webhook.queues.inbox import event_origin, event_person_id
from webhook.storage.db import Database, Unavailable
from webhook.storage.tables import account, delivery, person, token, webhook
from webhook.storage.types import to_ms

log = structlog.get_logger()

# Built once: putting a statement together costs more than running it.
WAITING = (
    select(webhook)
    .where(webhook.c.state == WebhookState.RECEIVED)
    .order_by(webhook.c.id)
    .limit(bindparam("count"))
)
SAY = (
    update(webhook)
    .where(webhook.c.id == bindparam("of"))
    .values(
        state=bindparam("told_state"),
        reason=bindparam("told_reason"),
        events=bindparam("told_events"),
        identity_id=bindparam("told_identity"),
        interpreted_at=bindparam("told_at"),
    )
)
BOUND = select(token.c.person_id).where(token.c.id == bindparam("token"))
OWNER = select(person).where(person.c.id == bindparam("person"))
ACCOUNTS = select(account).where(account.c.person_id == bindparam("person"))

Read = Callable[[str, Mapping[str, Any], datetime], list[Event] | Ignored]
CHUNK, FEW = 16, 2
GIVE_WAY = 0.02
"""Seconds left to the door between interpretations while requests crowd it: a sender waits for its answer."""

SET_BACK = timedelta(minutes=1)
"""A clock that lies further than this behind what it recorded was set back."""

ALONE = 7102  # the advisory lock that lets one interpreter at a time run on PostgreSQL


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a tracker can be told, as far as the interpreter must know."""

    kinds: frozenset[Any]
    can: frozenset[Action]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a webhook came to: its state, why, and what it means."""

    state: WebhookState
    reason: str | None = None
    events: Sequence[Mapping[str, Any]] = ()
    identity_id: int | None = None


class Interpreter:
    """Interprets what waits in the inbox, oldest first."""

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
        self.news = asyncio.Event()
        self.behind = timedelta(0)  # how far the clock was set back, as far as that was mended
        self.told = asyncio.Event()  # set when there may be something to deliver

    async def run(self, stop: asyncio.Event, busy: Callable[[], bool]) -> None:
        """Interpret until told to stop. While requests are being answered, interpretation gives way."""
        while not stop.is_set():
            try:
                crowded = busy()
                if crowded:
                    await asyncio.sleep(GIVE_WAY)
                count = await self.database.write(self.interpret, FEW if crowded else CHUNK)
            except Unavailable as error:
                log.warning("The database cannot be used now; webhooks wait.", why=str(error))
                count = 0
                await asyncio.sleep(1)
            if count:
                self.told.set()
                continue
            await clock.awaken(self.news, stop, 1.0)

    def interpret(self, connection: Connection, limits: list[int]) -> list[int]:
        """Interprets up to so many waiting webhooks; how many it was, for each that asked."""
        if not alone(connection):
            return [0] * len(limits)
        rows = connection.execute(WAITING, {"count": max(limits)}).all()
        for row in rows:
            self.one(connection, row)
        return [len(rows)] * len(limits)

    def one(self, connection: Connection, row: Row[Any]) -> Verdict:
        """Interpret one webhook; a fault of ours quarantines it and leaves the others alone."""
        now = clock.now()
        try:
            with connection.begin_nested():
                verdict = self.verdict(connection, row, now)
        except SQLAlchemyError:
            raise
        except Exception as error:
            log.exception("A webhook could not be interpreted; it is kept.", webhook=row.id)
            verdict = Verdict(WebhookState.QUARANTINED, f"{type(error).__name__}: {error}"[:500])
        said = {"of": row.id, "told_state": verdict.state, "told_reason": verdict.reason, "told_at": now}
        said |= {"told_events": list(verdict.events), "told_identity": verdict.identity_id}
        connection.execute(SAY, said)
        log.info("A webhook was interpreted.", webhook=row.id, state=verdict.state, reason=verdict.reason)
        return verdict

    def verdict(self, connection: Connection, row: Row[Any], now: datetime) -> Verdict:
        if row.raw is None:
            raise Unreadable("its raw body was pruned, so it cannot be read again")
        try:
            payload = lenient_json.loads(row.raw, row.content_type)
            read: list[Event] | Ignored = (
                [event_from_json(payload)]
                if event_origin(row.content_type)
                else self.read(row.source, payload, row.received_at)
            )
        except Unreadable as error:
            return Verdict(WebhookState.QUARANTINED, str(error))
        if isinstance(read, Ignored):
            return Verdict(WebhookState.IGNORED, read.reason)
        bound = connection.execute(BOUND, {"token": row.token_id}).scalar()
        whose = self.whose(connection, row, read[0], bound)
        if whose is None:
            return Verdict(WebhookState.IGNORED, "nobody_did_it", [meant(event) for event in read])
        if whose.person_id is None:
            state = WebhookState.IGNORED if whose.ignored else WebhookState.UNCLAIMED
            return Verdict(state, whose.reason, [meant(event) for event in read], whose.identity_id)
        if seasons.is_whole(read[0]):
            ticker = connection.execute(OWNER, {"person": whose.person_id}).one()
            said = seasons.keep_episodes(connection, ticker.id, read[0], row)
            tick = {**meant(read[0]), "person": ticker.name, **said}
            return Verdict(WebhookState.INTERPRETED, None, [tick], whose.identity_id)
        events: list[dict[str, Any]] = []
        # A household's rules hold for what comes by its own address, not for what one person's lets in.
        rules = household.rules(connection) if bound is None else ()
        for person_id in viewers(read[0], whose.person_id, rules):
            owner = connection.execute(OWNER, {"person": person_id}).one_or_none()
            if owner is None:
                continue  # removed since the rule was made
            how = whose.reason if person_id == whose.person_id else "by a household rule"
            if stopped := stopped_by(Filters.from_json(owner.filters), read[0]):
                told = [{**meant(event), "person": owner.name, "stopped": stopped} for event in read]
            else:
                mine = (
                    read if person_id == whose.person_id else [replace(one, view_count=None) for one in read]
                )
                told = self.apply(connection, row, owner, mine, now)
            events += [{**entry, "how": how} for entry in told]
        stops = [entry.get("stopped") for entry in events]
        if stops and all(stops):
            return Verdict(WebhookState.IGNORED, stops[0], events, whose.identity_id)
        return Verdict(WebhookState.INTERPRETED, None, events, whose.identity_id)

    def whose(
        self, connection: Connection, row: Row[Any], event: Event, bound: int | None
    ) -> identities.Ownership | None:
        """Whose the event is; None where no person did it, and it is for nobody's collection."""
        if (person_id := event_person_id(row.content_type)) is not None:
            return identities.owner_of_sign_in(connection, row.source, event, person_id, row.received_at)
        if event.user is None and event.action is Action.ADD and bound is None:
            return identities.owner_of_collection(connection, self.collection_of)
        door = identities.Origin(
            source=row.source, token_person_id=bound, at=row.received_at, claim_first=self.claim_first
        )
        return identities.owner_of(connection, event, door)

    def apply(
        self, connection: Connection, row: Row[Any], owner: Row[Any], read: list[Event], now: datetime
    ) -> list[dict[str, Any]]:
        """Let the events change one person's plays and put what is to be told; what each event did."""
        targets, space = self.targets(connection, owner.id), space_of(row)
        context = Context(connection, row.id, row.source, owner.id, targets, now, space)
        touched: list[int] = []
        told = []
        for number, event in enumerate(read):
            meaning = {**meant(event), "person": owner.name}
            play_id = played(row.events or [], meaning)
            if play_id is not None:
                self.again(context, event, play_id, number)
            else:
                play_id = self.once(context, event, number, touched)
            if play_id is not None:
                touched.append(play_id)
            told.append({**meaning, "play": play_id})
        return told

    def once(self, context: Context, event: Event, number: int, touched: Collection[int]) -> int | None:
        """Apply one event; the play it belongs to."""
        connection, person_id = context.connection, context.person_id
        library.apply(connection, person_id, event)
        applied = plays.apply(connection, person_id, event, context.source, self.mark, context.space)
        change, play_id = applied.change, applied.play_id
        for over in plays.close_others_on_player(
            connection, person_id, event, self.mark, [*touched, play_id or 0]
        ):
            theirs = self.context_of(context, over.person_id)
            origin = f"{context.webhook_id}.{number}.{over.play_id}"
            tell(theirs, ended(over.change), over.change, over.play_id, origin)
        if change is not None and number and change.tell is not None and not change.finished:
            return play_id  # the second episode of one file: only its mark is told
        tell(context, event, change, play_id, f"{context.webhook_id}.{number}")
        return play_id

    def context_of(self, context: Context, person_id: int) -> Context:
        """The same for another person, whose play this event ended."""
        if person_id == context.person_id:
            return context
        targets = self.targets(context.connection, person_id)
        return replace(context, person_id=person_id, targets=targets)

    def again(self, context: Context, event: Event, play_id: int, number: int) -> None:
        """What was interpreted before stays; only what a changed rule lets through is added."""
        current = get_play(context.connection, play_id)  # None where a person removed it
        if current is not None and current.watched_at is not None and current.watched_at == event.at:
            change = Change(play=current, finished=True)
            tell(context, event, change, play_id, f"{context.webhook_id}.{number}")

    def targets(self, connection: Connection, person_id: int) -> list[Target]:
        rows = connection.execute(ACCOUNTS, {"person": person_id})
        return [
            Target(
                id=row.id,
                kinds=self.capabilities[row.tracker].kinds,
                can=self.capabilities[row.tracker].can,
                tells=frozenset(map(Action, row.tells)),
                rules=AccountRules.from_json(row.rules),
            )
            for row in rows
            if row.tracker in self.capabilities
        ]

    # --- what happens without a webhook

    def sweep(self, connection: Connection, moments: list[datetime]) -> list[int]:
        """Closes plays of which no stop came, gives up live deliveries that are too old; how many."""
        now = max(moments)
        self.mend_clock(connection, now)
        closed = plays.close_overdue(connection, now, self.mark)
        for over in closed:
            targets = self.targets(connection, over.person_id)
            context = Context(connection, None, "", over.person_id, targets, now)
            tell(context, ended(over.change), over.change, over.play_id, f"end.{over.play_id}")
        return [len(closed) + outbox.expire_live(connection, now)] * len(moments)

    def mend_clock(self, connection: Connection, now: datetime) -> None:
        """Where the clock was set back, nothing waits for the time that was to come."""
        behind = leases.measure_set_back(connection, now)
        if behind > self.behind + SET_BACK:
            log.warning("The clock was set back; what waits is brought forward.", by=str(behind))
            leases.bring_forward(connection, behind - self.behind, now)
            self.told.set()
        self.behind = behind


@dataclass(frozen=True, slots=True)
class Context:
    """One webhook being interpreted for one person: what every step of it needs."""

    connection: Connection
    webhook_id: int | None
    source: str
    person_id: int
    targets: Sequence[Target]
    now: datetime
    space: str | None = None  # where an item's own key holds, if its server is not named


def space_of(row: Row[Any]) -> str:
    """Where the items of a server that is not named have their own keys: at the token, else at the source."""
    return row.source if row.token_id is None else f"{row.source}/{row.token_id}"


def tell(context: Context, event: Event, change: Change | None, play_id: int | None, origin: str) -> None:
    """Put what there is to tell each account of an event, or of a play that ended by itself."""
    for planned in plan_deliveries(event, change, play_id, origin, context.targets):
        if planned.action in outbox.LIVE_ACTIONS and not planned.mark and context.now - event.at > LIVE:
            continue  # it says what was on then; nobody needs to know any more
        skipped = planned.skipped
        undone: dict[str, Any] = {}
        if planned.action is Action.UNWATCHED and play_id is not None:
            untold, undone = find_undone(context, planned, play_id)
            skipped = untold or skipped
        putting = outbox.NewDelivery(
            account_id=planned.account_id,
            action=planned.action,
            key=planned.key,
            item=change.play.item if change else event.item,
            at=told_date(event, change),
            mark=planned.mark,
            webhook_id=context.webhook_id,
            play_id=play_id,
            skipped=skipped,
            details={**details(context, event, change, play_id), **undone},
        )
        outbox.enqueue(context.connection, putting, context.now)


def told_date(event: Event, change: Change | None) -> datetime:
    """When what is told happened: of a mark the date that the play has, which may be older than the event."""
    marked_at = change.play.watched_at if change is not None and change.finished else None
    return marked_at or event.at


def find_undone(
    context: Context, planned: PlannedDelivery, play_id: int
) -> tuple[str | None, dict[str, Any]]:
    """Why taking back a mark need not be told (it has not gone out), or the handle of what is to be undone."""
    mark = and_(delivery.c.account_id == planned.account_id, delivery.c.key == f"watched:{play_id}")
    row = context.connection.execute(select(delivery).where(mark)).first()
    if row is not None and (row.state == DeliveryState.DONE or row.claimed or row.unsure):
        return None, {"remote_id": row.remote_id, "undoes": row.id}
    if row is not None and row.state in OPEN_STATES:
        values = {
            "state": DeliveryState.SUPERSEDED,
            "reason": "taken back before it was told",
            "settled_at": context.now,
        }
        context.connection.execute(update(delivery).where(delivery.c.id == row.id).values(values))
    return "the mark was never told here", {}


def details(context: Context, event: Event, change: Change | None, play_id: int | None) -> dict[str, Any]:
    """What a tracker needs beside the item: how far, how long, which rating, whether seen before."""
    if change is None:
        return {"rating": event.rating}
    play = change.play
    known: dict[str, Any] = {"progress": play.percent(event.at), "estimated": play.estimated}
    known["duration_ms"] = play.duration_ms
    known["started_at"] = to_ms(play.started_at)
    known |= {"dated": play.dated.value, "late": event.recorded}
    if change.finished and play_id is not None:
        at = play.watched_at or event.at
        known["rewatch"] = is_rewatch(
            context.connection, context.person_id, play.item, keys(play.item), play_id, at
        )
    return known


def ended(change: Change) -> Event:
    """The stop that never came."""
    play = change.play
    at = play.watched_at if change.finished and play.watched_at is not None else play.last_at
    return Event(
        action=Action.STOP, item=play.item, at=at, player=play.player, player_id=play.player_id,
        library=play.library,
    )  # fmt: skip


def meant(event: Event) -> dict[str, Any]:
    """An event as it is kept with its webhook and as the API gives it."""
    item = item_to_json(event.item)
    described = {
        "action": event.action.value,
        **{name: item.get(name) for name in ("kind", "title", "show", "season", "number", "year")},
        "ids": item.get("ids") or {},
        "show_ids": item.get("show_ids") or {},
        "position_ms": event.position_ms,
        "duration_ms": event.duration_ms,
        "progress": event.percent,
        "completed": event.completed,
        "rating": event.rating,
        "at": stamp(event.at),
        "user": event.user,
        "server": event.server,
        "server_name": event.server_name,
        "player": event.player,
        "library": event.library,
        "manual": event.manual,
    }
    if item["kind"] == "track":
        described |= {"artist": item.get("artist"), "album": item.get("album")}
    return {**described, "person": None, "play": None}


SAME = ("person", "action", "kind", "title", "show", "season", "number", "ids", "show_ids", "user", "at")


def played(before: Sequence[Mapping[str, Any]], meaning: Mapping[str, Any]) -> int | None:
    """The play that the same event came to when its webhook was interpreted before, or None."""
    known = (entry for entry in before if same(entry, meaning) and entry.get("play"))
    return next((int(entry["play"]) for entry in known), None)


def same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return all(before.get(name) == now.get(name) for name in SAME)


def alone(connection: Connection) -> bool:
    """Whether this is the only interpreter now; on SQLite the write lock already says so."""
    if connection.dialect.name == "sqlite":
        return True
    return bool(connection.execute(select(func.pg_try_advisory_xact_lock(text(str(ALONE))))).scalar_one())
