"""The command for notices: notify."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from webhook.cli._common import Failed, Json, counted, opened, say
from webhook.maintenance import notifications

app = typer.Typer()


@app.command()
def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a notice to every address.")] = False,
    as_json: Json = False,
) -> None:
    """Where notices go. With --test one is sent now; the end is 1 when it does not arrive everywhere."""
    with opened() as at:
        settings = at.settings
    count = notifications.check(settings)
    if not count:
        raise Failed("NOTIFY_URLS is not set, so there is nobody to notify.")
    failed = asyncio.run(notifications.Notifier(settings).send(notifications.example())) if test else None
    if failed is not None:
        raise Failed(f"The notice was not sent: {failed}.")
    where = counted(count, "address")
    shown = {"addresses": count, "sent": test}
    say(as_json, shown, f"A notice was sent to {where}." if test else f"Notices go to {where}.")
