"""The settings page, for the owner: settings, tokens, backup and locations."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook.accounts import settings_store
from webhook.texts import texts
from webhook.web import visible
from webhook.web.docs.openapi import version
from webhook.web.http.errors import Problem
from webhook.web.http.once import Once
from webhook.web.people import actions as people_actions
from webhook.web.settings import actions
from webhook.web.settings.api import download
from webhook.web.settings.models import OFFERED
from webhook.web.visible import Visitor

LABELS = texts(
    {
        "WATCHED_MARK": ("Counts as watched from", "percent"),
        "CATCH_UP_MINUTES": ("Catch up every", "minutes"),
        "SILENCE_DAYS": ("Report silent servers after", "days"),
        "RETENTION_DAYS": ("Keep webhooks for", "days"),
        "LOG_LEVEL": ("Log level", ""),
    }
)
"""Each setting's label and unit."""


class Settings(Once):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/settings", self.owners(self.settings)),
            Route("/settings", self.answers(self.set, owner=True), methods=["POST"]),
            Route("/settings/backup", self.answers(self.backup, owner=True), methods=["POST"]),
        ]

    async def settings(self, request: Request, visitor: Visitor) -> Response:
        return await self.render_settings(request, visitor, {})

    async def render_settings(
        self, request: Request, visitor: Visitor, typed: Mapping[str, str], wrong: Problem | None = None
    ) -> Response:
        """Render the page; after an error with the typed values and the reason beside its fields."""
        tokens, names, unreadable = await self.database.read(
            lambda connection: (
                people_actions.list_tokens(connection, self.service.seal, visitor),
                visible.names(connection),
                settings_store.is_unreadable(connection, self.service.seal),
            )
        )
        why = None if wrong is None else wrong.detail
        known = {
            "settings": [
                {
                    **one,
                    "shown": typed.get(one["name"], plain_value(one["value"])),
                    "usual": plain_value(one["default"]),
                    "wrong": why if one["name"] in (why or "") else None,
                }
                for one in actions.list_settings(self.service)
            ],
            "labels": LABELS,
            "unreadable": unreadable,
            "tokens": tokens,
            "token_choices": people_actions.TOKEN_CHOICES,
            "names": names,
            "about": actions.describe_installation(self.service),
            "backups": await actions.describe_backups(self.service),
            "program": version(),
            "reopens": self.service.reopen is not None,
            "wrong": why,
        }
        return self.render(request, "settings.html", known, visitor, 200 if wrong is None else wrong.status)

    async def set(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        usual = {one["name"]: plain_value(one["default"]) for one in actions.list_settings(self.service)}
        given = {name: fields[name].strip() for name in OFFERED if name in fields}
        # Default values are not stored, so that a later version's default counts.
        chosen = {name: None if text in ("", usual[name]) else text for name, text in given.items()}
        try:
            await actions.set_settings(self.service, chosen)
        except Problem as problem:
            if problem.status != 422:
                raise
            return await self.render_settings(request, visitor, given, problem)
        return self.redirect_to(request, "/settings?said=saved")

    async def backup(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        return await download(self.service)


def plain_value(value: object) -> str:
    """A setting's value in plain notation: 80, not 80.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)
