"""The states of webhooks and deliveries, as they are stored and as the API gives them."""

from __future__ import annotations

from enum import StrEnum


class WebhookState(StrEnum):
    RECEIVED = "received"
    INTERPRETED = "interpreted"
    IGNORED = "ignored"
    UNCLAIMED = "unclaimed"
    QUARANTINED = "quarantined"
    HELD = "held"


class HandMarkState(StrEnum):
    """What became of a mark by hand that a media server reported."""

    PASSED = "passed"
    HELD = "held"
    ACCEPTED = "accepted"
    IGNORED = "ignored"
    CANCELLED = "cancelled"
    REPEATED = "repeated"


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    SKIPPED = "skipped"
    UNMATCHED = "unmatched"
    PARKED = "parked"
    DEAD = "dead"


NEEDS_PERSON = (DeliveryState.UNMATCHED, DeliveryState.PARKED, DeliveryState.DEAD)
"""States that need a person; a partial index covers them."""

OPEN_STATES = (DeliveryState.WAITING, DeliveryState.PARKED, DeliveryState.UNMATCHED, DeliveryState.DEAD)
"""States of deliveries that may still be sent."""

SETTLED = frozenset({DeliveryState.DONE, DeliveryState.SUPERSEDED, DeliveryState.EXPIRED})
"""Final states."""

REVIVABLE = (*NEEDS_PERSON, DeliveryState.SKIPPED, DeliveryState.EXPIRED)
"""States that a person can retry."""
