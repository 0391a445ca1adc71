"""The addresses to paste into senders, and the templates that go with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from sqlalchemy import Connection
from starlette.requests import Request
from typing_extensions import TypedDict

from webhook import clock, sources
from webhook.people import tokens
from webhook.service import Service
from webhook.settings import SettingsError
from webhook.storage.json_fields import Id
from webhook.web.http.sessions import base
from webhook.web.visible import Visitor


class Url(TypedDict):
    """A webhook address to paste into a sender."""

    source: str
    label: str
    token: Id
    token_name: str | None
    url: str
    steps: list[str]
    template: str | None


def addresses(connection: Connection, service: Service, visitor: Visitor, here: str) -> list[Url]:
    """The webhook addresses of each source, for every valid token that the visitor may see."""
    rows = [
        row
        for row in tokens.valid_tokens(connection, "webhook", clock.now())
        if visitor.is_admin or row.person_id == visitor.person_id
    ]
    return [
        {
            "source": name,
            "label": module.LABEL,
            "token": row.id,
            "token_name": row.name,
            "url": sources.address(here, name, secret),
            "steps": [step.format(url=sources.address(here, name, secret)) for step in module.SETUP],
            "template": template_for(name),
        }
        for row in rows
        if (secret := open_token(service, row.sealed)) is not None
        for name, module in sources.modules().items()
    ]


def open_token(service: Service, sealed: str) -> str | None:
    """The token's text, or None if it was sealed with a lost key."""
    try:
        return str(service.seal.open(sealed))
    except SettingsError:
        return None


def address_of(service: Service, request: Request) -> str:
    """The service's address: BASE_URL, or else the one of the request."""
    if service.settings.base_url:
        return service.settings.address
    host = request.headers.get("host")
    if not host:
        return service.settings.address
    return f"{request.scope['scheme']}://{host}{base(service.settings, request)}"


def template_for(source: str) -> str | None:
    """The template to paste into the sender, or None if the source is unknown or needs none."""
    module = sources.modules().get(source)
    written = getattr(module, "template", None)
    return None if written is None else cast(Callable[[], str], written)()
