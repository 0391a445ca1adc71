"""Models of webhooks and deliveries in the API: filters and replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NotRequired, Self

from pydantic import Field, model_validator
from typing_extensions import TypedDict

from webhook import trackers
from webhook.queries.deliveries import DeliveryTraceJson
from webhook.queries.paging import MAX_PAGE_SIZE
from webhook.queries.rehearsal import RehearsalJson
from webhook.queries.webhook_filter import OUTCOMES, WebhookFilter
from webhook.queries.webhooks import WebhookTraceJson
from webhook.storage.json_fields import Id
from webhook.web.http.models import Body, Filter, Flag, Name, OneOf, Paging, Query, Text, validate
from webhook.web.visible import DELIVERY_STATES, WEBHOOK_STATES, source_names

WebhookState = Annotated[str, OneOf(lambda: WEBHOOK_STATES)]
DeliveryState = Annotated[str, OneOf(lambda: DELIVERY_STATES)]
Outcome = Annotated[str, OneOf(lambda: OUTCOMES)]
SourceName = Annotated[str, OneOf(source_names)]
TrackerName = Annotated[str, OneOf(trackers.modules)]


# --- deliveries


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
    delivery: DeliveryTraceJson


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


class WebhookFields(Query):
    outcome: Annotated[
        Outcome | None,
        Field(description="Whether it or a delivery of it waits, has failed or needs a person."),
    ] = None
    state: WebhookState | None = None
    reason: Annotated[Text | None, Field(description="Why it was ignored, as webhooks give it.")] = None
    source: SourceName | None = None
    person: Name | None = None
    tracker: TrackerName | None = None
    text: Annotated[Text | None, Field(description="Looked for in titles.")] = None

    @property
    def filter(self) -> WebhookFilter:
        return WebhookFilter(
            outcome=self.outcome,
            state=self.state,
            reason=self.reason,
            source=self.source,
            person=self.person,
            tracker=self.tracker,
            text=self.text,
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


class Replayed(TypedDict):
    replayed: int
    webhook: WebhookTraceJson
    dry_run: NotRequired[bool]
    would: NotRequired[RehearsalJson | None]


class ReplayedCount(TypedDict):
    replayed: int
