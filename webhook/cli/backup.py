"""The commands that keep the data safe: backup, restore, rekey."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from typing_extensions import TypedDict

from webhook import clock, servers, sources
from webhook import settings as environment
from webhook.accounts import accounts, keys, rekey
from webhook.accounts.rekey import RekeyResult
from webhook.accounts.sealed_secrets import RenewedSecret
from webhook.cli._common import (
    DryRun,
    Json,
    Whose,
    count_of,
    say,
)
from webhook.cli._desk import (
    close_after,
    database_of,
    ensure_data_dir,
)
from webhook.maintenance import backup, backup_folder, updates
from webhook.settings import Settings, SettingsError
from webhook.storage import migrate
from webhook.storage.db import Database
from webhook.transfer import restore

app = typer.Typer()


# --- backup


@app.command("backup")
def backup_command(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="File to write, such as watchmark.zip; with --every or --keep a folder, DATA_DIR/backups if left out.",
        ),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Keep running, and make one every 24h, 90m or 7d. Stop with Ctrl-C."
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Backups to keep in the folder; the oldest are deleted."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Back up the database, whether the service is running or not."""
    settings = environment.load(environment.environment())
    if every is None and keep is None:
        if file is None:
            raise typer.BadParameter("Name the file to write, or use --keep N or --every TIME.")
        show_backup(settings, file, backup.backup(settings, file), as_json)
        return
    rotation = Rotation(settings, file or settings.backup_folder, keep or settings.backup_keep)
    if every is None:
        rotation.make(as_json)
        return
    rotation.repeat(parse_interval(every), stop_on_signals(), as_json)


def show_backup(settings: Settings, file: Path, size: int, as_json: bool) -> None:
    key = keys.key_name(settings)
    lines = [
        f"{file} contains the whole database ({size / 1e6:.1f} MB).",
        f"The key that decrypts the sign-ins is not included. Keep a separate copy of it: {key}",
    ]
    say(as_json, {"file": str(file), "bytes": size, "key": key}, *lines)


@dataclass(frozen=True, slots=True)
class Rotation:
    """A folder of dated backups, of which a number is kept."""

    settings: Settings
    folder: Path
    keep: int

    def make(self, as_json: bool) -> None:
        made = backup_folder.add_backup(self.settings, self.folder, self.keep)
        show_backup(self.settings, made, made.stat().st_size, as_json)

    def repeat(self, every: timedelta, stop: threading.Event, as_json: bool) -> None:
        """Make a backup whenever one is due, until stopped; one that fails is tried again within the hour."""
        backup.database_file(self.settings)
        pause = backup_folder.seconds_until_due(self.folder, every, clock.now())
        while not stop.wait(pause):
            pause = every.total_seconds()
            try:
                self.make(as_json)
            except backup.BackupError as error:
                typer.echo(f"watchmark: {error}", err=True)
                pause = min(pause, RETRY_SECONDS)


RETRY_SECONDS = 3600.0
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
EVERY_FORM = re.compile(r"([1-9]\d{0,4})([mhd])")


def parse_interval(text: str) -> timedelta:
    """Parse an interval such as 90m, 24h or 7d."""
    found = EVERY_FORM.fullmatch(text.strip().lower())
    if found is None:
        raise typer.BadParameter(
            f"“{text[:20]}” is not an interval. Use 90m, 24h or 7d.", param_hint="--every"
        )
    return int(found[1]) * UNITS[found[2]]


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set, so that a backup under way is finished."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


# --- restore


@app.command("restore")
def restore_command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|SERVER",
            help="A file made by `watchmark backup`, or a media server: plex, jellyfin, emby.",
        ),
    ],
    whose: Whose = None,
    dry_run: DryRun = False,
    take_back: Annotated[
        bool,
        typer.Option("--take-back", help="Of a server: take back what was marked there, and nothing else."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Restore a backup, or what you watched on a media server.

    Of a backup: stop the service first; the previous database is kept. Of a server: what it lacks is marked watched.
    """
    if not file.exists() and str(file) in servers.modules():
        restore_server(str(file), whose, as_json, dry_run=dry_run, undo=take_back)
        return
    if whose is not None or dry_run or take_back:
        raise typer.BadParameter("--person, --dry-run and --take-back are for a media server.")
    settings = environment.load(environment.environment())
    ensure_data_dir(settings)
    restored = backup.restore(settings, file)
    with close_after(database_of(settings)) as database:
        fits = key_fits(settings, database)
    before = None if restored.before is None else str(restored.before)
    shown = {"file": str(file), "made_at": restored.made_at, "before": before, "key_fits": fits}
    lines = [f"{file} of {restored.made_at or 'an unknown time'} has been restored."]
    lines += [f"The previous database is kept as {before}"] if before else []
    if not fits:
        lines.append(
            f"What is secret in it was sealed with another key. Put that key back ({keys.key_name(settings)}). "
            "Without it: watchmark rekey --forget, which says which sign-ins and addresses are made anew."
        )
    say(as_json, shown, *lines)


def restore_server(name: str, whose: str | None, as_json: bool, *, dry_run: bool, undo: bool) -> None:
    """Mark on a media server what it lacks of a person's history, or take our marks back."""
    from webhook.cli import jobs
    from webhook.cli._desk import open_desk, person_or_only

    if not undo:
        jobs.backfill(name, whose, dry_run=dry_run, cancel=False, status=False, as_json=as_json)
        return
    with open_desk() as at:
        owner = at.database.ask(lambda connection: person_or_only(connection, whose))
        row = at.database.ask(lambda connection: accounts.find_account(connection, owner.id, name))
        count = at.database.do(lambda connection: restore.take_back(connection, row.id, clock.now()))
    shown = {"server": name, "person": owner.name, "taken_back": count}
    say(as_json, shown, f"{count_of(count, 'mark')} of {owner.name} on {name} will be taken back.")


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
        Path | None, typer.Option(help="File with the new key; required if SECRET_KEY is set.")
    ] = None,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Continue without a lost key: remove what only it could decrypt."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Encrypt all sign-ins, tokens and settings with a new key. Stop the service first. Browsers are signed out."""
    given = None if new_key_file is None else environment.from_file("--new-key-file", str(new_key_file))
    settings = environment.load(environment.environment())
    ensure_data_dir(settings)
    with migrate.hold_lock(settings.database), close_after(database_of(settings)) as database:
        updates.update_database(settings, database)
        done = rekey.rekey(settings, database, given, forget=forget)
    key = keys.key_name(settings)
    renewed = [describe_renewals(one, settings.address) for one in done.renewed]
    shown = {"sealed": done.sealed, "key": key, "changed": done.changed, "renewed": renewed}
    say(as_json, shown, sealed_line(done, settings, new_key_file), *renewed_lines(renewed))


def sealed_line(done: RekeyResult, settings: Settings, given: Path | None) -> str:
    number, key = count_of(done.sealed, "secret"), keys.key_name(settings)
    if not done.changed:
        return f"{number} encrypted with the existing key in {key}."
    is_setting = bool(settings.secret_key.get_secret_value())
    todo = (
        f"Set SECRET_KEY to the content of {given} before the next start."
        if is_setting
        else f"The new key is in {key}. Keep a separate copy of it."
    )
    return f"{number} encrypted with the new key. {todo} Older backups need the old key."


class RenewedJson(TypedDict):
    """A secret that was dropped, with its replacement; `urls` are the addresses of a new webhook token, by source."""

    what: str
    do: str
    kind: str
    id: int | None
    key: str | None
    secret: str | None
    urls: dict[str, str] | None


def describe_renewals(one: RenewedSecret, address: str) -> RenewedJson:
    """A replaced secret as JSON, with the addresses of a new webhook token."""
    is_token = one.kind == "webhook token" and one.secret is not None
    urls = {name: sources.address(address, name, str(one.secret)) for name in sources.modules()}
    return {
        "what": one.what, "do": one.do, "kind": one.kind, "id": one.id, "key": one.key, "secret": one.secret,
        "urls": urls if is_token else None,
    }  # fmt: skip


def renewed_lines(renewed: Sequence[RenewedJson]) -> Iterator[str]:
    if renewed:
        yield "Removed, because it can no longer be decrypted:"
    for one in renewed:
        yield f"- {one['what']}. {one['do']}"
        if one["urls"]:
            yield from (f"    {name:<10}{url}" for name, url in one["urls"].items())
        elif one["secret"]:
            yield f"    API key {one['key']}, new secret {one['secret']}"
