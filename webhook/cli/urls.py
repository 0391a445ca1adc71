"""The command urls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from sqlalchemy import Connection, Row, select

from webhook import clock, sources
from webhook.accounts import sealed_secrets
from webhook.cli._common import Desk, Failed, Json, open_desk, say
from webhook.people import tokens
from webhook.storage.tables import person, token

if TYPE_CHECKING:
    from webhook.service import Service

app = typer.Typer()


@app.command()
def urls(
    template: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Print the template to paste into this media server.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the webhook addresses and setup steps for each media server."""
    if template is not None:
        text = template_of(template)
        say(as_json, {"source": template, "template": text}, text)
        return
    with open_desk() as at:
        found = webhook_urls(at, at.settings.address)
        if not found:
            raise Failed("There is no webhook token to show. Create one: watchmark token new --kind webhook")
        hidden = hidden_tokens(at)
    say(as_json, found, *(line for about in found.values() for line in steps(about)), *hidden)


def template_of(name: str) -> str:
    source: Any = sources.modules().get(name)
    if source is None or not hasattr(source, "template"):
        there = ", ".join(known for known, one in sources.modules().items() if hasattr(one, "template"))
        raise Failed(f"There is no template for {name}. Templates exist for {there}.")
    return str(source.template())


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


def steps(about: Mapping[str, Any]) -> Iterator[str]:
    yield about["label"]
    for entry in about["urls"]:
        named = ", ".join(filter(None, (entry["name"], entry["person"] and f"for {entry['person']}")))
        yield f"  {entry['url']}" + (f"   ({named})" if len(about["urls"]) > 1 and named else "")
    yield from (f"  {number}. {step}" for number, step in enumerate(about["setup"], 1))
    if about["template"]:
        name = about["template"].rsplit("/", 1)[1]
        yield f"  Template: watchmark urls --template {name}, or {about['template']}"
    yield ""
