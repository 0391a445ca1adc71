"""The states of webhooks and deliveries, as they are stored and as the API gives them."""

from __future__ import annotations

from enum import StrEnum


class WebhookState(StrEnum):
    RECEIVED = "received"
    INTERPRETED = "interpreted"
    IGNORED = "ignored"
    UNCLAIMED = "unclaimed"
    QUARANTINED = "quarantined"


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
"""Deliveries that stay as they are until a person does something. There is an index of these."""

OPEN_STATES = (DeliveryState.WAITING, DeliveryState.PARKED, DeliveryState.UNMATCHED, DeliveryState.DEAD)
"""Deliveries that may still be sent."""

SETTLED = frozenset({DeliveryState.DONE, DeliveryState.SUPERSEDED, DeliveryState.EXPIRED})
"""Deliveries of which nothing more comes."""

REVIVABLE = (*NEEDS_PERSON, DeliveryState.SKIPPED, DeliveryState.EXPIRED)
"""Deliveries that a person can have tried again."""
