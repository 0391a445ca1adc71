"""Parsed webhooks, and the verdicts on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webhook.domain.event import Event
from webhook.domain.states import WebhookState
from webhook.storage.json_shapes import EventJson
from webhook.storage.tables import WebhookRow


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of interpreting a webhook: its state, the reason, and its events."""

    state: WebhookState
    reason: str | None = None
    events: Sequence[EventJson] = ()
    identity_id: int | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A webhook with its events, or with the verdict that needs none."""

    row: WebhookRow
    events: list[Event] | Verdict
