"""The commands for the household: household add, list, remove."""

from __future__ import annotations

from typing import Annotated

import typer

from webhook import clock
from webhook.cli._common import (
    Json,
    OnlyLibraries,
    OnlyPlayers,
    print_table,
    say,
)
from webhook.cli._desk import (
    open_desk,
)
from webhook.people import household

household_app = typer.Typer(
    no_args_is_help=True, help="Manage players and libraries that several people share."
)


@household_app.command("add")
def household_add(
    names: Annotated[list[str], typer.Argument(metavar="PERSON...", help="Person it counts for.")],
    player: OnlyPlayers = None,
    library: OnlyLibraries = None,
    as_json: Json = False,
) -> None:
    """Let plays on these players or from these libraries count for all of these people."""
    players, libraries = player or [], library or []
    with open_desk() as at:
        made = at.database.do(
            lambda connection: household.add_rule(connection, players, libraries, names, clock.now())
        )
    shown = {"id": made, "players": players, "libraries": libraries, "people": names}
    where = f" on {' or '.join(players)}" if players else ""
    where += f" from {' or '.join(libraries)}" if libraries else ""
    counts = f"Plays{where} count for {' and '.join(names)} from now on"
    say(as_json, shown, f"{counts}. To undo: watchmark household remove {made}")


@household_app.command("list")
def household_list(as_json: Json = False) -> None:
    """List the rules."""
    with open_desk() as at:
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
    print_table(
        ("id", "players", "libraries", "counts for"),
        rows,
        "No rules yet. Each play counts for the person who has claimed its user.",
    )


@household_app.command("remove")
def household_remove(
    number: Annotated[int, typer.Argument(metavar="ID", help="ID of the rule.")], as_json: Json = False
) -> None:
    """Remove a rule; existing plays stay."""
    with open_desk() as at:
        at.database.do(lambda connection: household.remove_rule(connection, number))
    say(as_json, {"id": number, "removed": True}, f"Household rule {number} is removed; existing plays stay.")
