"""The command urls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webhook import sources
from webhook.cli import import_lean
from webhook.cli._common import Failed, Json, say

if TYPE_CHECKING:
    from webhook.cli._webhook_urls import SourceUrls

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
    with import_lean():
        from webhook.cli._desk import open_desk
        from webhook.cli._webhook_urls import hidden_tokens, webhook_urls

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


def steps(about: SourceUrls) -> Iterator[str]:
    yield about["label"]
    for entry in about["urls"]:
        named = ", ".join(filter(None, (entry["name"], entry["person"] and f"for {entry['person']}")))
        yield f"  {entry['url']}" + (f"   ({named})" if len(about["urls"]) > 1 and named else "")
    yield from (f"  {number}. {step}" for number, step in enumerate(about["setup"], 1))
    if about["template"]:
        name = about["template"].rsplit("/", 1)[1]
        yield f"  Template: watchmark urls --template {name}, or {about['template']}"
    yield ""
