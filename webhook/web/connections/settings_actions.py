"""Settings made in the browser: checked as at startup, stored sealed, and applied by a reload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from sqlalchemy import Connection

from webhook import lookups, servers, trackers
from webhook import settings as environment
from webhook.accounts import settings_store
from webhook.domain.anime import Unusable
from webhook.domain.anime_index import load_anime
from webhook.service import Service
from webhook.settings import Environ, SettingsError
from webhook.texts import end_sentence
from webhook.web.http.errors import Problem


def is_fixed(service: Service, name: str) -> bool:
    """True if only the environment may set it, or already does, so that the browser cannot."""
    return settings_store.is_fixed(service.given, name)


def current(service: Service, name: str) -> str:
    """The value set by the environment or in the browser; empty if the default applies."""
    try:
        return environment.value_of(name, service.environ)
    except SettingsError:  # the settings' file was removed after the start
        return ""


async def save_settings(service: Service, changes: Mapping[str, str | None]) -> None:
    """Store these settings, by variable, and reload the service; None or an empty value removes one.

    Raises Problem if one is invalid or set by the environment; nothing changes then.
    """
    wanted = {name: (value or "").strip() or None for name, value in changes.items()}
    for name in wanted:
        if is_fixed(service, name):
            raise Problem(409, f"{name} is set in the environment and can only be changed there.")

    def store(connection: Connection) -> dict[str, str]:
        settings_store.store_settings(connection, service.seal, wanted)
        held, left_out = settings_store.usable_settings(
            service.given, settings_store.load_settings(connection, service.seal)
        )
        for name, why in left_out.items():
            if name in wanted or name not in service.left_out:
                raise SettingsError(why)
        check_all_clients(held, service.http)
        return held

    try:
        # Applies to this service too, until the reload.
        service.environ = await service.database.run(store)
    except SettingsError as error:
        raise Problem(422, f"{end_sentence(str(error))} Nothing was changed.") from error
    if service.reopen is not None:
        service.reopen()


def check_all_clients(environ: Environ, http: httpx.AsyncClient) -> None:
    """Raise SettingsError if the service could not start with these settings."""
    anime_lists = environment.load(environ).anime_lists
    for modules in (trackers.modules(), lookups.modules(), servers.modules()):
        for name, module in modules.items():
            build_optional_client(name, module, environ, http)
    try:
        load_anime(anime_lists)
    except Unusable as error:
        raise SettingsError(f"ANIME_LISTS: {error}") from error


def build_optional_client(name: str, module: Any, environ: Environ, http: httpx.AsyncClient) -> Any:
    """The client of a tracker, lookup or server with these settings, or None; raises SettingsError."""
    # A lookup at a tracker's service uses that tracker's settings, so they must be complete.
    whole = trackers.modules().get(name, module)
    if environment.read_settings(whole.Settings, f"{name}_", environ) is None:
        return None
    try:
        return module.build(environment.read_settings(module.Settings, f"{name}_", environ), http)
    except (httpx.InvalidURL, ValueError) as error:
        raise SettingsError(f"An address of {module.LABEL} is not valid: {error}") from error
