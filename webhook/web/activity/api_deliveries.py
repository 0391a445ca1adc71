"""The outbox: what each account was told, or is still to be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request

from webhook import trackers
from webhook.queries.deliveries import list_deliveries
from webhook.queries.paging import MAX_PAGE_SIZE
from webhook.web import actions as changes
from webhook.web import visible
from webhook.web.http.api import Answers, Table, filters, found_or
from webhook.web.http.errors import Problem
from webhook.web.http.params import Params, id_of, json_object, whole
from webhook.web.needs_you import queries as needs
from webhook.web.visible import DELIVERY_STATES, Visitor


class Deliveries(Answers):
    def table(self) -> Table:
        return [
            ("/deliveries", {"GET": self.deliveries}),
            ("/deliveries/retry", {"POST": self.retry_all}),
            ("/deliveries/dismiss", {"POST": self.dismiss}),
            ("/deliveries/{id}", {"GET": self.delivery}),
            ("/deliveries/{id}/retry", {"POST": self.retry}),
        ]

    async def deliveries(self, request: Request, visitor: Visitor) -> Any:
        params = Params(request.query_params)
        state, tracker = delivery_filters(params)
        name = await self.person(params, visitor)
        limit, after = params.limit(), params.after()
        return await self.database.read(
            lambda connection: list_deliveries(
                connection, limit=limit, after=after, state=state, tracker=tracker, person_name=name
            )
        )

    async def delivery(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        found = await self.database.read(lambda connection: visible.one_delivery(connection, visitor, wanted))
        return found_or(found, f"There is no delivery {wanted}.")

    async def retry(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        retried = await self.database.run(lambda connection: changes.retry(connection, visitor, wanted))
        self.service.interpreter.told.set()
        return {"retried": retried, "delivery": await self.delivery(request, visitor)}

    async def retry_all(self, request: Request, visitor: Visitor) -> Any:
        params = await filters(request, ("state", "tracker", "person"))
        state, tracker = delivery_filters(params)
        name = await self.person(params, visitor)
        retried = await self.database.run(
            lambda connection: changes.retry_all(connection, visitor, state, tracker, name)
        )
        self.service.interpreter.told.set()
        return {"retried": retried}

    async def dismiss(self, request: Request, visitor: Visitor) -> Any:
        ids = dismissed_given(await json_object(request))

        def dismissed(connection: Connection) -> int:
            which = needs.all_dead(connection, visitor) if ids is None else ids
            return changes.dismiss(connection, visitor, which)

        return {"dismissed": await self.database.run(dismissed)}


def delivery_filters(params: Params) -> tuple[str | None, str | None]:
    return params.choice("state", DELIVERY_STATES), params.choice("tracker", trackers.modules())


def dismissed_given(given: Mapping[str, Any]) -> list[int] | None:
    """The deliveries in a body, or None for all that are dead; raises Problem."""
    if given == {"state": "dead"}:
        return None
    ids = given.get("ids")
    fine = given.keys() == {"ids"} and isinstance(ids, list) and len(ids) <= MAX_PAGE_SIZE
    if not fine or not all(type(one) is int and whole(str(one)) for one in ids or ()):
        raise Problem(
            422, f'The body must hold ids, at most {MAX_PAGE_SIZE} numbers of deliveries, or "state": "dead".'
        )
    return list(ids or ())
