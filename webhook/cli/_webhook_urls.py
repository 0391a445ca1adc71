"""The addresses of the webhook tokens, for the commands `urls` and `serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, select

from webhook import clock, sources
from webhook.accounts import sealed_secrets
from webhook.cli._desk import Desk
from webhook.people import tokens
from webhook.storage.tables import person, token

if TYPE_CHECKING:
    from webhook.service import Service


def webhook_urls(at: Desk | Service, address: str) -> dict[str, Any]:
    """The addresses of each source, the shared one first, with the setup steps.

    Empty if no token can be shown.
    """
    tokens = [row for row in at.database.ask(webhook_tokens) if at.seal.opens(row.sealed)]
    if not tokens:
        return {}
    secret_of = {row.id: str(at.seal.open(row.sealed)) for row in tokens}
    found = {}
    for name, source in sources.modules().items():
        listed = [
            {
                "token": row.id,
                "name": row.name,
                "person": row.person,
                "url": sources.address(address, name, secret_of[row.id]),
            }
            for row in tokens
        ]
        template = f"{address}/api/v1/templates/{name}" if hasattr(source, "template") else None
        found[name] = {"label": source.LABEL, "url": listed[0]["url"], "urls": listed, "template": template}
        found[name]["setup"] = [step.replace("{url}", str(listed[0]["url"])) for step in source.SETUP]
    return found


def hidden_tokens(at: Desk) -> list[str]:
    """A line for each valid token that can no longer be shown."""
    rows = [row for row in at.database.ask(webhook_tokens) if not at.seal.opens(row.sealed)]
    return [f"Webhook token {row.id}: {sealed_secrets.TOKEN_MEND.format(id=row.id)}" for row in rows]


def webhook_tokens(connection: Connection) -> list[Row[Any]]:
    wanted = (
        select(token, person.c.name.label("person"))
        .join(person, token.c.person_id == person.c.id, isouter=True)
        .where(token.c.kind == "webhook", token.c.revoked_at.is_(None))
        .order_by(token.c.person_id.is_not(None), token.c.id)
    )
    now = clock.now()
    return [row for row in connection.execute(wanted) if not tokens.has_expired(row.expires_at, now)]
