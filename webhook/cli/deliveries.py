"""The commands replay and retry."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

import typer
from sqlalchemy import Connection, Table, select

from webhook import app as house
from webhook import clock, trackers
from webhook.accounts import accounts
from webhook.accounts.accounts import AccountError
from webhook.cli._common import (
    DryRun,
    Everything,
    Failed,
    Json,
    Numbers,
    Whose,
    count_of,
    say,
)
from webhook.cli._desk import (
    Desk,
    open_desk,
)
from webhook.cli.trace import item_text
from webhook.domain.event import REASONS
from webhook.domain.states import NEEDS_PERSON, REVIVABLE, WebhookState
from webhook.people import people
from webhook.queries.deliveries import find_delivery_ids
from webhook.queries.rehearsal import RehearsalJson, rehearse_webhooks
from webhook.queues import inbox, parking
from webhook.storage.db import Database
from webhook.storage.tables import delivery, webhook

BATCH = 500

LEFT_ALONE = {
    "done": "it is done, and nothing is sent twice",
    "waiting": "it is already waiting",
    "superseded": "it was replaced by a newer one",
    "received": "it is already waiting to be processed",
}
"""The reason why a delivery or webhook in this state is skipped."""


app = typer.Typer()


# --- replay


@app.command()
def replay(
    ids: Numbers = None,
    state: Annotated[str | None, typer.Option(help="Only webhooks in this state.")] = None,
    source: Annotated[str | None, typer.Option(help="Only webhooks from this source.")] = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Process webhooks again, by ID or by filter. No play is counted twice."""
    check_selection(ids, everything, state=state, source=source)
    with open_desk() as at:
        chosen = at.database.ask(lambda connection: replayable(connection, ids, state, source))
        left = at.database.ask(lambda connection: skipped_reasons(connection, webhook, ids, chosen))
        told = rehearse(at, chosen) if dry_run else []
        count = len(chosen) if dry_run else in_parts(at.database, chosen, inbox.requeue)
    would = "would be" if dry_run else "will be"
    shown = {"webhooks": count, "ids": chosen, "left_alone": left, "dry_run": dry_run}
    shown |= {"would": told} if dry_run else {}
    lines = [line for one in told for line in rehearsal_story(one)]
    lines += [f"Webhook {number} is not replayed: {why}." for number, why in left.items()]
    say(as_json, shown, *lines, f"{count_of(count, 'webhook')} {would} replayed.")


def rehearse(at: Desk, ids: Sequence[int]) -> list[RehearsalJson]:
    """The result of interpreting webhooks again, in a transaction that is rolled back."""
    interpreter = house.build_interpreter(at.database, at.trackers, at.settings)
    return rehearse_webhooks(at.database, interpreter.interpret_row, ids)


def rehearsal_story(one: RehearsalJson) -> Iterator[str]:
    because = f" ({REASONS.get(one['reason'], one['reason'])})" if one["reason"] else ""
    nothing = "" if one["deliveries"] else "; nothing new would be sent"
    yield f"Webhook {one['webhook']} would be {one['state']}{because}{nothing}"
    for entry in one["deliveries"]:
        new = "a new delivery" if entry["id"] is None else f"delivery {entry['id']}"
        why = f" ({entry['reason']})" if entry["reason"] else ""
        whose = f"{entry['tracker']} of {entry['person']}"
        yield f"  {new}: {entry['action']} to {whose}: {item_text(entry)}: {entry['state']}{why}"


def replayable(
    connection: Connection, ids: Sequence[int] | None, state: str | None, source: str | None
) -> list[int]:
    """The selected webhooks that can be read again; raises Failed for an unknown number."""
    wanted = select(webhook.c.id, webhook.c.raw.is_not(None).label("whole"), webhook.c.state)
    if ids:
        there = {row.id: row for row in connection.execute(wanted.where(webhook.c.id.in_(ids)))}
        if missing := [number for number in ids if number not in there]:
            raise Failed(f"Webhook {' or '.join(map(str, missing))} was not found.")
        if pruned := [number for number, row in there.items() if not row.whole]:
            raise Failed(
                f"The body of webhook {' and '.join(map(str, pruned))} was pruned after RETENTION_DAYS."
            )
        wanted = wanted.where(webhook.c.id.in_(ids))
    for column, value in ((webhook.c.state, state), (webhook.c.source, source)):
        wanted = wanted if value is None else wanted.where(column == value)
    rows = connection.execute(wanted.order_by(webhook.c.id))
    return [row.id for row in rows if row.whole and row.state != WebhookState.RECEIVED]


# --- retry


@app.command()
def retry(
    ids: Numbers = None,
    state: Annotated[str | None, typer.Option(help="Only deliveries in this state.")] = None,
    tracker: Annotated[str | None, typer.Option(help="Only deliveries to this tracker.")] = None,
    whose: Whose = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Retry deliveries, by ID or by filter; without --state: unmatched, parked and dead ones."""
    check_selection(ids, everything, state=state, tracker=tracker, person=whose)
    now = clock.now()
    with open_desk() as at:
        chosen = at.database.ask(lambda connection: retriable(connection, ids, state, tracker, whose))
        left = at.database.ask(lambda connection: skipped_reasons(connection, delivery, ids, chosen))
        revive = lambda connection, part: parking.revive(connection, part, now)  # noqa: E731
        count = len(chosen) if dry_run else in_parts(at.database, chosen, revive)
    would = "would be" if dry_run else "will be"
    shown = {"deliveries": count, "ids": chosen, "left_alone": left, "dry_run": dry_run}
    lines = [f"Delivery {number} is not retried: {why}." for number, why in left.items()]
    say(as_json, shown, *lines, f"{count_of(count, 'delivery')} {would} retried.")


def retriable(
    connection: Connection,
    ids: Sequence[int] | None,
    state: str | None,
    tracker: str | None,
    whose: str | None,
) -> list[int]:
    """The selected deliveries that can be retried; raises Failed for an unknown number."""
    if whose is not None:
        people.find_person(connection, whose)
    if tracker is not None and tracker not in trackers.modules():
        raise AccountError(accounts.setup_hint(tracker))
    if ids:
        wanted = select(delivery.c.id, delivery.c.state).where(delivery.c.id.in_(ids))
        there = {row.id: row.state for row in connection.execute(wanted)}
        if missing := [number for number in ids if number not in there]:
            raise Failed(f"Delivery {' or '.join(map(str, missing))} was not found.")
        return [number for number, known in there.items() if known in REVIVABLE]
    if state is not None and state not in REVIVABLE:
        raise typer.BadParameter(f"Deliveries can be tried again that are {', '.join(REVIVABLE)}.")
    states = NEEDS_PERSON if state is None else (state,)
    return sorted(one for each in states for one in find_delivery_ids(connection, each, tracker, whose))


# --- what both need


def check_selection(ids: Sequence[int] | None, everything: bool, **filters: str | None) -> None:
    """Raise BadParameter unless IDs, filters or --all are given, and not IDs and filters together."""
    filtered = any(value is not None for value in filters.values())
    if ids and (filtered or everything):
        raise typer.BadParameter("Use either IDs or filters, not both.")
    if not ids and not filtered and not everything:
        options = ", ".join(f"--{name}" for name in filters)
        raise typer.BadParameter(f"Choose some with IDs, {options} or --all.")


def skipped_reasons(
    connection: Connection, table: Table, ids: Sequence[int] | None, chosen: Sequence[int]
) -> dict[str, str]:
    """The named ones that are not chosen, by number, with the reason."""
    others = set(ids or ()) - set(chosen)
    rows = connection.execute(select(table.c.id, table.c.state).where(table.c.id.in_(others)))
    return {str(row.id): LEFT_ALONE.get(row.state, f"it is {row.state}") for row in rows}


def in_parts(
    database: Database, ids: Sequence[int], change: Callable[[Connection, Sequence[int]], int]
) -> int:
    """Apply a change in batches, so that a running service gets its turn; returns the total."""
    from rich.console import Console
    from rich.progress import track

    parts = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
    hidden = len(parts) < 2 or not sys.stderr.isatty()
    shown = track(parts, console=Console(stderr=True), disable=hidden)
    return sum(database.do(lambda connection, part=part: change(connection, part)) for part in shown)  # type: ignore[misc]
