"""The command `watchmark`: what a person, or a script, has Watchmark do.

A file is a group of commands, and is imported when one of them is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": ("serve", "Bring the database up to date, then receive and deliver."),
    "work": ("serve", "Only interpret and deliver, beside receivers on other machines."),
    "demo": (
        "serve",
        "Everything on loopback with fake trackers and a scripted evening, to look around without an account.",
    ),
    "urls": ("urls", "The webhook addresses to paste, and the steps, for each source."),
    "connect": ("accounts", "Sign a person in to a tracker."),
    "disconnect": ("accounts", "Give up a sign-in."),
    "trace": ("trace", "Why was, or was not, this told: a webhook from its receipt to every answer."),
    "replay": ("deliveries", "Interpret webhooks again, by number or by what they are."),
    "retry": (
        "deliveries",
        "Try deliveries again, by number or by what they are; without --state: unmatched, parked and dead.",
    ),
    "unmatched": ("matches", "What waits for your choice: why, and what it could be."),
    "match": ("matches", "Say what an item is: for an episode the whole show."),
    "import": ("transfer", "Bring history in: from a file, or once from a media server or a tracker."),
    "export": (
        "transfer",
        "Write the history as a file: in Watchmark's own format, or in one that others read.",
    ),
    "backfill": (
        "transfer",
        "Fill a tracker's account from the history with what it lacks, and only that.",
    ),
    "catch-up": ("transfer", "Ask the media servers what the webhooks missed."),
    "jobs": ("transfer", "The imports and backfills: what each has done, and which are under way."),
    "numbers": (
        "stats",
        "What a person has watched, ever or in a year: time, films, episodes, streaks, hours and weekdays.",
    ),
    "doctor": ("doctor", "Look at everything and say what to do."),
    "backup": ("backup", "Write a consistent copy of the database, whether the service runs or not."),
    "restore": ("backup", "Put a backup in the database's place."),
    "rekey": ("backup", "Seal all sign-ins, tokens and settings with a new key."),
    "notify": ("notifications", "Where notices go."),
    "token": ("tokens", "The tokens that let webhooks and scripts in."),
    "people": ("people", "People, and the identities they claim."),
    "apps": ("apps", "The programs that use the VideoScrobbler API."),
    "household": ("household", "Players and libraries that several people share."),
    "accounts": ("accounts", "What is connected, and whether it works."),
    "history": ("history", "What was watched: look at it, and put it right."),
    "library": ("history", "What is followed, rated, loved, owned or kept for later."),
}
"""The file of each command and its line in `watchmark --help`, in the order of that."""


OWN_WAYS = (typer.TyperException, typer.Exit, typer.Abort)
"""What the library of commands says by itself."""


class Commands(TyperGroup):
    """Imports what is asked for, and says in a sentence what went wrong, ending with 1."""

    lists = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in COMMANDS:
            return None
        return TyperCommand(name, help=COMMANDS[name][1]) if self.lists else load(name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.lists = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.lists = False

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except OWN_WAYS:
            raise
        except Exception as error:
            from webhook.cli._errors import explain

            said = explain(error)
            if said is None:
                raise
            typer.echo(f"watchmark: {said}", err=True)
            raise typer.Exit(1) from error


def load(name: str) -> Any:
    """The command or the group of that name."""
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
    add_completion=False,
)


def main() -> None:
    app()


@app.callback()
def begin() -> None:
    """Keeps every play your Plex, Jellyfin or Emby reports, and tells your trackers."""
    from webhook import logs
    from webhook import settings as environment

    debug = environment.environment().get("LOG_LEVEL", "").lower() == "debug"
    logs.configure("text", "debug" if debug else "warning")
