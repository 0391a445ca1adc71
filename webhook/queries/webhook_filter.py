"""The filter of webhooks that pages and the API share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, Text, and_, or_, select, type_coerce

from webhook.domain.states import DeliveryState, WebhookState
from webhook.queries.deliveries import is_waiting
from webhook.queues.parking import is_stuck
from webhook.storage.json_shapes import EventJson
from webhook.storage.tables import account, delivery, webhook
from webhook.texts import texts

OUTCOMES = texts({"needs_you": "needs you", "failed": "failed", "waiting": "waiting"})
"""What may have become of a webhook that is not all well, in words."""

STATES_OF_OUTCOME: dict[str, tuple[WebhookState, ...]] = {
    "needs_you": (WebhookState.UNCLAIMED, WebhookState.QUARANTINED, WebhookState.HELD),
    "failed": (),
    "waiting": (WebhookState.RECEIVED,),
}


def has_outcome(outcome: str) -> ColumnElement[bool]:
    """True for webhooks that are in such a state themselves, or have a delivery that is."""
    stuck = is_stuck()
    of_delivery = {
        "needs_you": and_(stuck, delivery.c.settled_at.is_(None)),
        "failed": and_(stuck, delivery.c.state == DeliveryState.DEAD),
        "waiting": is_waiting(),
    }[outcome]
    found = select(delivery.c.webhook_id).where(of_delivery, delivery.c.webhook_id.is_not(None))
    return or_(webhook.c.state.in_(STATES_OF_OUTCOME[outcome]), webhook.c.id.in_(found))


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookFilter:
    """Filter of webhooks by outcome, state, reason, source, person, tracker and text in a title."""

    outcome: str | None = None
    state: str | None = None
    reason: str | None = None
    source: str | None = None
    person: str | None = None
    tracker: str | None = None
    text: str | None = None

    @property
    def rare(self) -> bool:
        """True if finding one may mean scanning many webhooks."""
        return bool(self.reason or self.person or self.tracker or self.text)

    def narrow(self, wanted: Select[Any]) -> Select[Any]:
        """Narrow the webhooks to candidates for the filter; `matches` decides."""
        if self.outcome:
            wanted = wanted.where(has_outcome(self.outcome))
        if self.state:
            wanted = wanted.where(webhook.c.state == self.state)
        if self.reason:
            wanted = wanted.where(webhook.c.reason == self.reason)
        if self.source:
            wanted = wanted.where(webhook.c.source == self.source)
        told = type_coerce(webhook.c.events, Text)
        if self.person:
            wanted = wanted.where(told.contains(f'"person":{json_fragment(self.person)}', autoescape=True))
        if self.text:
            wanted = wanted.where(told.icontains(json_fragment(self.text)[1:-1], autoescape=True))
        if self.tracker:
            put = select(delivery.c.id).join(account, delivery.c.account_id == account.c.id)
            put = put.where(delivery.c.webhook_id == webhook.c.id, account.c.tracker == self.tracker)
            wanted = wanted.where(put.exists())
        return wanted

    def matches(self, events: Sequence[EventJson]) -> bool:
        if self.person and not any(event.get("person") == self.person for event in events):
            return False
        text = (self.text or "").casefold()
        titles = (str(event.get(name) or "") for event in events for name in ("title", "show", "artist"))
        return not text or any(text in title.casefold() for title in titles)


def json_fragment(value: str) -> str:
    """A text in the encoding of the stored JSON."""
    return orjson.dumps(value).decode()
