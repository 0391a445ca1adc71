"""Deliveries with where they stand and why, as pages, API and commands give them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple, NotRequired

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, or_, select
from typing_extensions import TypedDict

from webhook import clock, trackers
from webhook.clock import stamp
from webhook.domain.event import item_from_json, item_to_json
from webhook.domain.json_shapes import ExchangeJson, ItemJson
from webhook.domain.outcome import LIMITS, PARKED, Park, explain_limit, parked_sentence
from webhook.domain.rules import DRY_RUN
from webhook.domain.states import NEEDS_PERSON, DeliveryState
from webhook.queries.paging import PAGE_SIZE, Page, fetch_page
from webhook.queues.parking import is_stuck, kind_of
from webhook.storage.json_fields import (
    ANY_LIST,
    ActionWord,
    DeliveryStateWord,
    Id,
    ItemFields,
    Time,
    one_of,
)
from webhook.storage.json_shapes import CandidateJson, DetailsJson
from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import AttemptRow, WebhookRow, account, attempt, delivery, person

ENDING_ACTIONS = frozenset({"watched", "stop"})


class DeliveryDetail(NamedTuple):
    """A delivery with its account and person, as `select_deliveries` selects it."""

    id: int
    webhook_id: int | None
    play_id: int | None
    action: str
    mark: bool
    happened_at: datetime
    item: ItemJson
    details: DetailsJson | None
    state: str
    reason: str | None
    attempts: int
    due_at: datetime | None
    answer: str | None
    remote_id: str | None
    candidates: list[CandidateJson] | None
    settled_at: datetime | None
    unsure: bool
    tracker: str
    parked: str | None
    held_until: datetime | None
    failing_since: datetime | None
    person: str


class AttemptJson(TypedDict):
    """An attempt of a delivery, with its HTTP exchanges."""

    at: Time | None
    took_ms: int | None
    outcome: str
    reason: str | None
    exchanges: Annotated[list[ExchangeJson], ANY_LIST]


class DeliveryFields(ItemFields):
    """The fields of a delivery except its id."""

    tracker: str
    person: str
    action: ActionWord
    mark: bool
    state: DeliveryStateWord
    attempts: int
    reason: str | None
    explanation: str | None
    answer: str | None
    due_at: Time | None
    happened_at: Time | None
    settled_at: Time | None
    webhook: int | None
    play: int | None
    artist: SkipJsonSchema[str | None]
    album: SkipJsonSchema[str | None]
    progress: float | None
    estimated: bool
    remote_id: str | None
    candidates: Annotated[list[CandidateJson], ANY_LIST] | None


class DeliveryJson(DeliveryFields):
    """A delivery as the API gives it; in the trace of a webhook with its attempts."""

    id: Id
    tries: NotRequired[SkipJsonSchema[list[AttemptJson]]]


class DeliveryTraceJson(DeliveryFields):
    """A delivery with its attempts, the oldest first."""

    id: Id
    tries: list[AttemptJson]


class LimitJson(TypedDict):
    """A kind of call that a service refuses of an account that works otherwise."""

    kind: Annotated[str, Field(description="`watched` for watched marks, else an action such as `add`.")]
    reason: Annotated[str, one_of(sorted(LIMITS))]
    tracker: str
    person: str
    explanation: str
    waits: int


def deliveries_by_webhook(
    connection: Connection, webhooks: Sequence[WebhookRow], *, attempts: bool = False
) -> dict[int, list[DeliveryJson]]:
    """The deliveries of these webhooks, by webhook: those they put, and the mark of the play they ended.

    A scrobble and the stop after it are one viewing with one mark, which both show.
    """
    ended = {row.id: plays_ended_by(row) for row in webhooks}
    mine = or_(
        delivery.c.webhook_id.in_(list(ended)),
        and_(delivery.c.mark.is_(True), delivery.c.play_id.in_(set().union(*ended.values()))),
    )
    found: dict[int, list[DeliveryJson]] = {webhook_id: [] for webhook_id in ended}
    for row in fetch_deliveries(connection, select_deliveries().where(mine).order_by(delivery.c.id)):
        shown = delivery_json(row)
        if attempts:
            shown["tries"] = attempts_of(connection, row.id)
        for webhook_id, plays_ended in ended.items():
            if row.webhook_id == webhook_id or (row.mark and row.play_id in plays_ended):
                found[webhook_id].append(shown)
    return found


def plays_ended_by(row: WebhookRow) -> set[int]:
    """The plays that the webhook's events watched to the end or stopped."""
    ending = [event for event in row.events or [] if event["action"] in ENDING_ACTIONS]
    return {play_id for event in ending if (play_id := event.get("play"))}


def fetch_deliveries(connection: Connection, wanted: Select[Any]) -> list[DeliveryDetail]:
    """The deliveries that a narrowed `select_deliveries` means."""
    return fetch_all(connection, wanted, DeliveryDetail)


def select_deliveries() -> Select[Any]:
    """Selects deliveries with their account and person; `DeliveryDetail` is the row."""
    own = [delivery.c[name] for name in DeliveryDetail._fields if name in delivery.c]
    return (
        select(
            *own,
            account.c.tracker,
            account.c.parked,
            account.c.held_until,
            account.c.failing_since,
            person.c.name.label("person"),
        )
        .join(account, delivery.c.account_id == account.c.id)
        .join(person, account.c.person_id == person.c.id)
    )


def list_deliveries(
    connection: Connection,
    *,
    limit: int = PAGE_SIZE,
    after: int | None = None,
    state: str | None = None,
    tracker: str | None = None,
    person_name: str | None = None,
) -> Page[DeliveryJson]:
    """The newest deliveries first, narrowed by state, tracker and person."""
    wanted = filter_deliveries(select_deliveries(), state, tracker, person_name)
    rows, cursor = fetch_page(connection, wanted, DeliveryDetail, delivery.c.id, limit, after)
    return {"items": [delivery_json(row) for row in rows], "next": cursor}


def filter_deliveries(
    wanted: Select[Any], state: str | None, tracker: str | None, person_name: str | None
) -> Select[Any]:
    if state:
        wanted = wanted.where(delivery.c.state == state)
    if state in NEEDS_PERSON:
        wanted = wanted.where(is_stuck())
    if tracker:
        wanted = wanted.where(account.c.tracker == tracker)
    if person_name:
        wanted = wanted.where(person.c.name == person_name)
    return wanted


def is_waiting() -> ColumnElement[bool]:
    return delivery.c.state == bindparam("waits", "waiting", literal_execute=True)


def find_delivery_ids(
    connection: Connection, state: str | None, tracker: str | None, person_name: str | None
) -> list[int]:
    """The ids of the deliveries that a filter selects, for retrying many."""
    wanted = (
        select(delivery.c.id)
        .join(account, delivery.c.account_id == account.c.id)
        .join(person, account.c.person_id == person.c.id)
    )
    return list(connection.execute(filter_deliveries(wanted, state, tracker, person_name)).scalars())


def delivery_json(row: DeliveryDetail) -> DeliveryJson:
    """A delivery as the API gives it."""
    item = item_to_json(item_from_json(row.item))
    due = (
        max(row.due_at, row.held_until or row.due_at)
        if row.state == DeliveryState.WAITING and row.due_at
        else None
    )
    return {
        "id": row.id,
        "tracker": row.tracker,
        "person": row.person,
        "action": row.action,
        "mark": row.mark,
        "state": row.state,
        "attempts": row.attempts,
        "reason": row.reason,
        "explanation": explain_delivery(row),
        "answer": row.answer,
        "due_at": stamp(due),
        "happened_at": stamp(row.happened_at),
        "settled_at": stamp(row.settled_at),
        "webhook": row.webhook_id,
        "play": row.play_id,
        "title": item.get("title"),
        "show": item.get("show"),
        "season": item.get("season"),
        "number": item.get("number"),
        "kind": item["kind"],
        "year": item.get("year"),
        "artist": item.get("artist"),
        "album": item.get("album"),
        "progress": (row.details or {}).get("progress"),
        "estimated": bool((row.details or {}).get("estimated")),
        "remote_id": row.remote_id,
        "candidates": row.candidates,
    }


def explain_delivery(row: DeliveryDetail) -> str | None:
    """The delivery's situation and the next step, in a sentence; None where the state says it all."""
    match row.state:
        case DeliveryState.PARKED if row.parked is None and row.reason is not None and row.reason in LIMITS:
            return explain_limited_kind(row.reason, kind_of(row.action, row.mark), row.tracker, row.person)
        case DeliveryState.PARKED:
            return explain_park(row.parked or row.reason, row.tracker, row.person)
        case DeliveryState.UNMATCHED:
            return (
                f"{row.reason}. Choose which item it is: watchmark match {row.id} (see watchmark unmatched)"
            )
        case DeliveryState.DEAD:
            return f"{row.reason}. When that is mended: watchmark retry {row.id}"
        case DeliveryState.WAITING if row.attempts and row.reason:
            return f"{row.reason}. It is tried again by itself."
        case DeliveryState.WAITING if row.unsure and not row.reason:
            return "It may have arrived already: that is looked up before it is sent again."
        case DeliveryState.WAITING if row.failing_since and not row.reason:
            return (
                "Its service does not answer just now. What waits is sent by itself, in order, once it does."
            )
        case DeliveryState.WAITING if row.held_until and row.held_until > clock.now() and not row.reason:
            return "The account waits: its service asked for a pause, or what was sent before this is looked up first."
        case DeliveryState.SKIPPED if row.reason == DRY_RUN:
            return f"A dry run: it {row.answer}. Once that is off, send it: watchmark retry {row.id}"
    return row.reason or (row.details or {}).get("because")


def explain_park(parked: str | None, tracker: str, person_name: str, why: str | None = None) -> str | None:
    """The need of a parked account and the step that meets it, in a sentence."""
    if parked is None or parked not in set(Park):
        return parked
    what = PARKED[Park(parked)]
    return f"{parked_sentence(Park(parked), why)} {what.mend.format(tracker=tracker, person=person_name)}"


def explain_limited_kind(reason: str, kind: str, tracker: str, person_name: str) -> str:
    """The refusal of one kind of call and the step that lifts it, in a sentence; everything else goes on."""
    refused = explain_limit(reason, kind, trackers.label(tracker))
    retry = f"watchmark retry --state parked --tracker {tracker} --person {person_name}"
    return f"{refused}, then: {retry}. Everything else is sent as before."


class ParkedCount(NamedTuple):
    """The parked deliveries of one action of an account."""

    id: int
    tracker: str
    name: str
    action: str
    mark: bool
    reason: str
    waits: int


def limited_kinds(connection: Connection, person_name: str | None = None) -> dict[int, list[LimitJson]]:
    """The kinds of call that services refuse of accounts that work otherwise, by account."""
    wanted = (
        select(account.c.id, account.c.tracker, person.c.name, delivery.c.action, delivery.c.mark,
               delivery.c.reason, func.count().label("waits"))
        .join(account, delivery.c.account_id == account.c.id)
        .join(person, account.c.person_id == person.c.id)
        .where(is_stuck(), delivery.c.state == DeliveryState.PARKED, delivery.c.reason.in_(LIMITS))
        .where(account.c.parked.is_(None))
        .group_by(account.c.id, account.c.tracker, person.c.name, delivery.c.action, delivery.c.mark,
                  delivery.c.reason)
        .order_by(account.c.id, delivery.c.action)
    )  # fmt: skip
    if person_name is not None:
        wanted = wanted.where(person.c.name == person_name)
    found: dict[int, dict[tuple[str, str], LimitJson]] = {}
    for row in fetch_all(connection, wanted, ParkedCount):
        kind = kind_of(row.action, row.mark)
        limit = LimitJson(
            kind=kind, waits=0, reason=row.reason, tracker=row.tracker, person=row.name,
            explanation=explain_limited_kind(row.reason, kind, row.tracker, row.name),
        )  # fmt: skip
        found.setdefault(row.id, {}).setdefault((kind, row.reason), limit)["waits"] += row.waits
    return {account_id: list(kinds.values()) for account_id, kinds in found.items()}


def attempts_of(connection: Connection, delivery_id: int) -> list[AttemptJson]:
    """The attempts of a delivery with their HTTP exchanges, the oldest first."""
    wanted = select(attempt).where(attempt.c.delivery_id == delivery_id).order_by(attempt.c.id)
    rows = fetch_all(connection, wanted, AttemptRow)
    return [
        {
            "at": stamp(row.at),
            "took_ms": row.took_ms,
            "outcome": row.outcome,
            "reason": row.reason,
            "exchanges": row.exchanges or [],
        }
        for row in rows
    ]


def find_delivery(connection: Connection, delivery_id: int) -> DeliveryTraceJson | None:
    """The delivery with its attempts, or None."""
    wanted = select_deliveries().where(delivery.c.id == delivery_id)
    row = fetch_first(connection, wanted, DeliveryDetail)
    return None if row is None else trace_delivery(connection, row)


def trace_delivery(connection: Connection, row: DeliveryDetail) -> DeliveryTraceJson:
    """A delivery with its attempts."""
    return {**delivery_json(row), "tries": attempts_of(connection, row.id)}


def count_by_state(connection: Connection) -> dict[str, int]:
    """The number of deliveries in each state."""
    wanted = select(delivery.c.state, func.count().label("number")).group_by(delivery.c.state)
    return {row.state: row.number for row in connection.execute(wanted)}


def find_dry_run_ids(connection: Connection, account_id: int) -> list[int]:
    """The deliveries that a dry run of this account kept back."""
    wanted = select(delivery.c.id).where(
        delivery.c.account_id == account_id,
        delivery.c.state == DeliveryState.SKIPPED,
        delivery.c.reason == DRY_RUN,
    )
    return list(connection.execute(wanted.order_by(delivery.c.id)).scalars())
