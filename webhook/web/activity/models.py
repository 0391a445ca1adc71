"""Models of webhooks and deliveries in the API: filters and replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, Self

from pydantic import Field, model_validator
from typing_extensions import TypedDict

from webhook import trackers
from webhook.domain.event import Action, Kind
from webhook.queries.paging import MAX_PAGE_SIZE
from webhook.web.http.models import (
    Body,
    Filter,
    Flag,
    Id,
    IdMap,
    Name,
    OneOf,
    Paging,
    Query,
    Text,
    Time,
    validate,
)
from webhook.web.visible import DELIVERY_STATES, WEBHOOK_STATES, WebhookFilter, source_names

WebhookState = Annotated[str, OneOf(lambda: WEBHOOK_STATES)]
DeliveryState = Annotated[str, OneOf(lambda: DELIVERY_STATES)]
SourceName = Annotated[str, OneOf(source_names)]
TrackerName = Annotated[str, OneOf(trackers.modules)]


class ItemFields(TypedDict):
    kind: Kind
    title: str | None
    show: str | None
    season: int | None
    number: int | None
    year: int | None


class Candidate(TypedDict):
    kind: Kind
    title: str | None
    year: int | None
    ids: IdMap


# --- deliveries


class Delivery(ItemFields):
    id: Id
    tracker: str
    person: str
    action: Action
    mark: bool
    state: DeliveryState
    attempts: int
    reason: str | None
    explanation: str | None
    answer: str | None
    due_at: Time | None
    happened_at: Time | None
    settled_at: Time | None
    webhook: int | None
    play: int | None
    progress: float | None
    estimated: bool
    remote_id: str | None
    candidates: list[Any] | None


class Try(TypedDict):
    at: Time | None
    took_ms: int | None
    outcome: str
    reason: str | None
    exchanges: list[Any]


class DeliveryTrace(Delivery):
    tries: list[Try]


class DeliveryQuery(Paging):
    state: DeliveryState | None = None
    tracker: TrackerName | None = None
    person: Name | None = None


class RetryFilter(Filter):
    state: DeliveryState | None = None
    tracker: TrackerName | None = None
    person: Name | None = None


class Retried(TypedDict):
    retried: int
    delivery: DeliveryTrace


class RetriedCount(TypedDict):
    retried: int


class Dismissal(Body):
    ids: Annotated[list[Id], Field(max_length=MAX_PAGE_SIZE)] | None = None
    state: Literal["dead"] | None = None

    @model_validator(mode="after")
    def check_one(self) -> Self:
        if len(self.model_fields_set) != 1 or (self.ids is None) == (self.state is None):
            raise ValueError(
                f'The body must hold ids, at most {MAX_PAGE_SIZE} numbers of deliveries, or "state": "dead".'
            )
        return self


class Dismissed(TypedDict):
    dismissed: int


# --- webhooks


class Event(TypedDict):
    action: Action
    kind: Kind | None
    title: str | None
    show: str | None
    season: int | None
    number: int | None
    year: int | None
    ids: IdMap
    show_ids: IdMap
    position_ms: int | None
    duration_ms: int | None
    progress: float | None
    completed: bool | None
    rating: float | None
    at: Time | None
    user: str | None
    server: str | None
    player: str | None
    library: str | None
    person: str | None
    play: int | None
    deliveries: list[Delivery]
    how: NotRequired[str | None]
    stopped: NotRequired[str | None]


class Webhook(TypedDict):
    id: Id
    source: str
    state: WebhookState
    reason: str | None
    explanation: str | None
    received_at: Time | None
    interpreted_at: Time | None
    content_type: str | None
    events: list[Event]


class WebhookTrace(Webhook):
    raw: str | None


class WebhookFields(Query):
    state: WebhookState | None = None
    source: SourceName | None = None
    person: Name | None = None
    tracker: TrackerName | None = None
    text: Annotated[Text | None, Field(description="Looked for in titles.")] = None

    @property
    def filter(self) -> WebhookFilter:
        return WebhookFilter(
            state=self.state, source=self.source, person=self.person, tracker=self.tracker, text=self.text
        )


def webhook_filter(given: Mapping[str, str]) -> WebhookFilter:
    """Parse a filter of webhooks from a form or an address; raises Problem 400."""
    return validate(WebhookFields, {name: value for name, value in given.items() if value}, 400).filter


class WebhookQuery(WebhookFields, Paging):
    pass


class ReplayFilter(WebhookFields, Filter):
    pass


class ReplayQuery(Query):
    dry_run: Flag = False


class Rehearsal(TypedDict):
    webhook: Id
    state: WebhookState
    reason: str | None
    deliveries: list[dict[str, Any]]


class Replayed(TypedDict):
    replayed: int
    webhook: WebhookTrace
    dry_run: NotRequired[bool]
    would: NotRequired[Rehearsal | None]


class ReplayedCount(TypedDict):
    replayed: int


class RedactedWebhook(TypedDict):
    webhook: Id
    source: str
    content_type: str | None
    payload: Any


class Url(TypedDict):
    source: str
    label: str
    token: Id
    token_name: str | None
    url: str
    steps: list[str]
    template: str | None
