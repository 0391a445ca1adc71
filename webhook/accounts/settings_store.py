"""Settings made in the browser: sealed in the database, overridden by the environment."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Container, Mapping
from types import ModuleType

import structlog
from pydantic import BaseModel
from sqlalchemy import Connection, delete, insert, select

from webhook import clock, settings
from webhook.accounts.seal import Seal
from webhook.settings import Environ, Settings, SettingsError, is_mentioned, variable
from webhook.storage.db import Database
from webhook.storage.tables import note
from webhook.system.modules import list_modules, load_modules

log = structlog.get_logger()

SETTINGS_NOTE = "settings"
WORD = re.compile(r"\w+")
ENVIRONMENT_ONLY = frozenset(
    {
        "DATA_DIR",
        "DATABASE_URL",
        "HOST",
        "PORT",
        "ROOT_PATH",
        "TRUSTED_PROXIES",
        "SECRET_KEY",
        "ADMIN_PASSWORD",
        "WORKER",
    }
)
"""Settings of the environment only, which are needed before the database is read, or protect it."""

SIGN_INS = ("OIDC_", "PROXY_SIGN_IN_")
"""The beginnings of those of the environment only that say who signs people in."""


WATCH_INTERVAL = 2.0
"""Seconds between two looks at whether a command or another process changed the settings."""


def load_settings(connection: Connection, seal: Seal) -> dict[str, str]:
    """The settings made in the browser, by variable; empty if they were sealed with another key."""
    sealed = settings_text(connection)
    return dict(seal.open(sealed)) if sealed and seal.opens(sealed) else {}


def is_unreadable(connection: Connection, seal: Seal) -> bool:
    """True if stored settings exist that the key cannot open; the next change replaces them."""
    sealed = settings_text(connection)
    return bool(sealed) and not seal.opens(sealed or "")


def settings_text(connection: Connection) -> str | None:
    return connection.execute(select(note.c.sealed).where(note.c.name == SETTINGS_NOTE)).scalar()


def store_settings(connection: Connection, seal: Seal, changes: Mapping[str, str | None]) -> None:
    """Store these variables; None or an empty value removes one."""
    held = {name: value for name, value in {**load_settings(connection, seal), **changes}.items() if value}
    connection.execute(delete(note).where(note.c.name == SETTINGS_NOTE))
    connection.execute(insert(note), {"name": SETTINGS_NOTE, "sealed": seal.seal(held)})


def change_settings(
    connection: Connection, seal: Seal, given: Environ, changes: Mapping[str, str | None]
) -> None:
    """Store these variables; raises SettingsError if the environment says one of them, or if one is invalid."""
    for name in changes:
        if is_fixed(given, name):
            raise SettingsError(f"{name} is set in the environment and can only be changed there")
    store_settings(connection, seal, changes)
    _, left_out = usable_settings(given, load_settings(connection, seal))
    for name in changes:
        if name in left_out:
            raise SettingsError(left_out[name])


def is_fixed(given: Environ, name: str) -> bool:
    """True if only the environment may set it, or already does."""
    return name in ENVIRONMENT_ONLY or name.startswith(SIGN_INS) or is_set(given, name)


async def watch_settings(
    database: Database,
    seal: Seal,
    given: Environ,
    current: Callable[[], Environ],
    reopen: Callable[[], None],
    stop: asyncio.Event,
) -> None:
    """Reopen the service where what is stored, by a command or another process, is not what it runs with."""
    seen: str | None = None

    def find_change(connection: Connection) -> bool:
        nonlocal seen
        before, seen = seen, settings_text(connection)
        return seen != before and usable_settings(given, load_settings(connection, seal))[0] != current()

    while not stop.is_set():
        if await database.read(find_change):
            reopen()
        await clock.awaken(asyncio.Event(), stop, WATCH_INTERVAL)


def overlay(environ: Environ, stored: Mapping[str, str]) -> dict[str, str]:
    """The environment, completed with the settings made in the browser."""
    return {**environ, **{name: value for name, value in stored.items() if not is_set(environ, name)}}


def is_set(environ: Environ, name: str) -> bool:
    return bool(environ.get(name) or environ.get(f"{name}_FILE"))


# --- what of it can be used


def setting_groups(environ: Environ | None = None) -> list[tuple[str, str, type[BaseModel]]]:
    """All settings in groups: heading, prefix, fields; of plug-ins only those that `environ` mentions, if given."""
    from webhook import lookups, servers, trackers
    from webhook.accounts import oidc, proxy_sign_in

    def load(package: ModuleType, but: Container[str] = ()) -> Mapping[str, ModuleType]:
        names = [name for name in list_modules(package.__name__) if name not in but]
        wanted = [name for name in names if environ is None or is_mentioned(name, environ)]
        return load_modules(package.__name__, wanted)

    found: list[tuple[str, str, type[BaseModel]]] = [
        ("The service", "", Settings),
        ("Sign-in at an OpenID provider", "oidc_", oidc.Settings),
        ("Sign-in by a header of the reverse proxy", "proxy_sign_in_", proxy_sign_in.Settings),
    ]
    told = load(trackers, but=list_modules(servers.__name__))
    asked = lookups.by_cost(load(lookups, but=list_modules(trackers.__name__)))
    for name, module in {**told, **asked}.items():
        found.append((module.LABEL, f"{name}_", module.Settings))
    for name, module in load(servers).items():
        found.append((f"Catch-up with {module.LABEL}", f"{name}_", module.Settings))
    return [group for group in found if group[2].model_fields]


def complete_settings(given: Environ, database: Database, seal: Seal) -> tuple[Environ, dict[str, str]]:
    """The environment with the settings made in the browser; logs each invalid one, and returns why it is."""
    environ, left_out = usable_settings(
        given, database.ask(lambda connection: load_settings(connection, seal))
    )
    for name, why in left_out.items():
        log.warning(
            "A setting made in the browser is invalid and is ignored.",
            action="setting_left_out",
            setting=name,
            why=why,
        )
    return environ, left_out


def usable_settings(environ: Environ, stored: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The environment over the valid settings made in the browser, and the reason for each invalid one.

    So that the service opens, and the page on which it can be mended with it. What the environment says wrong
    stays: the start says so.
    """
    held, left_out = dict(stored), {}
    for _, prefix, cls in setting_groups(held) if held else ():
        while why := find_fault(cls, prefix, overlay(environ, held)):
            names = (variable(prefix, field) for field in cls.model_fields)
            mine = [name for name in names if name in held and not is_set(environ, name)]
            blamed = [name for name in mine if name in WORD.findall(why)]
            if not mine:
                break
            for name in blamed or mine:
                left_out[name] = why
                del held[name]
    return overlay(environ, held), left_out


def find_fault(cls: type[BaseModel], prefix: str, environ: Environ) -> str | None:
    try:
        settings.read_settings(cls, prefix, environ)
    except SettingsError as error:
        return str(error)
    return None
