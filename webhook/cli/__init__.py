"""The command `watchmark`: what a person, or a script, has Watchmark do.

A file is a group of commands, and is imported when one of them is used.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": ("serve", "Run the service: receive webhooks and send plays to trackers."),
    "work": ("serve", "Run a worker only: process and send what other machines receive."),
    "demo": (
        "serve",
        "Try Watchmark on an invented household with two years of history; no account needed.",
    ),
    "urls": ("urls", "Show the webhook addresses and setup steps for each media server."),
    "connect": ("accounts", "Connect a media server to listen to, or sign in to a tracker."),
    "disconnect": ("accounts", "Sign out of a tracker."),
    "trace": ("trace", "Show why a webhook was or was not sent on, from its receipt to every answer."),
    "replay": ("deliveries", "Process webhooks again, by ID or by filter."),
    "retry": (
        "deliveries",
        "Retry deliveries, by ID or by filter; without --state: unmatched, parked and dead ones.",
    ),
    "unmatched": ("matches", "List items that could not be identified, with suggestions."),
    "match": ("matches", "Identify an item; for an episode, its whole show."),
    "held": ("held", "List marks by hand that came in a flood, and decide whose they are."),
    "import": ("transfer", "Import history from a file, a media server or a tracker."),
    "export": (
        "transfer",
        "Export the history to a file, in Watchmark's format or another one.",
    ),
    "backfill": (
        "jobs",
        "Send a tracker the plays from the history that it is missing.",
    ),
    "catch-up": ("transfer", "Fetch plays that no webhook reported."),
    "jobs": ("jobs", "List imports and backfills with their progress."),
    "numbers": (
        "stats",
        "Show viewing statistics: time, films, episodes, streaks, hours and weekdays.",
    ),
    "doctor": ("doctor", "Check everything and say how to fix what is wrong."),
    "backup": ("backup", "Back up the database, whether the service is running or not."),
    "restore": ("backup", "Restore a backup, or what you watched on a media server."),
    "move-database": (
        "move_database",
        "Move everything to an empty database: from SQLite to PostgreSQL, or back.",
    ),
    "rekey": ("backup", "Encrypt all sign-ins, tokens and settings with a new key."),
    "notify": ("notifications", "Show where notifications are sent."),
    "token": ("tokens", "Manage tokens for webhooks, scripts and apps."),
    "people": ("people", "Manage people and the media server users they claim."),
    "apps": ("apps", "Manage apps that use the VideoScrobbler API."),
    "household": ("household", "Manage players and libraries that several people share."),
    "accounts": ("accounts", "Show connected accounts and whether they work."),
    "history": ("history", "List, add, edit and remove plays."),
    "library": ("history", "Show followed, rated, loved, owned and saved items."),
    "watchlist": ("watchlist", "Show and change the watchlist, and read it from services."),
}
"""The file of each command and its line in `watchmark --help`, in the order of that."""


PANELS: Mapping[str, tuple[str, ...]] = {
    "Run": ("serve", "work", "demo", "doctor"),
    "Connect": (
        "urls", "connect", "disconnect", "accounts", "people", "household", "apps", "token", "notify",
    ),
    "Follow a play": ("trace", "replay", "retry", "unmatched", "match", "held"),
    "Your history": (
        "history", "library", "watchlist", "numbers", "import", "export", "backfill", "catch-up", "jobs",
    ),
    "Keep it safe": ("backup", "restore", "move-database", "rekey"),
}  # fmt: skip
"""The groups of `watchmark --help`, each with its commands; every command is in one."""

PANEL_OF: Mapping[str, str] = {name: panel for panel, names in PANELS.items() for name in names}

OWN_WAYS = (typer.TyperException, typer.Exit, typer.Abort)
"""Messages of the command library."""


class Commands(TyperGroup):
    """Lazy command group: imports commands on use, and prints errors as one sentence with exit code 1."""

    lists = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in COMMANDS:
            return None
        if self.lists:
            return TyperCommand(name, help=COMMANDS[name][1], rich_help_panel=PANEL_OF.get(name))
        return load(name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with self.listing():
            super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        with self.listing():
            return super().shell_complete(ctx, incomplete)

    @contextmanager
    def listing(self) -> Iterator[None]:
        """Give each command by its line alone, so that none of their files is imported."""
        self.lists = True
        try:
            yield
        finally:
            self.lists = False

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except OWN_WAYS:
            raise
        except Exception as error:
            said = explain(error)
            if said is None:
                raise
            typer.echo(f"watchmark: {said}", err=True)
            raise typer.Exit(1) from error


DRAWING_PACKAGES = ("rich", "pygments")
"""What structlog and httpx load wherever it is installed, to color what nobody sees: 5 MiB and 80 ms of each start."""


SELDOM = 100_000
"""Objects after which a command looks for garbage: a short one never does, a long one keeps 10 MiB more."""


@contextmanager
def import_lean() -> Iterator[None]:
    """Import without the packages of `DRAWING_PACKAGES`, and without the garbage collector.

    Nothing that is imported is garbage: looking for some, then and at the end, is a third of the time.
    """
    loaded: dict[str, Any] = sys.modules
    absent = [name for name in DRAWING_PACKAGES if name not in loaded]
    loaded.update(dict.fromkeys(absent))
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.freeze()
            gc.enable()
        for name in absent:
            del loaded[name]


def explain(error: Exception) -> str | None:
    """The message for the person, or None if the output's reader is gone.

    What a command says itself needs nothing else of the program.
    """
    with import_lean():
        from webhook.cli._common import Failed, strip_control_characters

        if isinstance(error, Failed):
            return strip_control_characters(str(error))
        from webhook.cli import _errors
    return _errors.explain(error)


def load(name: str) -> Any:
    """The command or the group of that name."""
    with import_lean():
        module = importlib.import_module(f"webhook.cli.{COMMANDS[name][0]}")
    group: typer.Typer | None = getattr(module, f"{name}_app", None)
    if group is not None:
        return typer.main.get_group(group)
    return typer.main.get_group(module.app).commands[name]


app = typer.Typer(
    name="watchmark",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    gc.set_threshold(SELDOM)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would look for some in every package
    app()


def print_version(asked: bool) -> None:
    if asked:
        with import_lean():
            from webhook.client import version
        typer.echo(f"watchmark {version()}")
        raise typer.Exit


@app.callback()
def begin(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Record every play that Plex, Jellyfin or Emby reports, and send it to your trackers."""
    with import_lean():
        from webhook import logs
        from webhook import settings as environment

    debug = environment.environment().get("LOG_LEVEL", "").lower() == "debug"
    logs.configure("text", "debug" if debug else "warning")
