"""Needs you: one list of everything that waits for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from webhook import sources
from webhook.web import changes
from webhook.web.changes import write
from webhook.web.pages._page import Page
from webhook.web.shell import Problem
from webhook.web.views import Visitor


class NeedsYou(Page):
    def routes(self) -> list[BaseRoute]:
        return [Route("/claim", self.change(self.claim), methods=["POST"])]

    async def claim(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        if not visitor.everything:
            raise Problem(403, "Whose a user is, only the owner may say.")
        wanted = changes.identity_given(fields, sources.modules())
        name = fields.get("person", "")

        def changed(connection: Any) -> None:
            changes.somebody(connection, visitor, name)
            changes.claim(connection, name, wanted)

        await write(self.database, changed)
        self.service.interpreter.news.set()
        return "/?said=claimed"
