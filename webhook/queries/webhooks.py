"""Webhooks with what became of them, as pages, API and commands give them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, NotRequired

from pydantic.json_schema import SkipJsonSchema
from sqlalchemy import Connection, func, select
from typing_extensions import TypedDict

from webhook.clock import stamp
from webhook.domain import lenient_json, redaction
from webhook.domain.event import REASONS, Unreadable
from webhook.domain.json_shapes import IdsJson
from webhook.domain.states import WebhookState
from webhook.people.identities import CLAIMED_BY_ANOTHER, UNNAMED_USER
from webhook.queries.deliveries import DeliveryJson, deliveries_by_webhook
from webhook.queues.inbox import CATCH_UP, LISTENED_CONTENT_TYPE, event_origin
from webhook.storage.json_fields import ActionWord, Id, KindWord, Time, WebhookStateWord
from webhook.storage.json_shapes import EventJson
from webhook.storage.rows import fetch_first
from webhook.storage.tables import WebhookRow, webhook

MAX_RAW_BYTES = 256 * 1024


class OriginJson(TypedDict):
    """An id of an item or of its show (`whose`), its origin (`via`) and its certainty, 0 to 1 (`sure`)."""

    whose: str
    namespace: str
    value: int | str
    via: str
    sure: float


class WebhookEventJson(TypedDict):
    """An event with the deliveries that it led to; in a trace also with the origins of its item's ids."""

    action: ActionWord
    kind: KindWord | None
    title: str | None
    show: str | None
    season: int | None
    number: int | None
    year: int | None
    artist: NotRequired[SkipJsonSchema[str | None]]
    album: NotRequired[SkipJsonSchema[str | None]]
    ids: IdsJson
    show_ids: IdsJson
    position_ms: int | None
    duration_ms: int | None
    progress: float | None
    completed: bool | None
    rating: float | None
    at: Time | None
    user: str | None
    server: str | None
    server_name: SkipJsonSchema[str | None]
    player: str | None
    library: str | None
    manual: SkipJsonSchema[bool]
    person: str | None
    play: int | None
    deliveries: list[DeliveryJson]
    how: NotRequired[str | None]
    stopped: NotRequired[str | None]
    echo_of: NotRequired[SkipJsonSchema[int]]
    episodes: NotRequired[SkipJsonSchema[int | None]]
    waits_for: NotRequired[SkipJsonSchema[str | None]]
    item: NotRequired[SkipJsonSchema[list[OriginJson]]]


class WebhookJson(TypedDict):
    """A webhook as the API gives it."""

    id: Id
    source: str
    state: WebhookStateWord
    reason: str | None
    explanation: str | None
    received_at: Time | None
    interpreted_at: Time | None
    content_type: str | None
    repaired: SkipJsonSchema[bool]
    listened: SkipJsonSchema[bool]
    events: list[WebhookEventJson]


class WebhookTraceJson(WebhookJson):
    """A webhook with its body as text."""

    raw: str | None


class RedactedWebhookJson(TypedDict):
    """A webhook for a bug report."""

    webhook: Id
    source: str
    content_type: str | None
    payload: Any


def find_webhook(connection: Connection, webhook_id: int) -> WebhookTraceJson | None:
    """One webhook with its whole trace, or None."""
    row = fetch_first(connection, select(webhook).where(webhook.c.id == webhook_id), WebhookRow)
    if row is None:
        return None
    told = deliveries_by_webhook(connection, [row], attempts=True)
    raw = None if row.raw is None else lenient_json.readable_text(row.raw[:MAX_RAW_BYTES], row.content_type)
    return {**webhook_json(row, told[webhook_id]), "raw": raw}


class NotRedacted(Exception):
    """It cannot be copied for a bug report; the message is for the person."""


def redact_webhook(connection: Connection, webhook_id: int) -> RedactedWebhookJson:
    """A webhook for a bug report: its payload with names, tokens and addresses replaced. Raises NotRedacted."""
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
    return {
        "webhook": webhook_id,
        "source": row.source,
        "content_type": row.content_type,
        "payload": redaction.redact(payload),
    }


EMPTY_EVENT: WebhookEventJson = {
    "action": "",
    "kind": None,
    "title": None,
    "show": None,
    "season": None,
    "number": None,
    "year": None,
    "ids": {},
    "show_ids": {},
    "position_ms": None,
    "duration_ms": None,
    "progress": None,
    "completed": None,
    "rating": None,
    "at": None,
    "user": None,
    "server": None,
    "server_name": None,
    "player": None,
    "library": None,
    "manual": False,
    "person": None,
    "play": None,
    "deliveries": [],
}
"""The fields of an event that says nothing: older versions stored less of it."""


def webhook_json(row: WebhookRow, deliveries: Sequence[DeliveryJson]) -> WebhookJson:
    """A webhook as the API gives it, each delivery at the event whose play it is of."""
    shown: WebhookJson = {
        "id": row.id,
        "source": row.source,
        "state": row.state,
        "reason": row.reason,
        "explanation": explain_webhook(row),
        "received_at": stamp(row.received_at),
        "interpreted_at": stamp(row.interpreted_at),
        "content_type": row.content_type,
        "repaired": event_origin(row.content_type) == CATCH_UP,
        "listened": (row.content_type or "").startswith(LISTENED_CONTENT_TYPE),
        "events": [event_json(event) for event in row.events or []],
    }
    events = shown["events"]
    for entry in deliveries:
        home = next((event for event in events if event.get("play") == entry["play"]), None)
        if home is None and events:
            home = events[0]
        if home is not None:
            home["deliveries"].append(entry)
    return shown


def event_json(event: EventJson) -> WebhookEventJson:
    """An event as the API gives it, every field present."""
    return {**EMPTY_EVENT, **event, "deliveries": []}


def explain_webhook(row: WebhookRow) -> str | None:
    """The state and the next step, in a sentence."""
    if row.state == WebhookState.UNCLAIMED:
        return explain_missing_claim(row)
    if row.state == WebhookState.QUARANTINED:
        return (
            f"It could not be read: {row.reason} It is kept. If the sender is at fault, mend it there, and add what is "
            f"missing: watchmark history add. If a newer Watchmark can read it: watchmark replay {row.id}"
        )
    if row.state == WebhookState.RECEIVED:
        return "It is kept and waits to be interpreted."
    if row.reason is None and event_origin(row.content_type) == CATCH_UP:
        return "Missed webhook, repaired: the server's own record has it, and no webhook of it came."
    if row.events and ("episodes" in row.events[0] or "waits_for" in row.events[0]):
        return explain_whole(row.events[0])
    return REASONS.get(row.reason or "", row.reason)


def explain_whole(event: EventJson) -> str:
    """The outcome of ticking a season or a show as a whole, in a sentence."""
    if count := event.get("episodes"):
        return f"It stands for {count} episodes, which were read as webhooks of their own."
    if event.get("waits_for"):
        return "Which episodes it stands for is asked at the lookups; they are marked once that is known."
    return "No lookup lists the episodes of this show, so nothing was marked. What the server says of each counts."


def explain_missing_claim(row: WebhookRow) -> str:
    """The sentence that says who must claim the webhook's user."""
    user = next((event.get("user") for event in row.events or [] if event.get("user")), UNNAMED_USER)
    if row.reason == CLAIMED_BY_ANOTHER:
        return (
            f"Somebody else claims {row.source}:{user}, and this came by an address that belongs to one person. "
            "For several people use an address that belongs to nobody: watchmark urls"
        )
    quoted = shlex.quote(f"{row.source}:{user}")
    return (
        f"Nobody claims {row.source}:{user}. Claim it: watchmark people claim PERSON {quoted}. "
        "It is kept, and interpreted as soon as somebody does."
    )


def last_webhook_times(connection: Connection) -> dict[str, str | None]:
    """The time of each source's last webhook."""
    wanted = select(webhook.c.source, func.max(webhook.c.received_at)).group_by(webhook.c.source)
    return {source: stamp(moment) for source, moment in connection.execute(wanted)}
