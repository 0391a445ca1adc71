"""The outbox."""

from __future__ import annotations

from webhook import trackers
from webhook.queries.paging import MAX_PAGE_SIZE
from webhook.web.http.schema import (
    BY_ID,
    DELIVERY,
    ID,
    NUMBER,
    PERSON,
    TEXT,
    TEXTUAL,
    TIME,
    Schema,
    choice,
    listed,
    many,
    operation,
    paging,
    ref,
    thing,
)
from webhook.web.visible import DELIVERY_STATES

TRY = thing(at=TIME, took_ms=NUMBER, outcome=TEXTUAL, reason=TEXT, exchanges={"type": "array"})


def schemas() -> dict[str, Schema]:
    return {
        "Delivery": thing(**DELIVERY),
        "DeliveryTrace": thing(**DELIVERY, tries=many(TRY)),
    }


def paths() -> dict[str, dict[str, Schema]]:
    delivery_state, tracker = choice("state", [*DELIVERY_STATES]), choice("tracker", [*trackers.modules()])
    number: Schema = {"type": "integer"}
    which: Schema = {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {
            "ids": {"type": "array", "items": ID, "maxItems": MAX_PAGE_SIZE},
            "state": {"enum": ["dead"]},
        },
    }
    return {
        "/deliveries": {
            "get": operation(
                "The outbox, newest first",
                listed(ref("Delivery")),
                [delivery_state, tracker, PERSON, *paging()],
            )
        },
        "/deliveries/{id}": {"get": operation("One delivery with its tries", ref("DeliveryTrace"), BY_ID)},
        "/deliveries/{id}/retry": {
            "post": operation("Try it again", thing(retried=number, delivery=ref("DeliveryTrace")), BY_ID)
        },
        "/deliveries/retry": {
            "post": operation(
                "Try many again: by default all that are unmatched, parked or dead",
                thing(retried=number),
                [delivery_state, tracker, PERSON],
            )
        },
        "/deliveries/dismiss": {
            "post": operation(
                "Take dead or unmatched deliveries off the list of what needs a person; they stay what they are",
                thing(dismissed=number),
                body=which,
            )
        },
    }
