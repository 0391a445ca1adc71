"""Webhooks with what became of them, as pages, API and commands give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, func, select

from webhook.clock import stamp
from webhook.domain import lenient_json, redaction
from webhook.domain.event import REASONS, Unreadable
from webhook.domain.states import WebhookState
from webhook.people.identities import CLAIMED_BY_ANOTHER, UNNAMED_USER
from webhook.queries.deliveries import deliveries_by_webhook
from webhook.queues.inbox import CATCH_UP, event_origin
from webhook.storage.tables import webhook

MAX_RAW_BYTES = 256 * 1024


def find_webhook(connection: Connection, webhook_id: int) -> dict[str, Any] | None:
    """One webhook with its whole trace, or None."""
    row = connection.execute(select(webhook).where(webhook.c.id == webhook_id)).first()
    if row is None:
        return None
    told = deliveries_by_webhook(connection, [row], attempts=True)
    return webhook_json(row, told[webhook_id], raw=True)


class NotRedacted(Exception):
    """It cannot be copied for a bug report; the message is for the person."""


def redact_webhook(connection: Connection, webhook_id: int) -> dict[str, Any]:
    """A webhook for a bug report: what it said, with names, tokens and addresses replaced. Raises NotRedacted."""
    wanted = select(webhook.c.source, webhook.c.content_type, webhook.c.raw)
    row = connection.execute(wanted.where(webhook.c.id == webhook_id)).first()
    if row is None:
        raise NotRedacted(f"There is no webhook {webhook_id}.")
    if row.raw is None:
        raise NotRedacted("Its raw body was pruned after RETENTION_DAYS, so there is nothing to report.")
    try:
        payload = lenient_json.loads(row.raw, row.content_type)
    except Unreadable as error:
        raise NotRedacted(
            "It is no JSON, so what says who and where cannot be told from the rest. It was not copied."
        ) from error
    about = {"webhook": webhook_id, "source": row.source, "content_type": row.content_type}
    return {**about, "payload": redaction.redacted(payload)}


EMPTY_EVENT: Mapping[str, Any] = {
    **dict.fromkeys(
        ("kind", "title", "show", "season", "number", "year", "position_ms", "duration_ms", "progress"),
    ),
    **dict.fromkeys(("completed", "rating", "at", "user", "server", "server_name", "player", "library")),
    **dict.fromkeys(("person", "play")),
    "ids": {},
    "show_ids": {},
    "manual": False,
}
"""What an event says that says nothing: not every version kept as much with its webhooks."""


def webhook_json(row: Row[Any], told: list[dict[str, Any]], *, raw: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": row.id,
        "source": row.source,
        "state": row.state,
        "reason": row.reason,
        "explanation": explain_webhook(row),
        "received_at": stamp(row.received_at),
        "interpreted_at": stamp(row.interpreted_at),
        "content_type": row.content_type,
        "repaired": event_origin(row.content_type) == CATCH_UP,
    }
    if raw:
        shown["raw"] = (
            None if row.raw is None else lenient_json.text(row.raw[:MAX_RAW_BYTES], row.content_type)
        )
    events = [{**EMPTY_EVENT, **event, "deliveries": []} for event in row.events or []]
    for entry in told:
        home = next((event for event in events if event.get("play") == entry["play"]), None)
        if home is None and events:
            home = events[0]
        if home is not None:
            home["deliveries"].append(entry)
    shown["events"] = events
    return shown


def explain_webhook(row: Row[Any]) -> str | None:
    """The state in a sentence, with what to do."""
    if row.state == WebhookState.UNCLAIMED:
        return explain_unclaimed(row)
    if row.state == WebhookState.QUARANTINED:
        return f"It could not be read: {row.reason} It is kept; after a fix: watchmark replay {row.id}"
    if row.state == WebhookState.RECEIVED:
        return "It is kept and waits to be interpreted."
    if row.reason is None and event_origin(row.content_type) == CATCH_UP:
        return "Missed webhook, repaired: the server's own record has it, and no webhook of it came."
    if row.events and ("episodes" in row.events[0] or "waits_for" in row.events[0]):
        return explain_whole(row.events[0])
    reason: str | None = row.reason
    return REASONS.get(reason or "", reason)


def explain_whole(event: Mapping[str, Any]) -> str:
    """What became of a season or a show that was ticked as a whole."""
    if count := event.get("episodes"):
        return f"It stands for {count} episodes, which were read as webhooks of their own."
    if event.get("waits_for"):
        return "Which episodes it stands for is asked at the lookups; they are marked once that is known."
    return "No lookup lists the episodes of this show, so nothing was marked. What the server says of each counts."


def explain_unclaimed(row: Row[Any]) -> str:
    user = next((event.get("user") for event in row.events or [] if event.get("user")), UNNAMED_USER)
    if row.reason == CLAIMED_BY_ANOTHER:
        return (
            f"Somebody else claims {row.source}:{user}, and this came by an address that belongs to one person. "
            "For several people use an address that belongs to nobody: watchmark urls"
        )
    return (
        f"Nobody claims {row.source}:{user}. Claim it: watchmark people claim PERSON '{row.source}:{user}'. "
        "It is kept, and interpreted as soon as somebody does."
    )


def last_webhook_times(connection: Connection) -> dict[str, str | None]:
    """When each source last sent anything."""
    wanted = select(webhook.c.source, func.max(webhook.c.received_at)).group_by(webhook.c.source)
    return {source: stamp(moment) for source, moment in connection.execute(wanted)}
