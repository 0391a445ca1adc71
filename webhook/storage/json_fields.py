"""Types of fields in the API's JSON objects, with their formats for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from webhook.domain.event import Action, Kind
from webhook.domain.states import DeliveryState, WebhookState

MAX_ID = 2**63 - 1


def one_of(words: Iterable[str]) -> WithJsonSchema:
    """Documents a text as one of these words; it does not validate."""
    return WithJsonSchema({"enum": [*words]})


ANY_LIST = WithJsonSchema({"type": "array", "items": {}})
ANY_OBJECT = WithJsonSchema({"type": "object", "additionalProperties": True})
"""Document what earlier versions stored in other shapes, or what needs no description field by field."""

Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Count = Annotated[int, Field(ge=0)]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
ActionWord = Annotated[str, one_of(Action)]
KindWord = Annotated[str, one_of(Kind)]
WebhookStateWord = Annotated[str, one_of(WebhookState)]
DeliveryStateWord = Annotated[str, one_of(DeliveryState)]
PictureKey = Annotated[
    str | None, Field(description="The key of its poster and backdrop; null where nothing names it.")
]


class ItemFields(TypedDict):
    """The fields that name an item."""

    kind: KindWord
    title: str | None
    show: str | None
    season: int | None
    number: int | None
    year: int | None
