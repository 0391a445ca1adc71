"""Pages of activity: every webhook with its outcome, and every delivery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import trackers
from webhook.domain.states import NEEDS_PERSON, WebhookState
from webhook.queries.deliveries import list_deliveries
from webhook.queries.webhook_filter import OUTCOMES, WebhookFilter
from webhook.web import actions as changes
from webhook.web import visible
from webhook.web.activity.models import webhook_filter
from webhook.web.http.errors import Problem
from webhook.web.http.page import Page, older
from webhook.web.http.params import Params, id_of
from webhook.web.visible import DELIVERY_STATES, WEBHOOK_STATES, Visitor, source_names

ROWS_PER_PAGE = 100
"""Webhooks or deliveries per page."""

MAX_BODY_SHOWN = 30_000
"""Maximum characters of a raw body on a page; the API has all of it."""


class Activity(Page):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/activity", self.page(self.webhooks)),
            Route("/activity/replay", self.change(self.replay_all), methods=["POST"]),
            Route("/webhooks", self.redirect_old_address),
            Route("/trace/{id}", self.page(self.trace)),
            Route("/trace/{id}/replay", self.change(self.replay), methods=["POST"]),
            Route("/deliveries", self.page(self.deliveries)),
            Route("/deliveries/retry", self.change(self.retry_all), methods=["POST"]),
            Route("/deliveries/{id}/retry", self.change(self.retry), methods=["POST"]),
        ]

    async def redirect_old_address(self, request: Request) -> Response:
        """Redirect the page's former address."""
        query = f"?{request.url.query}" if request.url.query else ""
        return self.redirect_to(request, f"/activity{query}")

    async def webhooks(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        wanted = webhook_filter(request.query_params)
        limit, after = min(params.limit(), ROWS_PER_PAGE), params.after()
        listed, names, reasons = await self.database.read(
            lambda connection: (
                visible.webhooks(connection, visitor, limit=limit, after=after, wanted=wanted),
                visible.names(connection) if visitor.is_admin else [],
                visible.ignored_reasons(connection, visitor) if wanted.state == WebhookState.IGNORED else [],
            )
        )
        chosen = asdict(wanted)
        known = {
            "chosen": chosen,
            "detailed": any(chosen[name] for name in ("text", "source", "person", "tracker"))
            or wanted.state not in (None, WebhookState.IGNORED),
            "outcomes": OUTCOMES,
            "reasons": reasons,
            "states": WEBHOOK_STATES,
            "sources": source_names(),
            "trackers": trackers.modules(),
            "names": names,
            "webhooks": listed["items"],
            "older": older(chosen, listed),
            "after": after,
        }
        return self.render(request, "activity.html", known, visitor)

    async def trace(self, request: Request, visitor: Visitor) -> Response:
        wanted = id_of(request)

        def read(connection: Connection) -> tuple[Any, Any, str | None]:
            entry = visible.one_webhook(connection, visitor, wanted)
            if entry is None:
                return None, None, None
            return entry, visible.plays_of_webhook(connection, entry), report(connection, visitor, wanted)

        entry, plays, copied = await self.database.read(read)
        if entry is None:
            raise Problem(404, f"Webhook {wanted} was not found.")
        known = {
            "webhook": entry,
            "plays": plays,
            "readings": visible.readings(entry),
            "viewers": visible.viewers(entry),
            "report": copied,
            "shown": MAX_BODY_SHOWN,
        }
        return self.render(request, "trace.html", known, visitor)

    async def deliveries(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        chosen = self.delivery_filters(params)
        limit, after = min(params.limit(), ROWS_PER_PAGE), params.after()
        name = visitor.restricted_to or chosen["person"]
        listed, counts, names = await self.database.read(
            lambda connection: (
                list_deliveries(
                    connection,
                    limit=limit,
                    after=after,
                    state=chosen["state"],
                    tracker=chosen["tracker"],
                    person_name=name,
                ),
                visible.counts(connection, visitor),
                visible.names(connection) if visitor.is_admin else [],
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
            "stuck": NEEDS_PERSON,
        }
        return self.render(request, "deliveries.html", {**known, **choices}, visitor)

    @staticmethod
    def delivery_filters(params: Params) -> dict[str, str | None]:
        return {
            "state": params.choice("state", DELIVERY_STATES),
            "tracker": params.choice("tracker", trackers.modules()),
            "person": params.text("person"),
        }

    async def replay(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = id_of(request)
        count = await self.database.run(lambda connection: changes.replay(connection, visitor, wanted))
        self.service.interpreter.news.set()
        return f"/trace/{wanted}?said={'replayed' if count else 'nothing'}"

    async def replay_all(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = webhook_filter(fields)
        if wanted == WebhookFilter():
            raise Problem(400, "First filter the webhooks by state, source, person, tracker or title.")
        count = await self.database.run(lambda connection: changes.replay_all(connection, visitor, wanted))
        self.service.interpreter.news.set()
        return self.back(request, fields, f"replayed-{count}")

    async def retry(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = id_of(request)
        count = await self.database.run(lambda connection: changes.retry(connection, visitor, wanted))
        self.service.interpreter.told.set()
        return self.back(request, fields, "retried" if count else "nothing")

    async def retry_all(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        chosen = self.delivery_filters(Params(fields))
        count = await self.database.run(
            lambda connection: changes.retry_all(
                connection, visitor, chosen["state"], chosen["tracker"], chosen["person"]
            ),
        )
        self.service.interpreter.told.set()
        if fields.get("back"):
            return self.back(request, fields, f"retried-{count}")
        return f"/deliveries?said=retried-{count}"


def report(connection: Connection, visitor: Visitor, webhook_id: int) -> str | None:
    """A webhook's bug report as JSON; None if there is none or it is too long for a page."""
    try:
        found = changes.copy_for_report(connection, visitor, webhook_id)
    except Problem:
        return None
    text = orjson.dumps(found, option=orjson.OPT_INDENT_2).decode()
    return text if len(text) <= MAX_BODY_SHOWN else None
