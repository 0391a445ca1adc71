"""The commands that keep the data safe: backup, restore, rekey."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from webhook import backup, schema
from webhook import settings as environment
from webhook.commands._common import Failed, Json, closing, counted, database_of, furnish, opened, say
from webhook.credentials import any_sealed, opens, rekey, seal
from webhook.db import Database
from webhook.settings import Settings

SHORTEST_KEY = 16

app = typer.Typer()


# --- backup


@app.command("backup")
def backup_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it, e.g. watchmark.zip.")],
    as_json: Json = False,
) -> None:
    """Write a consistent copy of the database, whether the service runs or not."""
    settings = environment.load(environment.environment())
    size = backup.backup(settings, file)
    key = key_place(settings)
    shown = {"file": str(file), "bytes": size, "key": key}
    lines = [
        f"{file} holds the whole database ({size / 1e6:.1f} MB).",
        f"The key that opens the sign-ins in it is not in it. Keep a copy of that as well, elsewhere: {key}",
    ]
    say(as_json, shown, *lines)


def key_place(settings: Settings) -> str:
    if settings.secret_key.get_secret_value():
        return "SECRET_KEY"
    return str(settings.data_dir / "secret.key")


# --- restore


@app.command("restore")
def restore_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `watchmark backup` wrote.")],
    as_json: Json = False,
) -> None:
    """Put a backup in the database's place. The service must not run; the database there is kept beside."""
    settings = environment.load(environment.environment())
    furnish(settings)
    restored = backup.restore(settings, file)
    with closing(database_of(settings)) as database:
        fits = credentials_fit(settings, database)
    before = None if restored.before is None else str(restored.before)
    shown = {"file": str(file), "made_at": restored.made_at, "before": before, "key_fits": fits}
    lines = [f"{file} of {restored.made_at or 'an unknown time'} is in place."]
    lines += [f"The database before it is kept: {before}"] if before else []
    if not fits:
        lines.append(
            f"Its sign-ins were sealed with another key. Put back that key ({key_place(settings)}), "
            "or connect the accounts again and make new webhook tokens."
        )
    say(as_json, shown, *lines)


def credentials_fit(settings: Settings, database: Database) -> bool:
    sealed = database.ask(any_sealed)
    return sealed is None or opens(seal(settings, database), sealed)


# --- rekey


@app.command("rekey")
def rekey_command(
    new_key_file: Annotated[
        Path | None, typer.Option(help="Holds the new key; needed where SECRET_KEY is set.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Seal all sign-ins and tokens with a new key. The service must not run. Browsers have to sign in again."""
    given = None if new_key_file is None else new_key(new_key_file)
    with schema.occupying(environment.load(environment.environment()).database), opened() as at:
        count = rekey(at.settings, at.database, given)
    from_setting = bool(at.settings.secret_key.get_secret_value())
    todo = f"Set SECRET_KEY to what {new_key_file} holds before the next start." if from_setting else ""
    kept = "" if from_setting else f"The new key is in {key_place(at.settings)}; keep a copy of it elsewhere."
    old = "Backups made before open with the old key only."
    shown = {"sealed": count, "key": key_place(at.settings)}
    say(as_json, shown, f"{counted(count, 'secret')} sealed with the new key. {todo}{kept} {old}")


def new_key(path: Path) -> str:
    secret = environment.from_file("--new-key-file", str(path))
    if len(secret) < SHORTEST_KEY:
        raise Failed(f"{path} holds fewer than {SHORTEST_KEY} characters, which is too short for a key.")
    return secret
