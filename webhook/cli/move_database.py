"""The command move-database, which changes from one kind of database to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from webhook import settings as environment
from webhook.cli._common import Json, print_table, read_input, say
from webhook.cli._desk import database_of
from webhook.cli._progress import Meter
from webhook.maintenance import move_database
from webhook.maintenance.move_database import TableCount
from webhook.settings import Settings, SettingsError

app = typer.Typer()


@app.command("move-database")
def move_database_command(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="postgresql://user:password@host/name or sqlite:///path/watchmark.db; - reads it from standard input.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Move everything to an empty database: from SQLite to PostgreSQL, or back. Stop the service first."""
    given = read_input("URL: ")[0] if url == "-" else url
    settings = environment.load(environment.environment())
    target = resolve_target(settings, given)
    with Meter("Moving") as meter:
        counts = move_database.move(
            settings.database,
            target,
            lambda table, done, total: meter.show(done / max(total, 1), f"{table}: {done} of {total} rows"),
        )
    show_counts(counts, settings.database, target, as_json)


def resolve_target(settings: Settings, given: str) -> str:
    """The address as SQLAlchemy wants it; raises SettingsError where it is none."""
    target = settings.model_copy(update={"database_url": given.strip()})
    try:
        kind = make_url(given.strip()).get_backend_name()
    except ArgumentError:
        kind = ""
    if kind not in {"sqlite", "postgresql"}:
        raise SettingsError("That is not a database address. Use sqlite:///… or postgresql://…")
    if kind == "postgresql":
        database_of(target).close()  # which says where the driver is missing
    return target.database


def show_counts(counts: Sequence[TableCount], source: str, target: str, as_json: bool) -> None:
    rows = sum(count.after for count in counts)
    before, after = (hide_password(url) for url in (source, target))
    if as_json:
        say(True, {"from": before, "to": after, "rows": rows, "tables": [asdict(count) for count in counts]})
        return
    print_table(
        ("table", "rows before", "rows after"), [(one.table, one.before, one.after) for one in counts], ""
    )
    say(
        False,
        None,
        f"{rows} rows in {len(counts)} tables were moved to {after}.",
        "Set DATABASE_URL to it (with the password, where it has one) and start Watchmark. The key is the same as before.",
        f"{before} is as it was: keep it until you have looked around, then delete it.",
    )


def hide_password(url: str) -> str:
    """The address as people write it, without the password."""
    hidden = make_url(url).render_as_string(hide_password=True)
    return hidden.replace("postgresql+psycopg://", "postgresql://", 1)
