"""The inbox and its addresses: what came, what became of it, and how to send."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from webhook import trackers
from webhook.queries.rehearsal import rehearse_webhooks
from webhook.web import actions as changes
from webhook.web import visible
from webhook.web.http.addresses import address_of, addresses, template_for
from webhook.web.http.api import Answers, Table, filters, found_or
from webhook.web.http.errors import Problem
from webhook.web.http.params import Params, id_of
from webhook.web.visible import WEBHOOK_STATES, Visitor, WebhookFilter, source_names

WEBHOOK_FILTERS = ("state", "source", "person", "tracker", "text")


class Webhooks(Answers):
    def table(self) -> Table:
        return [
            ("/webhooks", {"GET": self.webhooks}),
            ("/webhooks/replay", {"POST": self.replay_all}),
            ("/webhooks/{id}", {"GET": self.webhook}),
            ("/webhooks/{id}/replay", {"POST": self.replay}),
            ("/webhooks/{id}/redacted", {"GET": self.redacted}),
            ("/urls", {"GET": self.urls}),
        ]

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/v1/templates/{source}", self.template), *super().routes()]

    async def webhooks(self, request: Request, visitor: Visitor) -> Any:
        params = Params(request.query_params)
        limit, after = params.limit(), params.after()
        wanted = webhook_filters(params)
        return await self.database.read(
            lambda connection: visible.webhooks(connection, visitor, limit=limit, after=after, wanted=wanted)
        )

    async def webhook(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        found = await self.database.read(lambda connection: visible.one_webhook(connection, visitor, wanted))
        return found_or(found, f"There is no webhook {wanted}.")

    async def replay(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        if Params(request.query_params).choice("dry_run", ("true", "false")) == "true":
            return await self.rehearsed(visitor, wanted)
        replayed = await self.database.run(lambda connection: changes.replay(connection, visitor, wanted))
        self.service.interpreter.news.set()
        return {"replayed": replayed, "webhook": await self.webhook(request, visitor)}

    async def rehearsed(self, visitor: Visitor, wanted: int) -> Any:
        """What a replay would come to; nothing is changed."""
        entry = await self.database.read(lambda connection: visible.one_webhook(connection, visitor, wanted))
        if found_or(entry, f"There is no webhook {wanted}.")["raw"] is None:
            raise Problem(
                409, "Its raw body was pruned after RETENTION_DAYS, so it cannot be interpreted again."
            )
        interpret = self.service.interpreter.one
        would = await asyncio.to_thread(rehearse_webhooks, self.database, interpret, [wanted])
        told = would[0] if would else None
        if told is not None and visitor.restricted_to is not None:
            told["deliveries"] = [one for one in told["deliveries"] if one["person"] == visitor.restricted_to]
        return {"replayed": 0, "dry_run": True, "would": told, "webhook": entry}

    async def replay_all(self, request: Request, visitor: Visitor) -> Any:
        wanted = webhook_filters(await filters(request, WEBHOOK_FILTERS))
        if wanted == WebhookFilter():
            raise Problem(400, f"{' or '.join(WEBHOOK_FILTERS)} must say which webhooks are meant.")
        replayed = await self.database.run(lambda connection: changes.replay_all(connection, visitor, wanted))
        self.service.interpreter.news.set()
        return {"replayed": replayed}

    async def redacted(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        return await self.database.read(
            lambda connection: changes.copy_for_report(connection, visitor, wanted)
        )

    # --- the addresses to paste

    async def urls(self, request: Request, visitor: Visitor) -> Any:
        here = address_of(self.service, request)
        return await self.listed(lambda connection: addresses(connection, self.service, visitor, here))

    async def template(self, request: Request) -> Response:
        text = template_for(request.path_params["source"])
        if text is None:
            raise Problem(404, "There is no such source, or it needs no template.")
        return PlainTextResponse(text)


def webhook_filters(params: Params) -> WebhookFilter:
    return WebhookFilter(
        state=params.choice("state", WEBHOOK_STATES),
        source=params.choice("source", source_names()),
        person=params.text("person"),
        tracker=params.choice("tracker", trackers.modules()),
        text=params.text("text"),
    )
