"""The commands for the household: household add, list, remove."""

from __future__ import annotations

from typing import Annotated

import typer

from webhook import clock
from webhook.cli._common import Json, Words, opened, say, tabled
from webhook.people import household

household_app = typer.Typer(no_args_is_help=True, help="Players and libraries that several people share.")


@household_app.command("add")
def household_add(
    names: Annotated[list[str], typer.Argument(metavar="PERSON...", help="For whom it counts.")],
    player: Words = None,
    library: Words = None,
    as_json: Json = False,
) -> None:
    """Let what somebody here plays on these players, of these libraries, count for all of these people."""
    players, libraries = player or [], library or []
    with opened() as at:
        made = at.database.do(
            lambda connection: household.add_rule(connection, players, libraries, names, clock.now())
        )
    shown = {"id": made, "players": players, "libraries": libraries, "people": names}
    where = f" on {' or '.join(players)}" if players else ""
    where += f" of {' or '.join(libraries)}" if libraries else ""
    counts = f"What plays{where} counts for {' and '.join(names)} from now on"
    say(as_json, shown, f"{counts}. To take that back: watchmark household remove {made}")


@household_app.command("list")
def household_list(as_json: Json = False) -> None:
    """The rules there are."""
    with opened() as at:
        rules = at.database.ask(household.list_rules)
    if as_json:
        say(True, {"household": rules})
        return
    rows = [
        (
            rule["id"],
            ", ".join(rule["players"]) or "any",
            ", ".join(rule["libraries"]) or "any",
            ", ".join(rule["people"]),
        )
        for rule in rules
    ]
    tabled(("id", "players", "libraries", "counts for"), rows, "What plays counts for whoever plays it.")


@household_app.command("remove")
def household_remove(
    number: Annotated[int, typer.Argument(metavar="ID", help="By number.")], as_json: Json = False
) -> None:
    """Take a rule back; the plays that it made stay."""
    with opened() as at:
        at.database.do(lambda connection: household.remove_rule(connection, number))
    say(as_json, {"id": number, "removed": True}, f"Household rule {number} is removed; its plays stay.")
