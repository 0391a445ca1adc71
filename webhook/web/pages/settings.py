"""Settings: what can be set in the browser, tokens, a backup, and where everything lies. The owner's."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook.web import administration, views
from webhook.web.api.settings import download
from webhook.web.openapi import version
from webhook.web.pages._once import Once
from webhook.web.views import Visitor

LABELS = {
    "WATCHED_MARK": ("Watched mark", "percent"),
    "CATCH_UP_MINUTES": ("Catch-up", "minutes"),
    "SILENCE_DAYS": ("Silence", "days"),
    "RETENTION_DAYS": ("Webhooks are kept", "days"),
    "LOG_LEVEL": ("Log", ""),
}
"""What each setting is called, and its unit."""


class Settings(Once):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/settings", self.owners(self.settings)),
            Route("/settings", self.change(self.set, owner=True), methods=["POST"]),
            Route("/settings/backup", self.answers(self.backup, owner=True), methods=["POST"]),
        ]

    async def settings(self, request: Request, visitor: Visitor) -> Response:
        tokens, names = await self.database.read(
            lambda connection: (administration.tokens(connection, visitor), views.names(connection))
        )
        known = {
            "settings": [
                {**one, "shown": plainly(one["value"]), "usual": plainly(one["default"])}
                for one in administration.settings(self.service)
            ],
            "labels": LABELS,
            "tokens": tokens,
            "names": names,
            "about": administration.about(self.service),
            "program": version(),
            "reopens": self.service.reopen is not None,
        }
        return self.drawn(request, "settings.html", known, visitor)

    async def set(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        usual = {one["name"]: plainly(one["default"]) for one in administration.settings(self.service)}
        given = {name: fields[name].strip() for name in administration.OFFERED if name in fields}
        # What is as usual is not made here, so that a later version's default counts.
        chosen = {name: None if text in ("", usual[name]) else text for name, text in given.items()}
        await administration.set_settings(self.service, chosen)
        return "/settings?said=saved"

    async def backup(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        return await download(self.service)


def plainly(value: object) -> str:
    """A setting's value as a person writes it: 80, not 80.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)
