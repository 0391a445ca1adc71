"""API of the outbox: deliveries, retries, and dismissals from the list of what needs a person."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from webhook.people.scopes import Scope
from webhook.queries import deliveries
from webhook.queries.deliveries import DeliveryJson, DeliveryTraceJson
from webhook.queries.paging import Page
from webhook.web import actions, visible
from webhook.web.activity.models import (
    DeliveryQuery,
    Dismissal,
    Dismissed,
    Retried,
    RetriedCount,
    RetryFilter,
)
from webhook.web.http.api import found_or
from webhook.web.http.operations import Call, Operation
from webhook.web.needs_you import queries as needs


async def list_deliveries(call: Call[None, DeliveryQuery]) -> Page[DeliveryJson]:
    """Deliveries, newest first."""
    query = call.query
    name = await call.person_filter(query.person)
    return await call.read(
        lambda connection: deliveries.list_deliveries(
            connection,
            limit=query.limit,
            after=query.after,
            state=query.state,
            tracker=query.tracker,
            person_name=name,
        )
    )


async def get_delivery(call: Call[None, None]) -> DeliveryTraceJson:
    """One delivery with its attempts."""
    wanted = call.id
    found = await call.read(lambda connection: visible.one_delivery(connection, call.visitor, wanted))
    return found_or(found, f"Delivery {wanted} was not found.")


async def retry(call: Call[None, None]) -> Retried:
    """Retry a delivery."""
    wanted = call.id
    retried = await call.write(lambda connection: actions.retry(connection, call.visitor, wanted))
    call.service.interpreter.told.set()
    return {"retried": retried, "delivery": await get_delivery(call)}


async def retry_many(call: Call[None, RetryFilter]) -> RetriedCount:
    """Retry many deliveries, by default all that are unmatched, parked or dead."""
    query = call.query
    name = await call.person_filter(query.person)
    retried = await call.write(
        lambda connection: actions.retry_all(connection, call.visitor, query.state, query.tracker, name)
    )
    call.service.interpreter.told.set()
    return {"retried": retried}


async def dismiss(call: Call[Dismissal, None]) -> Dismissed:
    """Dismiss dead or unmatched deliveries from the list of what needs a person; their states stay."""
    ids = call.body.ids

    def change(connection: Connection) -> int:
        which = needs.all_dead(connection, call.visitor) if ids is None else ids
        return actions.dismiss(connection, call.visitor, which)

    return {"dismissed": await call.write(change)}


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation("GET", "/deliveries", list_deliveries, Scope.READ, query=DeliveryQuery),
    Operation(
        "POST", "/deliveries/retry", retry_many, Scope.HISTORY_WRITE, query=RetryFilter, body_as_query=True
    ),
    Operation("POST", "/deliveries/dismiss", dismiss, Scope.HISTORY_WRITE, body=Dismissal),
    Operation("GET", "/deliveries/{id}", get_delivery, Scope.READ),
    Operation("POST", "/deliveries/{id}/retry", retry, Scope.HISTORY_WRITE),
)
