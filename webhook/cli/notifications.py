"""The command for notices: notify."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from webhook.cli._common import (
    Failed,
    Json,
    count_of,
    say,
)
from webhook.cli._desk import (
    open_desk,
)
from webhook.maintenance import notifications

app = typer.Typer()


@app.command()
def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a test to every address.")] = False,
    as_json: Json = False,
) -> None:
    """Show where notifications are sent. With --test, send one now; exits with 1 if one address fails."""
    with open_desk() as at:
        settings = at.settings
    count = notifications.count_addresses(settings)
    if not count:
        raise Failed("NOTIFY_URLS is not set, so no notifications are sent.")
    failed = (
        asyncio.run(notifications.Notifier(settings).send(notifications.example_notice())) if test else None
    )
    if failed is not None:
        raise Failed(f"The notification was not sent: {failed}.")
    where = count_of(count, "address")
    shown = {"addresses": count, "sent": test}
    say(
        as_json,
        shown,
        f"A notification was sent to {where}." if test else f"Notifications are sent to {where}.",
    )
