"""The commands for the programs that use the VideoScrobbler API: apps add, list, suspend, resume, remove, privacy."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import Connection

from webhook import clock
from webhook.cli._common import Json, Whose, opened, say, somebody, tabled
from webhook.compat.videoscrobbler import apps
from webhook.people import people

apps_app = typer.Typer(no_args_is_help=True, help="The programs that use the VideoScrobbler API.")

Number = Annotated[int, typer.Argument(metavar="ID", help="By number.")]


@apps_app.command("add")
def apps_add(
    name: Annotated[str, typer.Argument(help="What people see when they let it in.")],
    whose: Annotated[str | None, typer.Option("--person", help="Who alone may let it in.")] = None,
    as_json: Json = False,
) -> None:
    """Make an API key and its shared secret, which is shown only now."""
    with opened() as at:

        def added(connection: Connection) -> apps.Made:
            person_id = None if whose is None else people.find_person(connection, whose).id
            return apps.add(connection, at.seal, name, person_id, clock.now())

        made = at.database.do(added)
        address = f"{at.settings.address}/api/1.0/"
    shown = {"id": made.id, "name": name.strip(), "person": whose, "key": made.key, "secret": made.secret}
    say(
        as_json,
        {**shown, "url": address},
        f"Put these into {name.strip()}:",
        f"  address   {address}",
        f"  API key   {made.key}",
        f"  secret    {made.secret}",
    )


@apps_app.command("list")
def apps_list(as_json: Json = False) -> None:
    """The apps there are, and how many sessions each has; secrets are not shown."""
    with opened() as at:
        rows = at.database.ask(lambda connection: apps.listed(connection, at.seal))
    if as_json:
        say(True, {"apps": rows})
        return
    columns = ("id", "name", "key", "person", "sessions", "created_at", "suspended_at")
    tabled(columns, [[row[name] for name in columns] for row in rows], "There is no app yet.")
    say(False, None, *(f"App {row['id']}: {row['problem']}" for row in rows if row["problem"]))


@apps_app.command("suspend")
def apps_suspend(number: Number, as_json: Json = False) -> None:
    """Let an app in no more, until it is resumed."""
    with opened() as at:
        at.database.do(lambda connection: apps.suspend(connection, number, clock.now()))
    say(as_json, {"id": number, "suspended": True}, f"App {number} is suspended.")


@apps_app.command("resume")
def apps_resume(number: Number, as_json: Json = False) -> None:
    """Let a suspended app in again; its sessions go on."""
    with opened() as at:
        at.database.do(lambda connection: apps.suspend(connection, number, None))
    say(as_json, {"id": number, "suspended": False}, f"App {number} is let in again.")


@apps_app.command("remove")
def apps_remove(number: Number, as_json: Json = False) -> None:
    """Remove an app and end its sessions; what it told stays in the history."""
    with opened() as at:
        at.database.do(lambda connection: apps.remove(connection, number, clock.now()))
    say(as_json, {"id": number, "removed": True}, f"App {number} is removed; what it told stays.")


@apps_app.command("privacy")
def apps_privacy(
    seen_by: Annotated[str | None, typer.Argument(help="everyone, friends or nobody.")] = None,
    whose: Whose = None,
    as_json: Json = False,
) -> None:
    """Show or say who sees through the VideoScrobbler API what a person watches: nobody until it is said.

    Friends are the people here who have chosen friends or everyone too.
    """
    with opened() as at:

        def changed(connection: Connection) -> tuple[str, str]:
            row = somebody(connection, whose)
            if seen_by is not None:
                apps.set_seen_by(connection, row.id, seen_by)
            return row.name, apps.seen_by(connection, row.id)

        name, now = at.database.do(changed)
    say(as_json, {"person": name, "seen_by": now}, f"What {name} watches is seen by {now}.")
