"""The commands that keep the data safe: backup, restore, rekey."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from webhook import settings as environment
from webhook import sources
from webhook.accounts import keys
from webhook.accounts.keys import Rekeyed, Renewed
from webhook.cli._common import Json, closing, counted, database_of, ensure_data_dir, say
from webhook.maintenance import backup
from webhook.settings import Settings, SettingsError
from webhook.storage import migrate
from webhook.storage.db import Database

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
    key = keys.key_name(settings)
    shown = {"file": str(file), "bytes": size, "key": key}
    lines = [
        f"{file} holds the whole database ({size / 1e6:.1f} MB).",
        f"The key that opens the sign-ins in it is not in it. Keep a copy of that as well, elsewhere: {key}",
    ]
    say(as_json, shown, *lines)


# --- restore


@app.command("restore")
def restore_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `watchmark backup` wrote.")],
    as_json: Json = False,
) -> None:
    """Put a backup in the database's place. The service must not run; the database there is kept beside."""
    settings = environment.load(environment.environment())
    ensure_data_dir(settings)
    restored = backup.restore(settings, file)
    with closing(database_of(settings)) as database:
        fits = key_fits(settings, database)
    before = None if restored.before is None else str(restored.before)
    shown = {"file": str(file), "made_at": restored.made_at, "before": before, "key_fits": fits}
    lines = [f"{file} of {restored.made_at or 'an unknown time'} is in place."]
    lines += [f"The database before it is kept: {before}"] if before else []
    if not fits:
        lines.append(
            f"What is secret in it was sealed with another key. Put that key back ({keys.key_name(settings)}). "
            "Without it: watchmark rekey --forget, which says which sign-ins and addresses are made anew."
        )
    say(as_json, shown, *lines)


def key_fits(settings: Settings, database: Database) -> bool:
    try:
        keys.load_seal(settings, database)
    except SettingsError:
        return False
    return True


# --- rekey


@app.command("rekey")
def rekey_command(
    new_key_file: Annotated[
        Path | None, typer.Option(help="Holds the new key; needed where SECRET_KEY is set.")
    ] = None,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget", help="Go on without a key that is gone: make anew what it alone could open."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Seal all sign-ins, tokens and settings with a new key. The service must not run. Browsers sign in again."""
    given = None if new_key_file is None else environment.from_file("--new-key-file", str(new_key_file))
    settings = environment.load(environment.environment())
    ensure_data_dir(settings)
    with migrate.occupying(settings.database), closing(database_of(settings)) as database:
        migrate.migrate(database)
        done = keys.rekey(settings, database, given, forget=forget)
    key = keys.key_name(settings)
    renewed = [shown_renewed(one, settings.address) for one in done.renewed]
    shown = {"sealed": done.sealed, "key": key, "changed": done.changed, "renewed": renewed}
    say(as_json, shown, sealed_line(done, settings, new_key_file), *renewed_lines(renewed))


def sealed_line(done: Rekeyed, settings: Settings, given: Path | None) -> str:
    number, key = counted(done.sealed, "secret"), keys.key_name(settings)
    if not done.changed:
        return f"{number} sealed with the key that is in {key}, which stays."
    is_setting = bool(settings.secret_key.get_secret_value())
    todo = (
        f"Set SECRET_KEY to what {given} holds before the next start."
        if is_setting
        else f"The new key is in {key}; keep a copy of it elsewhere."
    )
    return f"{number} sealed with the new key. {todo} Backups made before open with the old key only."


def shown_renewed(one: Renewed, address: str) -> dict[str, Any]:
    """What was let go of, with the addresses of a new webhook token."""
    is_token = one.kind == "webhook token" and one.secret is not None
    urls = {name: sources.address(address, name, str(one.secret)) for name in sources.modules()}
    return {**asdict(one), "urls": urls if is_token else None}


def renewed_lines(renewed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if renewed:
        yield "Let go of, as nobody can open it any more:"
    for one in renewed:
        yield f"- {one['what']}. {one['do']}"
        if one["urls"]:
            yield from (f"    {name:<10}{url}" for name, url in one["urls"].items())
        elif one["secret"]:
            yield f"    API key {one['key']}, new secret {one['secret']}"
