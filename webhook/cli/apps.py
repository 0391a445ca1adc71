"""The commands for the programs that use the VideoScrobbler API: apps add, list, suspend, resume, remove, privacy."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import Connection

from webhook import clock
from webhook.cli._common import (
    Json,
    Whose,
    print_table,
    say,
)
from webhook.cli._desk import (
    open_desk,
    person_or_only,
)
from webhook.compat.videoscrobbler import apps
from webhook.people import people

apps_app = typer.Typer(no_args_is_help=True, help="Manage apps that use the VideoScrobbler API.")

Number = Annotated[int, typer.Argument(metavar="ID", help="ID of the app; see watchmark apps list.")]


@apps_app.command("add")
def apps_add(
    name: Annotated[str, typer.Argument(help="Name shown when people allow it access.")],
    whose: Annotated[
        str | None, typer.Option("--person", help="The only person who can allow it access.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create an API key and its shared secret, which is shown only once."""
    with open_desk() as at:

        def store(connection: Connection) -> apps.NewApp:
            person_id = None if whose is None else people.find_person(connection, whose).id
            return apps.create_app(connection, at.seal, name, person_id, clock.now())

        made = at.database.do(store)
        address = f"{at.settings.address}/api/1.0/"
    shown = {"id": made.id, "name": name.strip(), "person": whose, "key": made.key, "secret": made.secret}
    say(
        as_json,
        {**shown, "url": address},
        f"Enter these in {name.strip()}:",
        f"  address   {address}",
        f"  API key   {made.key}",
        f"  secret    {made.secret}",
    )


@apps_app.command("list")
def apps_list(as_json: Json = False) -> None:
    """List apps and how many sessions each has; secrets are not shown."""
    with open_desk() as at:
        rows = at.database.ask(lambda connection: apps.list_apps(connection, at.seal))
    if as_json:
        say(True, {"apps": rows})
        return
    columns = ("id", "name", "key", "person", "sessions", "created_at", "suspended_at")
    print_table(columns, [[row.get(name) for name in columns] for row in rows], "No apps yet.")
    say(False, None, *(f"App {row['id']}: {row['problem']}" for row in rows if row["problem"]))


@apps_app.command("suspend")
def apps_suspend(number: Number, as_json: Json = False) -> None:
    """Refuse requests from an app until it is resumed."""
    with open_desk() as at:
        at.database.do(lambda connection: apps.suspend_app(connection, number, clock.now()))
    say(as_json, {"id": number, "suspended": True}, f"App {number} is suspended.")


@apps_app.command("resume")
def apps_resume(number: Number, as_json: Json = False) -> None:
    """Resume a suspended app; its sessions continue."""
    with open_desk() as at:
        at.database.do(lambda connection: apps.suspend_app(connection, number, None))
    say(as_json, {"id": number, "suspended": False}, f"App {number} is resumed.")


@apps_app.command("remove")
def apps_remove(number: Number, as_json: Json = False) -> None:
    """Remove an app and end its sessions; what it sent stays in the history."""
    with open_desk() as at:
        at.database.do(lambda connection: apps.remove_app(connection, number, clock.now()))
    say(
        as_json,
        {"id": number, "removed": True},
        f"App {number} is removed; what it sent stays in the history.",
    )


@apps_app.command("privacy")
def apps_privacy(
    seen_by: Annotated[str | None, typer.Argument(help="everyone, friends or nobody.")] = None,
    whose: Whose = None,
    as_json: Json = False,
) -> None:
    """Show or choose who can see a person's plays through the VideoScrobbler API; by default nobody.

    Friends are the people here who have chosen friends or everyone too.
    """
    with open_desk() as at:

        def apply(connection: Connection) -> tuple[str, str]:
            row = person_or_only(connection, whose)
            if seen_by is not None:
                apps.set_seen_by(connection, row.id, seen_by)
            return row.name, apps.audience_of(connection, row.id)

        name, now = at.database.do(apply)
    say(as_json, {"person": name, "seen_by": now}, f"What {name} watches is visible to {now}.")
