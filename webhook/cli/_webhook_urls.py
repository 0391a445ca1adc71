"""The addresses of the webhook tokens, for the commands `urls` and `serve`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from sqlalchemy import Connection, select

from webhook import clock, sources
from webhook.cli._desk import Desk
from webhook.people import tokens
from webhook.storage.rows import fetch_all
from webhook.storage.tables import person, token

if TYPE_CHECKING:
    from webhook.service import Service


class WebhookToken(NamedTuple):
    """A valid token of webhooks, and the name of its person, if it has one."""

    id: int
    name: str | None
    person: str | None
    sealed: str
    expires_at: datetime | None


class TokenUrl(TypedDict):
    """The address for one token."""

    token: int
    name: str | None
    person: str | None
    url: str


class SourceUrls(TypedDict):
    """A source's addresses, the shared one first, and how to set it up."""

    label: str
    url: str
    urls: list[TokenUrl]
    template: str | None
    setup: list[str]


def webhook_urls(at: Desk | Service, address: str) -> dict[str, SourceUrls]:
    """The addresses of each source, the shared one first, with the setup steps.

    Empty if no token can be shown.
    """
    tokens = [row for row in at.database.ask(webhook_tokens) if at.seal.opens(row.sealed)]
    if not tokens:
        return {}
    secret_of = {row.id: str(at.seal.open(row.sealed)) for row in tokens}
    found: dict[str, SourceUrls] = {}
    for name, source in sources.modules().items():
        listed: list[TokenUrl] = [
            {
                "token": row.id,
                "name": row.name,
                "person": row.person,
                "url": sources.address(address, name, secret_of[row.id]),
            }
            for row in tokens
        ]
        template = f"{address}/api/v1/templates/{name}" if hasattr(source, "template") else None
        found[name] = {
            "label": source.LABEL,
            "url": listed[0]["url"],
            "urls": listed,
            "template": template,
            "setup": [step.replace("{url}", listed[0]["url"]) for step in source.SETUP],
        }
    return found


def hidden_tokens(at: Desk) -> list[str]:
    """A line for each valid token that can no longer be shown."""
    rows = [row for row in at.database.ask(webhook_tokens) if not at.seal.opens(row.sealed)]
    if not rows:
        return []
    from webhook.accounts import sealed_secrets

    return [f"Webhook token {row.id}: {sealed_secrets.TOKEN_MEND.format(id=row.id)}" for row in rows]


def webhook_tokens(connection: Connection) -> list[WebhookToken]:
    wanted = (
        select(token.c.id, token.c.name, person.c.name.label("person"), token.c.sealed, token.c.expires_at)
        .join(person, token.c.person_id == person.c.id, isouter=True)
        .where(token.c.kind == "webhook", token.c.revoked_at.is_(None))
        .order_by(token.c.person_id.is_not(None), token.c.id)
    )
    now = clock.now()
    rows = fetch_all(connection, wanted, WebhookToken)
    return [row for row in rows if not tokens.has_expired(row.expires_at, now)]
