"""Delivery planning: from a change of a play to deliveries, and an event's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, select, update

from webhook.clock import stamp
from webhook.domain.event import Action, Event, item_to_json
from webhook.domain.items import keys
from webhook.domain.play import Change
from webhook.domain.retry import LIVE
from webhook.domain.rules import PlannedDelivery, Target, plan_deliveries
from webhook.domain.states import OPEN_STATES, DeliveryState
from webhook.history.play_store import is_rewatch
from webhook.queues import outbox
from webhook.storage.json_shapes import DetailsJson, EventJson
from webhook.storage.prepared import Prepared
from webhook.storage.tables import WebhookRow, delivery, play
from webhook.storage.types import to_ms

IMPORTED = "it was imported from there"


@dataclass(frozen=True, slots=True)
class Context:
    """The data needed to interpret one webhook for one person."""

    connection: Connection
    webhook_id: int | None
    source: str
    person_id: int
    targets: Sequence[Target]
    now: datetime
    space: str | None = None  # where an item's own key holds, if its server is not named
    known_at: frozenset[int] = frozenset()  # the accounts that a play was imported from


def space_of(row: WebhookRow) -> str:
    """The key space for items of an unnamed server: the source and its token, else the source alone."""
    return row.source if row.token_id is None else f"{row.source}/{row.token_id}"


def plan_and_enqueue(
    context: Context, event: Event, change: Change | None, play_id: int | None, origin: str
) -> None:
    """Enqueue the deliveries of an event, or of a play that ended by itself, for each account."""
    details, news = None, []
    for planned in plan_deliveries(event, change, play_id, origin, context.targets):
        if planned.action in outbox.LIVE_ACTIONS and not planned.mark and context.now - event.at > LIVE:
            continue  # a live delivery that is too old to be of use
        skipped = planned.skipped
        if planned.mark and planned.account_id in context.known_at:
            skipped = skipped or IMPORTED
        undone: DetailsJson = {}
        if planned.action is Action.UNWATCHED and play_id is not None:
            untold, undone = find_undone(context, planned, play_id)
            skipped = untold or skipped
        if details is None:
            details = delivery_details(context, event, change, play_id)
        news.append(
            outbox.NewDelivery(
                account_id=planned.account_id,
                action=planned.action,
                key=planned.key,
                item=change.play.item if change else event.item,
                at=delivery_date(event, change),
                mark=planned.mark,
                webhook_id=context.webhook_id,
                play_id=play_id,
                skipped=skipped,
                details={**details, **undone},
            )
        )
    outbox.enqueue_all(context.connection, news, context.now)


def delivery_date(event: Event, change: Change | None) -> datetime:
    """The date of a delivery: for a mark the play's date, which may be older than the event."""
    marked_at = change.play.watched_at if change is not None and change.finished else None
    return marked_at or event.at


def find_undone(context: Context, planned: PlannedDelivery, play_id: int) -> tuple[str | None, DetailsJson]:
    """The reason not to send an undoing (an unsent mark is superseded), or the details that name the mark to undo."""
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


def delivery_details(
    context: Context, event: Event, change: Change | None, play_id: int | None
) -> DetailsJson:
    """The details that a tracker needs beside the item: position, duration, rating, rewatch."""
    if change is None:
        return {"rating": event.rating}
    play = change.play
    known: DetailsJson = {
        "progress": play.percent(event.at),
        "estimated": play.estimated,
        "duration_ms": play.duration_ms,
        "position_ms": play.position(event.at),
        "started_at": to_ms(play.started_at),
        "dated": play.dated.value,
        "late": event.recorded,
    }
    if change.finished and play_id is not None:
        at = play.watched_at or event.at
        known["rewatch"] = is_rewatch(
            context.connection, context.person_id, play.item, keys(play.item), play_id, at
        )
    return known


def closing_event(change: Change) -> Event:
    """The stop event for a play that ended without one."""
    play = change.play
    at = play.watched_at if change.finished and play.watched_at is not None else play.last_at
    return Event(
        action=Action.STOP, item=play.item, at=at, player=play.player, player_id=play.player_id,
        library=play.library,
    )  # fmt: skip


def event_json(event: Event) -> EventJson:
    """An event as it is stored with its webhook and returned by the API."""
    item = item_to_json(event.item)
    described: EventJson = {
        "action": event.action.value,
        "kind": item["kind"],
        "title": item.get("title"),
        "show": item.get("show"),
        "season": item.get("season"),
        "number": item.get("number"),
        "year": item.get("year"),
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


SAME_FIELDS = (
    "person",
    "action",
    "kind",
    "title",
    "show",
    "season",
    "number",
    "ids",
    "show_ids",
    "user",
    "at",
)


IS_THERE = Prepared(select(play.c.id).where(play.c.id == bindparam("play")))


def find_earlier_play(connection: Connection, before: Sequence[EventJson], meaning: EventJson) -> int | None:
    """The play that the same event belonged to when its webhook was interpreted before; None also where that is gone."""
    known = (play_id for entry in before if is_same_event(entry, meaning) and (play_id := entry.get("play")))
    return next((one for one in known if IS_THERE.scalar(connection, {"play": one}) is not None), None)


def is_same_event(before: EventJson, now: EventJson) -> bool:
    return all(before.get(name) == now.get(name) for name in SAME_FIELDS)
