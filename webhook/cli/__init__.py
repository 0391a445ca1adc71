"""The command `watchmark`: what a person, or a script, has Watchmark do."""

from __future__ import annotations

import typer

from webhook import logs
from webhook import settings as environment
from webhook.cli import (
    accounts,
    apps,
    backup,
    deliveries,
    doctor,
    history,
    household,
    matches,
    notifications,
    people,
    serve,
    stats,
    tokens,
    trace,
    transfer,
    urls,
)
from webhook.cli._common import Plainly

app = typer.Typer(
    name="watchmark",
    cls=Plainly,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
# In the order in which `watchmark --help` shows them.
for commands in (
    serve,
    urls,
    accounts,
    trace,
    deliveries,
    matches,
    transfer,
    stats,
    doctor,
    backup,
    notifications,
):
    app.add_typer(commands.app)
app.add_typer(tokens.token_app, name="token")
app.add_typer(people.people_app, name="people")
app.add_typer(apps.apps_app, name="apps")
app.add_typer(household.household_app, name="household")
app.add_typer(accounts.accounts_app, name="accounts")
app.add_typer(history.history_app, name="history")
app.add_typer(history.library_app, name="library")


def main() -> None:
    app()


@app.callback()
def beginning() -> None:
    """Keeps every play your Plex, Jellyfin or Emby reports, and tells your trackers."""
    debug = environment.environment().get("LOG_LEVEL", "").lower() == "debug"
    logs.configure("text", "debug" if debug else "warning")
