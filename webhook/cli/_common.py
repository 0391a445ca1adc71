"""Shared parts of the commands: options, input and output."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from webhook.domain.event import Kind

if TYPE_CHECKING:
    from webhook.domain.json_shapes import ListsJson
    from webhook.trackers import DeviceCode

Json = Annotated[bool, typer.Option("--json", help="Print JSON only.")]
Whose = Annotated[str | None, typer.Option("--person", help="The person; optional if there is only one.")]
Which = Annotated[str, typer.Argument(metavar="TRACKER", help="Name of a tracker, such as trakt or tvtime.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a person.")]
Spelled = Annotated[
    str, typer.Argument(metavar="SOURCE:USER", help="A media server user, such as plex:Anna.")
]
Numbers = Annotated[list[int] | None, typer.Argument(metavar="ID...", help="One or more IDs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done without doing it.")]
Everything = Annotated[bool, typer.Option("--all", help="Select all.")]
OnlyLibraries = Annotated[list[str] | None, typer.Option(help="Only this library; repeat for several.")]
NeverLibraries = Annotated[list[str] | None, typer.Option(help="Never this library; repeat for several.")]
OnlyPlayers = Annotated[list[str] | None, typer.Option(help="Only this player; repeat for several.")]
NeverPlayers = Annotated[list[str] | None, typer.Option(help="Never this player; repeat for several.")]
OnlyKinds = Annotated[list[Kind] | None, typer.Option(help="Only this kind; repeat for several.")]


def given_lists(
    libraries: list[str] | None,
    not_libraries: list[str] | None,
    players: list[str] | None,
    not_players: list[str] | None,
    kinds: list[Kind] | None,
) -> ListsJson:
    """The lists that were given as options."""
    given: ListsJson = {}
    if libraries is not None:
        given["libraries"] = libraries
    if not_libraries is not None:
        given["not_libraries"] = not_libraries
    if players is not None:
        given["players"] = players
    if not_players is not None:
        given["not_players"] = not_players
    if kinds is not None:
        given["kinds"] = [one.value for one in kinds]
    return given


# --- what goes wrong


class Failed(Exception):
    """A failed command; the message is for the person."""


# --- how it is asked and said


def read_input(*prompts: str) -> list[str]:
    """A line of standard input for each prompt; on a terminal it is asked for, the last without echo."""
    if sys.stdin.isatty():
        *plainly, last = prompts
        given = [typer.prompt(prompt.rstrip(": "), err=True) for prompt in plainly] + [getpass.getpass(last)]
    else:
        given = [sys.stdin.readline().rstrip("\r\n") for _ in prompts]
    if not all(given):
        wanted = " and then the ".join(prompt.rstrip(": ").lower() for prompt in prompts)
        raise Failed(f"No input. Write the {wanted} to standard input, each on its own line.")
    return given


def parse_moment(option: str, text: str, zone: tzinfo) -> datetime:
    """Parse a typed date or time; one without an offset is in this zone."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as error:
        example = "a day or a time, such as 2026-10-01 or 2026-10-01T20:15"
        raise typer.BadParameter(f"“{text[:40]}” is not a date. Use {example}.", param_hint=option) from error
    return found if found.tzinfo else found.replace(tzinfo=zone)


def say(as_json: bool, value: Any, *lines: str) -> None:
    """The value for a script, or the lines for a person."""
    shown = [orjson.dumps(value).decode()] if as_json else [strip_control_characters(line) for line in lines]
    for line in shown:
        typer.echo(line)
    sys.stdout.flush()


def show_code(code: DeviceCode, as_json: bool) -> None:
    """Show the code of a sign-in, and where it is entered."""
    seconds = int(code.expires_in.total_seconds())
    user_code = code.user_code or None  # a web sign-in has no code, only the address
    value = {"user_code": user_code, "verification_url": code.url, "expires_in": seconds}
    text = f"Open {code.url} and " + (f"enter {user_code}" if user_code else "approve access")
    lasts = f"Waiting for your approval; the {'code' if user_code else 'page'} is valid for {seconds // 60} minutes …"
    say(as_json, {**value, "interval": int(code.interval.total_seconds())}, text, lasts)


def strip_control_characters(text: str) -> str:
    """Remove terminal control characters, since titles and names come from elsewhere."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "�" for letter in text)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    shown = [["" if cell is None else strip_control_characters(str(cell)) for cell in row] for row in rows]
    if not shown:
        typer.echo(empty)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in shown:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 200
    Console(width=width, markup=False, highlight=False, emoji=False).print(table)


def rule_line(name: str, value: bool | Sequence[str]) -> str:
    """A filter or a rule and its value, in words."""
    if isinstance(value, bool):
        said = "yes" if value else "no"
    else:
        said = ", ".join(value) or ("none" if name.startswith("not_") else "any")
    return f"{name.replace('_', ' ')}: {said}"


def count_of(number: int, one: str) -> str:
    return f"{number} {one if number == 1 else plural(one)}"


def plural(one: str) -> str:
    if one.endswith("y") and one[-2:-1] not in "aeiou":
        return f"{one[:-1]}ies"
    return f"{one}es" if one.endswith("s") else f"{one}s"
