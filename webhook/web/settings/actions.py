"""Actions on the service itself, shared by its page and the API: settings, and a backup."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO, Literal, TypedDict, get_args, get_origin

from webhook import clock
from webhook import settings as environment
from webhook.accounts import keys
from webhook.clock import stamp
from webhook.maintenance import backup
from webhook.maintenance.backup_folder import find_newest
from webhook.maintenance.backup_schedule import find_failure
from webhook.service import Service
from webhook.settings import Settings
from webhook.web.connections import settings_actions
from webhook.web.http.errors import Problem
from webhook.web.http.params import clean
from webhook.web.settings.models import OFFERED, BackupsJson, Setting

BACKUP_CHUNK = 1 << 16


def list_settings(service: Service) -> list[Setting]:
    """The settings made in the browser, each with its description, bounds, value and origin."""
    held = environment.load(service.environ)
    return [one_setting(service, held, name) for name in OFFERED]


def one_setting(service: Service, held: Settings, name: str) -> Setting:
    field = Settings.model_fields[name.lower()]
    choices = [*get_args(field.annotation)] if get_origin(field.annotation) is Literal else None
    fixed = settings_actions.is_fixed(service, name)
    made = bool(settings_actions.current(service, name))
    return {
        "name": name,
        "value": getattr(held, name.lower()),
        "default": field.get_default(),
        "description": field.description or "",
        "choices": choices,
        "fixed": fixed,
        "set_by": "environment" if fixed else "browser" if made else None,
    }


async def set_settings(service: Service, given: Mapping[str, str | int | float | None]) -> None:
    """Store these settings; null removes one. Raises Problem, and nothing changes then."""
    wanted: dict[str, str | None] = {}
    for name, value in given.items():
        text = None if value is None else str(value)
        if text is not None and not clean(text):
            raise Problem(422, f"{name} must be shorter.")
        wanted[name] = text
    await settings_actions.save_settings(service, wanted)


class Installation(TypedDict):
    """Where the installation keeps what, and since when it runs."""

    data_dir: str
    database: str
    key: str
    started_at: str | None
    worker: bool


def describe_installation(service: Service) -> Installation:
    """The installation's locations and state, for its owner."""
    held = service.settings
    return {
        "data_dir": str(held.data_dir.absolute()),
        "database": "SQLite" if service.database.sqlite else "PostgreSQL",
        "key": keys.key_name(held),
        "started_at": stamp(service.started_at),
        "worker": held.worker,
    }


# --- backups


async def describe_backups(service: Service) -> BackupsJson | None:
    """The backups that the service makes by itself; None where PostgreSQL has tools of its own for them."""
    if not service.database.sqlite:
        return None
    held = service.settings
    failure = await service.database.read(find_failure) if held.backup_hours else None
    newest, why = await asyncio.to_thread(find_newest, held.backup_folder)
    return {
        "hours": held.backup_hours,
        "keep": held.backup_keep,
        "folder": str(held.backup_folder.absolute()),
        "newest": stamp(newest),
        "failure": why or (failure and failure.why),
        "failed_since": stamp(failure.since) if failure else None,
    }


BUSY = asyncio.Lock()


async def make_backup(service: Service) -> tuple[IO[bytes], int]:
    """Make a backup; returns it as an open, already unlinked file and its size. Raises Problem."""
    if BUSY.locked():
        raise Problem(409, "A backup is already running. Try again when it is done.")
    async with BUSY:
        try:
            return await asyncio.to_thread(write_backup, service.settings)
        except backup.BackupError as error:
            raise Problem(409, str(error)) from error


def write_backup(held: Settings) -> tuple[IO[bytes], int]:
    """Write a backup to a file that is deleted on close, however the download ends."""
    path = Path(held.data_dir) / f".backup-{secrets.token_hex(8)}.zip"
    try:
        size = backup.backup(held, path)
        return path.open("rb"), size
    finally:
        path.unlink(missing_ok=True)


async def pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, BACKUP_CHUNK):
            yield piece


def backup_name() -> str:
    return f"watchmark-{clock.now():%Y-%m-%d}.zip"
