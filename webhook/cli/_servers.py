"""Connecting a media server from the terminal: its address, its sign-in, a test, and only then its settings."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import typer
from sqlalchemy import Connection

from webhook import servers
from webhook import settings as environment
from webhook.accounts import accounts, server_sign_in, settings_store
from webhook.accounts.server_sign_in import Changes
from webhook.cli._common import Failed, read_input, say, show_code
from webhook.cli._desk import Desk
from webhook.domain.outcome import Undelivered
from webhook.servers._finding import find_servers
from webhook.settings import SettingsError
from webhook.texts import end_sentence
from webhook.trackers import DeviceCode, SignInFailed


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerRequest:
    """How a media server is to be connected: at which address, and signed in to by what."""

    address: str | None = None
    key: bool = False
    password: bool = False
    code: bool = False
    anyway: bool = False

    def __bool__(self) -> bool:
        return self.address is not None or self.key or self.password or self.code or self.anyway


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """Settings of a server, and what the test of them came to."""

    changes: Changes
    works: bool
    says: str


def is_server_request(at: Desk, name: str, wanted: ServerRequest, whose: str | None) -> bool:
    """True if the server itself is to be connected, not a person who is to be told at it."""
    if name not in servers.modules():
        if wanted:
            raise Failed(
                "--address, --key, --password, --code and --anyway are for a media server, such as plex."
            )
        return False
    return bool(wanted) or (whose is None and name not in at.servers)


def connect_server(at: Desk, name: str, wanted: ServerRequest, as_json: bool) -> None:
    given = environment.environment()
    label = servers.modules()[name].LABEL
    if settings_store.is_fixed(given, server_sign_in.secret_of(name)):
        raise Failed(
            f"{server_sign_in.secret_of(name)} is set in the environment and can only be changed there."
        )
    try:
        found = at.run(find_settings(at, name, wanted, as_json))
    except (SignInFailed, Undelivered, SettingsError) as error:
        raise Failed(f"{end_sentence(str(error))} Nothing was saved.") from error
    if not found.works and not wanted.anyway:
        raise Failed(f"{found.says} Nothing was saved; --anyway saves it all the same.")
    changes = server_sign_in.changes_to_store(given, found.changes)

    def store(connection: Connection) -> None:
        settings_store.change_settings(connection, at.seal, given, changes)

    at.database.do(store)
    shown = {
        "server": name,
        "address": found.changes[server_sign_in.url_of(name)],
        "works": found.works,
        "says": found.says,
    }
    then = (
        f"Saved. A running Watchmark listens to {label} within seconds. Otherwise start it: watchmark serve"
    )
    say(as_json, {**shown, "saved": True}, found.says, then)


async def find_settings(at: Desk, name: str, wanted: ServerRequest, as_json: bool) -> Checked:
    """The settings that the sign-in comes to, tested."""
    address = await find_address(at, name, wanted, as_json)
    changes = await obtain_settings(at, name, wanted, address, as_json)
    environ = {**at.environ, **{key: value or "" for key, value in changes.items()}}
    try:
        return Checked(changes=changes, works=True, says=await server_sign_in.check(name, environ, at.http))
    except Undelivered as error:
        return Checked(changes=changes, works=False, says=end_sentence(error.reason))


async def find_address(at: Desk, name: str, wanted: ServerRequest, as_json: bool) -> str | None:
    """The address that was typed or set before, else one that is found; None where plex.tv may know it."""
    if typed := wanted.address or environment.value_of(server_sign_in.url_of(name), at.environ):
        return server_sign_in.complete_address(name, typed)
    label = servers.modules()[name].LABEL
    if not as_json:
        say(False, None, f"Looking for {label} …")
    found = await find_servers(name, at.http)
    if len(found) == 1:
        if not as_json:
            say(False, None, f"Found {found[0].name} at {found[0].address}")
        return found[0].address
    if not found and name == "plex" and not wanted.key:
        return None
    example = f"watchmark connect {name} --address URL"
    if not found:
        raise Failed(f"No {label} was found here. Say where it is: {example}")
    listed = [f"{number}  {one.name}  {one.address}" for number, one in enumerate(found, 1)]
    if as_json or not sys.stdin.isatty():
        raise Failed(f"Several were found: {'; '.join(listed)}. Choose one: {example}")
    say(False, None, *listed)
    chosen: int = typer.prompt("Which one", type=int, err=True)
    if not 1 <= chosen <= len(found):
        raise Failed(f"There is no number {chosen}. Nothing was saved.")
    return found[chosen - 1].address


async def obtain_settings(
    at: Desk, name: str, wanted: ServerRequest, address: str | None, as_json: bool
) -> Changes:
    label = servers.modules()[name].LABEL
    if wanted.password:
        if name not in server_sign_in.BY_PASSWORD or address is None:
            raise Failed(f"{label} is not signed in to by user name and password.")
        username, password = read_input(f"{label} user name: ", f"{label} password: ")
        return await server_sign_in.find_login_settings(
            name, at.environ, at.http, address, username, password
        )
    if wanted.code and name not in server_sign_in.BY_CODE:
        raise Failed(f"{label} is not signed in to by a code.")
    if wanted.key or not (name == "plex" or wanted.code):
        (secret,) = read_input(f"{label} {'token' if name == 'plex' else 'API key'}: ")
        whose = {"PLEX_USER": None} if name == "plex" else {}
        return {server_sign_in.url_of(name): address, server_sign_in.secret_of(name): secret.strip(), **whose}
    code = server_sign_in.server_code(name, at.environ, at.http, address)
    begun: DeviceCode = await code.begin()
    show_code(begun, as_json)
    tokens = await accounts.wait_for_approval(code, begun)
    return await server_sign_in.find_code_settings(name, at.environ, at.http, str(tokens["token"]), address)
