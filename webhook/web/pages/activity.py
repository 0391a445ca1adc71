"""Activity: every webhook with what became of it, and every delivery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import sources, trace, trackers
from webhook.web import changes, views
from webhook.web.asked import Params, id_of
from webhook.web.changes import write
from webhook.web.pages._page import Page, older
from webhook.web.shell import Problem
from webhook.web.views import DELIVERY_STATES, STATES, STUCK, Visitor


class Activity(Page):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/activity", self.page(self.webhooks)),
            Route("/trace/{id}", self.page(self.trace)),
            Route("/trace/{id}/replay", self.change(self.replay), methods=["POST"]),
            Route("/deliveries", self.page(self.deliveries)),
            Route("/deliveries/retry", self.change(self.retry_all), methods=["POST"]),
            Route("/deliveries/{id}/retry", self.change(self.retry), methods=["POST"]),
        ]

    async def webhooks(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        chosen = {
            "state": params.choice("state", STATES),
            "source": params.choice("source", sources.modules()),
        }
        limit, after = params.limit(), params.after()
        listed = await self.database.read(
            lambda connection: views.webhooks(connection, visitor, limit=limit, after=after, **chosen)
        )
        known = {
            "chosen": chosen,
            "states": STATES,
            "sources": sources.modules(),
            "webhooks": listed["items"],
        }
        return self.drawn(request, "webhooks.html", {**known, "older": older(chosen, listed)}, visitor)

    async def trace(self, request: Request, visitor: Visitor) -> Response:
        wanted = id_of(request)

        def told(connection: Any) -> tuple[Any, Any]:
            entry = views.one_webhook(connection, visitor, wanted)
            return entry, entry and views.plays_of(connection, entry)

        entry, plays = await self.database.read(told)
        if entry is None:
            raise Problem(404, f"There is no webhook {wanted}.")
        module = sources.modules().get(entry["source"])
        label = module.LABEL if module else entry["source"]
        return self.drawn(request, "trace.html", {"webhook": entry, "plays": plays, "label": label}, visitor)

    async def deliveries(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        chosen = self.delivery_filters(params)
        limit, after = params.limit(), params.after()
        name = visitor.only or chosen["person"]
        listed, counts, names = await self.database.read(
            lambda connection: (
                trace.deliveries(
                    connection,
                    limit=limit,
                    after=after,
                    state=chosen["state"],
                    tracker=chosen["tracker"],
                    person_name=name,
                ),
                views.counts(connection, visitor),
                views.names(connection) if visitor.everything else [],
            )
        )
        known = {
            "deliveries": listed["items"],
            "older": older(chosen, listed),
            "counts": counts,
            "names": names,
        }
        choices = {
            "chosen": chosen,
            "states": DELIVERY_STATES,
            "trackers": trackers.modules(),
            "stuck": STUCK,
        }
        return self.drawn(request, "deliveries.html", {**known, **choices}, visitor)

    @staticmethod
    def delivery_filters(params: Params) -> dict[str, str | None]:
        return {
            "state": params.choice("state", DELIVERY_STATES),
            "tracker": params.choice("tracker", trackers.modules()),
            "person": params.text("person"),
        }

    async def replay(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = id_of(request)
        count = await write(self.database, lambda connection: changes.replay(connection, visitor, wanted))
        self.service.interpreter.news.set()
        return f"/trace/{wanted}?said={'replayed' if count else 'nothing'}"

    async def retry(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = id_of(request)
        count = await write(self.database, lambda connection: changes.retry(connection, visitor, wanted))
        self.service.interpreter.told.set()
        return self.back(request, fields, "retried" if count else "nothing")

    async def retry_all(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        chosen = self.delivery_filters(Params(fields))
        count = await write(
            self.database,
            lambda connection: changes.retry_all(
                connection, visitor, chosen["state"], chosen["tracker"], chosen["person"]
            ),
        )
        self.service.interpreter.told.set()
        return f"/deliveries?said=retried-{count}"
