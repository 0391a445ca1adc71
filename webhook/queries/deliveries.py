"""Deliveries with where they stand and why, as pages, API and commands give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, func, or_, select

from webhook import trackers
from webhook.clock import stamp
from webhook.domain.event import item_from_json, item_to_json
from webhook.domain.outcome import LIMITS, PARKED, Park, explain_limit, parked_sentence
from webhook.domain.rules import DRY_RUN
from webhook.domain.states import NEEDS_PERSON, DeliveryState
from webhook.queries.paging import PAGE_SIZE, Page, fetch_page
from webhook.queues.parking import is_stuck, kind_of
from webhook.storage.tables import account, attempt, delivery, person

ENDING_ACTIONS = frozenset({"watched", "stop"})


def deliveries_by_webhook(
    connection: Connection, webhooks_shown: Sequence[Row[Any]], *, attempts: bool = False
) -> dict[int, list[dict[str, Any]]]:
    """The deliveries that these webhooks led to, by webhook: put by them, or the mark of the play they ended.

    A scrobble and the stop after it are one viewing, told once: both show that one mark.
    """
    ended = {row.id: plays_ended_by(row) for row in webhooks_shown}
    mine = or_(
        delivery.c.webhook_id.in_(list(ended)),
        and_(delivery.c.mark.is_(True), delivery.c.play_id.in_(set().union(*ended.values()))),
    )
    found: dict[int, list[dict[str, Any]]] = {webhook_id: [] for webhook_id in ended}
    for row in connection.execute(select_deliveries().where(mine).order_by(delivery.c.id)):
        shown = delivery_json(row)
        if attempts:
            shown["tries"] = attempts_of(connection, row.id)
        for webhook_id, plays_ended in ended.items():
            if row.webhook_id == webhook_id or (row.mark and row.play_id in plays_ended):
                found[webhook_id].append(shown)
    return found


def plays_ended_by(row: Row[Any]) -> set[int]:
    return {
        event["play"] for event in row.events or [] if event["action"] in ENDING_ACTIONS and event.get("play")
    }


def select_deliveries() -> Select[Any]:
    return (
        select(
            delivery,
            account.c.tracker,
            account.c.parked,
            account.c.held_until,
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
) -> Page:
    wanted = filter_deliveries(select_deliveries(), state, tracker, person_name)
    rows, cursor = fetch_page(connection, wanted, delivery.c.id, limit, after)
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
    """The ids of the deliveries that a filter means, for retrying many."""
    wanted = (
        select(delivery.c.id)
        .join(account, delivery.c.account_id == account.c.id)
        .join(person, account.c.person_id == person.c.id)
    )
    return list(connection.execute(filter_deliveries(wanted, state, tracker, person_name)).scalars())


def delivery_json(row: Row[Any]) -> dict[str, Any]:
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


def explain_delivery(row: Row[Any]) -> str | None:
    """Where it stands and what to do, in a sentence; None where the state says it all."""
    match row.state:
        case DeliveryState.PARKED if row.parked is None and row.reason in LIMITS:
            return explain_limited_kind(row.reason, kind_of(row), row.tracker, row.person)
        case DeliveryState.PARKED:
            return explain_parked(row.parked or row.reason, row.tracker, row.person)
        case DeliveryState.UNMATCHED:
            return (
                f"{row.reason}. Choose which item it is: watchmark match {row.id} (see watchmark unmatched)"
            )
        case DeliveryState.DEAD:
            return f"{row.reason}. When that is mended: watchmark retry {row.id}"
        case DeliveryState.WAITING if row.attempts and row.reason:
            return f"{row.reason}. It is tried again by itself."
        case DeliveryState.SKIPPED if row.reason == DRY_RUN:
            return f"A dry run: it {row.answer}. Once that is off, send it: watchmark retry {row.id}"
    reason: str | None = row.reason
    return reason


def explain_parked(parked: str | None, tracker: str, person_name: str, why: str | None = None) -> str | None:
    """What a parked account needs, and the step that mends it."""
    if parked is None or parked not in set(Park):
        return parked
    what = PARKED[Park(parked)]
    return f"{parked_sentence(Park(parked), why)} {what.mend.format(tracker=tracker, person=person_name)}"


def explain_limited_kind(reason: str, kind: str, tracker: str, person_name: str) -> str:
    """What a service refuses of one kind of call, and the step that mends it; everything else goes on."""
    refused = explain_limit(reason, kind, trackers.label(tracker))
    retry = f"watchmark retry --state parked --tracker {tracker} --person {person_name}"
    return f"{refused}, then: {retry}. Everything else is sent as before."


def limited_kinds(connection: Connection, person_name: str | None = None) -> dict[int, list[dict[str, Any]]]:
    """What services refuse of accounts that work otherwise, by account: the kind, why, and how many wait."""
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
    found: dict[int, dict[tuple[str, str], dict[str, Any]]] = {}
    for row in connection.execute(wanted):
        kind = kind_of(row)
        known = found.setdefault(row.id, {}).setdefault((kind, row.reason), {"kind": kind, "waits": 0})
        known["waits"] += row.waits
        known |= {"reason": row.reason, "tracker": row.tracker, "person": row.name}
        known["explanation"] = explain_limited_kind(row.reason, kind, row.tracker, row.name)
    return {account_id: list(kinds.values()) for account_id, kinds in found.items()}


def attempts_of(connection: Connection, delivery_id: int) -> list[dict[str, Any]]:
    rows = connection.execute(
        select(attempt).where(attempt.c.delivery_id == delivery_id).order_by(attempt.c.id)
    )
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


def find_delivery(connection: Connection, delivery_id: int) -> dict[str, Any] | None:
    row = connection.execute(select_deliveries().where(delivery.c.id == delivery_id)).first()
    return None if row is None else {**delivery_json(row), "tries": attempts_of(connection, delivery_id)}


def count_by_state(connection: Connection) -> dict[str, int]:
    """How many deliveries there are in each state."""
    wanted = select(delivery.c.state, func.count().label("number")).group_by(delivery.c.state)
    return {row.state: row.number for row in connection.execute(wanted)}


def find_dry_run_ids(connection: Connection, account_id: int) -> list[int]:
    """The deliveries that a dry run of this account showed and did not send."""
    wanted = select(delivery.c.id).where(
        delivery.c.account_id == account_id,
        delivery.c.state == DeliveryState.SKIPPED,
        delivery.c.reason == DRY_RUN,
    )
    return list(connection.execute(wanted.order_by(delivery.c.id)).scalars())
