"""Connecting a media server: signed in to, asked who it is and whom it lets be heard, and only then stored.

What a sign-in comes to is a change of settings: the server's address and a token for it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta

import httpx
from pydantic import SecretStr

from webhook import servers, settings, trackers
from webhook.accounts import settings_store
from webhook.domain.outcome import Dead, Retry, Undelivered
from webhook.servers._finding import GREETERS, greet
from webhook.servers.plex.account import AccountServer, PlexAccount, request_machine
from webhook.settings import Environ, SettingsError, variable
from webhook.trackers import Device, DeviceCode, SignInFailed, Tokens, jellyfin, plex
from webhook.trackers._json import as_text
from webhook.trackers._sign_in import DeviceSignIn

CHECK_TIMEOUT = 30.0
"""Seconds within which a server must say who it is."""

NOWHERE = "http://plex.invalid"
"""Stands where a code at plex.tv needs no server yet."""

PORT = re.compile(r"(?<!:):[0-9]+$")

BY_PASSWORD = ("jellyfin", "emby")
"""The servers that an administrator can sign in to by name and password."""

BY_CODE = ("plex", "jellyfin")
"""The servers that are signed in to by a code that is entered elsewhere."""

QUICK_CONNECT_INTERVAL, QUICK_CONNECT_LASTS = timedelta(seconds=5), timedelta(minutes=10)
NO_QUICK_CONNECT = "this Jellyfin offers no Quick Connect. Sign in by name and password, or enter a key"

Changes = Mapping[str, str | None]


class PlexCode(plex.Plex):
    """The sign-in at plex.tv by a code. Its token is the account's own, for no server in particular."""

    async def begin(self) -> DeviceCode:
        """The code, once a server answers at the address that was typed; raises SignInFailed."""
        if self.url != NOWHERE:
            try:
                await request_machine(self.http, self.api)
            except Undelivered as error:
                raise SignInFailed(error.reason) from error
        return await super().begin()

    async def request_tokens(self, code: DeviceCode) -> Tokens | None:
        token = await self.request_account_token(code)
        return None if token is None else {"token": token}


class QuickConnect(DeviceSignIn, jellyfin.Jellyfin):
    """The sign-in at a Jellyfin by its Quick Connect: a code that an administrator who is signed in there enters."""

    async def request_code(self) -> DeviceCode:
        response = await self.call("POST", "/QuickConnect/Initiate")
        if response.status_code in (401, 403, 404, 405):
            raise SignInFailed(NO_QUICK_CONNECT)
        body = self.accept_object(response)
        secret, code = as_text(body.get("Secret")), as_text(body.get("Code"))
        if secret is None or code is None:
            raise SignInFailed(f"{self.label} sent no code to sign in with")
        return DeviceCode(
            user_code=code,
            url=f"{self.url}/web/#/quickconnect",
            interval=QUICK_CONNECT_INTERVAL,
            expires_in=QUICK_CONNECT_LASTS,
            device_code=secret,
        )

    async def request_tokens(self, code: DeviceCode) -> Tokens | None:
        """The token of whoever entered the code; None until then."""
        response = await self.call("GET", "/QuickConnect/Connect", params={"secret": code.device_code})
        if response.status_code == 404:
            raise SignInFailed("the code has expired; start again")
        if self.accept_object(response).get("Authenticated") is not True:
            return None
        given = {"Secret": code.device_code}
        signed_in = await self.call("POST", "/Users/AuthenticateWithQuickConnect", json=given)
        token = as_text(self.accept_object(signed_in).get("AccessToken"))
        if token is None:
            raise SignInFailed(f"{self.label} answered without a sign-in")
        return {"token": token}


def server_code(name: str, environ: Environ, http: httpx.AsyncClient, url: str | None) -> Device:
    """The sign-in by a code at the server at this address; raises SettingsError, and SignInFailed without an address."""
    if name == "plex":
        return plex_code(environ, http, url)
    if url is None:
        raise SignInFailed("say where the server is")
    given = settings.read_settings(jellyfin.Settings, "jellyfin_", {**environ, "JELLYFIN_URL": url})
    assert given is not None  # the address is there
    return QuickConnect(http, given.url)


async def find_code_settings(
    name: str, environ: Environ, http: httpx.AsyncClient, token: str, url: str | None
) -> Changes:
    """The settings that a sign-in by a code comes to; raises SignInFailed."""
    if name == "plex":
        return await find_plex_settings(environ, http, token, url)
    return await find_admin_settings(name, environ, http, url or "", token)


def plex_code(environ: Environ, http: httpx.AsyncClient, url: str | None) -> PlexCode:
    """The sign-in for the server at this address, or for one that plex.tv knows; raises SettingsError."""
    given = settings.read_settings(plex.Settings, "plex_", {**environ, "PLEX_URL": url or NOWHERE})
    assert given is not None  # the address is there
    return PlexCode(given, http)


def complete_address(name: str, typed: str) -> str:
    """The address as it was typed, with the scheme and the usual port where neither was."""
    typed = typed.strip().rstrip("/")
    if not typed or "://" in typed:
        return typed
    greeter = GREETERS.get(name)
    port = "" if PORT.search(typed) or "/" in typed or greeter is None else f":{greeter.port}"
    return f"http://{typed}{port}"


async def find_plex_settings(
    environ: Environ, http: httpx.AsyncClient, token: str, url: str | None
) -> Changes:
    """The settings for the server at this address, or for the account's only one; raises SignInFailed.

    The owner's token is the account's own, with which plex.tv also gives those of the others; anybody else has one for
    this server alone, and is named.
    """
    account = PlexAccount(http, account_address(environ), token)
    try:
        found = await account.servers()
        url, server = await server_at(http, found, url) if url else await reachable_server(http, found)
        user = None if server.owned else await account.user_name()
    except Undelivered as error:
        raise SignInFailed(error.reason) from error
    return {"PLEX_URL": url, "PLEX_TOKEN": token if server.owned else server.token, "PLEX_USER": user}


def account_address(environ: Environ) -> str:
    field = servers.modules()["plex"].Settings.model_fields["account_url"]
    return settings.value_of("PLEX_ACCOUNT_URL", environ) or str(field.default)


async def server_at(
    http: httpx.AsyncClient, found: list[AccountServer], url: str
) -> tuple[str, AccountServer]:
    """The account's server at an address."""
    url = url.rstrip("/")
    machine = await request_machine(http, url)
    server = next((one for one in found if one.machine == machine), None)
    if server is None:
        raise SignInFailed(f"this Plex account has no access to the server at {url}")
    return url, server


async def reachable_server(http: httpx.AsyncClient, found: list[AccountServer]) -> tuple[str, AccountServer]:
    """The account's own server, or the only one that it shares, at the first of its addresses that answers."""
    mine = [one for one in found if one.owned] or found
    if not mine:
        raise SignInFailed("this Plex account has no server")
    if len(mine) > 1:
        names = ", ".join(one.name for one in mine)
        raise SignInFailed(f"this Plex account has several servers ({names}). Enter the address of one")
    (server,) = mine
    greetings = await asyncio.gather(*(greet(GREETERS["plex"], http, one) for one in server.addresses))
    for address, greeting in zip(server.addresses, greetings, strict=True):
        if greeting is not None and greeting.server_id == server.machine:
            return address, server
    raise SignInFailed(
        f"{server.name} cannot be reached from here at the addresses that plex.tv has. Enter its address"
    )


async def find_login_settings(
    name: str, environ: Environ, http: httpx.AsyncClient, url: str, username: str, password: str
) -> Changes:
    """The settings by the sign-in of an administrator of a Jellyfin or an Emby; raises SignInFailed."""
    module, prefix = trackers.modules()[name], name.upper()
    given = settings.read_settings(module.Settings, f"{name}_", {**environ, f"{prefix}_URL": url})
    tokens = await module.build(given, http).login(username, password)
    return await find_admin_settings(name, environ, http, url, str(tokens["token"]))


async def find_admin_settings(
    name: str, environ: Environ, http: httpx.AsyncClient, url: str, token: str
) -> Changes:
    """The settings by the token of an administrator of a Jellyfin or an Emby; raises SignInFailed for anybody else's."""
    changes = {url_of(name): url, secret_of(name): token}
    try:
        await check(name, {**environ, **changes}, http)
    except Dead as error:
        raise SignInFailed(
            f"this user is no administrator of {servers.modules()[name].LABEL}, and would hear nobody else. "
            "Sign in as one, or make a key"
        ) from error
    return changes


async def check(name: str, environ: Environ, http: httpx.AsyncClient) -> str:
    """What a server says of itself with these settings, in words.

    Raises SettingsError if they are invalid, Retry where it does not answer, and Dead where it refuses.
    """
    module = servers.modules()[name]
    given = settings.read_settings(module.Settings, f"{name}_", environ)
    if given is None:
        raise SettingsError(f"{module.LABEL} is not set up")
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            return await servers.describe_server(module.build(given, http))
    except TimeoutError as error:
        raise Retry(f"{module.LABEL} did not answer within {CHECK_TIMEOUT:.0f} seconds") from error


def changes_to_store(given: Environ, changes: Changes) -> dict[str, str | None]:
    """The changes without what the environment says in the same way already, or where it has the last word on nothing."""
    return {
        name: value
        for name, value in changes.items()
        if not (settings_store.is_fixed(given, name) and value in (None, settings.value_of(name, given)))
    }


def url_of(name: str) -> str:
    return variable(f"{name}_", "url")


def secret_of(name: str) -> str:
    """The setting that holds the server's token or key."""
    fields = servers.modules()[name].Settings.model_fields
    return variable(f"{name}_", next(key for key, about in fields.items() if about.annotation is SecretStr))
