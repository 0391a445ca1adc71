"""The settings with which a start is refused, for the command `doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from webhook import lookups, servers, trackers
from webhook import settings as environment
from webhook.accounts import oidc, proxy_sign_in
from webhook.domain.anime import Unusable
from webhook.domain.anime_index import load_anime
from webhook.settings import Environ, SettingsError


def find_invalid_settings(environ: Environ) -> Iterator[tuple[str, str]]:
    """The services whose settings a start refuses, and why."""
    for plugins in (trackers.modules(), servers.modules(), lookups.modules()):
        for name, module in plugins.items():
            yield from check_settings_of(name, environ, module.Settings, f"{name}_")
    yield from check_settings_of("OpenID provider", environ, oidc.Settings, "oidc_")
    yield from check_settings_of("proxy sign-in", environ, proxy_sign_in.Settings, "proxy_sign_in_")
    try:
        load_anime(environment.load(environ).anime_lists)
    except Unusable as error:
        yield "anime lists", f"ANIME_LISTS: {error}"


def check_settings_of(
    name: str, environ: Environ, settings: type[BaseModel], prefix: str
) -> Iterator[tuple[str, str]]:
    try:
        environment.read_settings(settings, prefix, environ)
    except SettingsError as error:
        yield name, str(error)
