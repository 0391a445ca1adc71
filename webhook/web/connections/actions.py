"""Actions on connections, shared by pages and API: settings, checked before they are stored, and sign-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from webhook import clock, servers
from webhook import settings as environment
from webhook.accounts import accounts, server_sign_in, settings_store
from webhook.accounts.accounts import AccountError
from webhook.accounts.server_sign_in import complete_address
from webhook.accounts.sign_ins import Finished, SignIn
from webhook.domain.outcome import Undelivered
from webhook.network.discovery import FoundServer
from webhook.servers import _finding
from webhook.service import Service
from webhook.settings import Environ, SettingsError
from webhook.storage.tables import person
from webhook.trackers import SignInFailed, Tokens
from webhook.web import actions as changes
from webhook.web.connections import settings_actions
from webhook.web.connections.catalog import ServiceInfo
from webhook.web.connections.models import MAX_SETTING_LENGTH, ServerSignIn, SignedIn, SignInJson
from webhook.web.connections.states import (
    forget_result,
    sentence,
    store_result,
    verdict_sentence,
)
from webhook.web.connections.testing import CheckResult, try_settings
from webhook.web.http.errors import Problem
from webhook.web.http.params import clean
from webhook.web.visible import Visitor

Changes = Mapping[str, str | None]


# --- settings


class UnverifiedSettings(Problem):
    """The service could not be reached to check the settings; they can be saved all the same."""


async def save(
    service: Service, one: ServiceInfo, given: Mapping[str, object], anyway: bool
) -> CheckResult | None:
    """Check and store a service's settings, then reload; returns None if they switch the service off.

    Raises Problem if they are invalid or refused, UnverifiedSettings if the check failed; nothing changes then.
    """
    wanted = check_settings(one, given)
    environ = await service.database.read(lambda connection: merge_environment(connection, service, wanted))
    tried = await try_new_settings(service, one, environ)
    if tried is not None and not tried.works:
        if tried.answered:
            raise Problem(422, f"{tried.says} Nothing was changed.")
        if not anyway:
            raise UnverifiedSettings(
                409, f"{tried.says} The settings could not be checked, and nothing was changed yet."
            )
    await service.database.run(lambda connection: store_settings_result(connection, one, tried))
    await settings_actions.save_settings(service, wanted)
    return tried


async def try_new_settings(service: Service, one: ServiceInfo, environ: Environ) -> CheckResult | None:
    """Check settings against the service before they are stored; None without any, raises Problem if one is invalid."""
    if not any(environment.value_of(key, environ) for key in one.fields):
        return None
    try:
        return await try_settings(service, one, environ)
    except SettingsError as error:
        raise Problem(422, f"{sentence(str(error))} Nothing was changed.") from error


def store_settings_result(connection: Connection, one: ServiceInfo, tried: CheckResult | None) -> None:
    """Store the check's result for a lookup or server, in place of the earlier one."""
    forget_result(connection, one.name)
    if tried is not None and one.kind in ("lookup", "server"):
        store_result(connection, one.name, tried.works, tried.says)


def merge_environment(connection: Connection, service: Service, wanted: Changes) -> Environ:
    """The whole environment with these settings applied."""
    held = {**settings_store.load_settings(connection, service.seal), **wanted}
    return settings_store.overlay(service.given, {name: value for name, value in held.items() if value})


def check_settings(one: ServiceInfo, given: Mapping[str, object]) -> dict[str, str | None]:
    """The settings with surrounding blanks removed; raises Problem for one that this service does not have."""
    wanted: dict[str, str | None] = {}
    for key, value in given.items():
        if key not in one.fields:
            known = ", ".join(one.fields)
            raise Problem(422, f"{key[:50]} is not a setting of {one.label}. Settings are {known}.")
        if value is not None and (not isinstance(value, str) or not clean(value, MAX_SETTING_LENGTH)):
            raise Problem(422, f"{key} must be text of at most {MAX_SETTING_LENGTH} characters, or null.")
        wanted[key] = (value or "").strip() or None
    if not wanted:
        raise Problem(422, "Nothing was entered. Nothing was changed.")
    return wanted


# --- media servers that are listened to


async def find_servers(service: Service, name: str, chosen: str | None) -> Sequence[FoundServer]:
    """The servers of this kind that are near, or the one that was chosen among them."""
    if chosen:
        return [FoundServer(chosen, complete_address(name, chosen))]
    return await _finding.find_servers(name, service.http)


def fill_address(name: str, found: Sequence[FoundServer]) -> Mapping[str, str]:
    """The first address as if it had been typed."""
    return (
        {server_sign_in.url_of(name): one.address for one in found[:1]} if name in servers.modules() else {}
    )


async def connect_server(
    service: Service, visitor: Visitor, one: ServiceInfo, wanted: ServerSignIn
) -> SignIn | str:
    """Sign in to a media server: what it says once it is connected, or the sign-in that is approved by a code.

    Raises Problem; nothing is kept then.
    """
    if one.kind != "server":
        raise Problem(409, f"{one.label} is no media server.")
    address = complete_address(one.name, wanted.address or "")
    if wanted.username is None:
        return await begin_server_sign_in(service, visitor, one, address or None)
    return await connect_by_password(service, one, address, wanted.username, wanted.password or "")


async def begin_server_sign_in(
    service: Service, visitor: Visitor, one: ServiceInfo, address: str | None
) -> SignIn:
    """Begin the sign-in of a Plex or a Jellyfin by a code, and poll for its approval; raises Problem."""
    if one.name not in server_sign_in.BY_CODE:
        raise Problem(409, f"{one.label} is not signed in to by a code.")
    require_changeable(service, one)

    async def finish(tokens: Tokens) -> Finished:
        token = str(tokens["token"])
        found = await server_sign_in.find_code_settings(
            one.name, service.environ, service.http, token, address
        )
        return Finished(None, True, await keep_server(service, one, found))

    try:
        code = server_sign_in.server_code(one.name, service.environ, service.http, address)
        return await service.sign_ins.begin_server(visitor.person_id or 0, one.name, code, finish)
    except (AccountError, SignInFailed, SettingsError) as error:
        raise Problem(422, f"{sentence(str(error))} Nothing was changed.") from error


async def connect_by_password(
    service: Service, one: ServiceInfo, address: str, username: str, password: str
) -> str:
    """Connect a Jellyfin or an Emby by its administrator's name and password, which are used once; raises Problem."""
    if one.name not in server_sign_in.BY_PASSWORD:
        raise Problem(409, f"{one.label} is not signed in to by user name and password.")
    require_changeable(service, one)
    if not (address and username and password):
        raise Problem(422, "Enter the address, the user name and the password. Nothing was changed.")
    try:
        found = await server_sign_in.find_login_settings(
            one.name, service.environ, service.http, address, username, password
        )
        return await keep_server(service, one, found)
    except (Undelivered, SignInFailed, SettingsError) as error:
        raise Problem(422, f"{sentence(str(error))} Nothing was changed.") from error


def require_changeable(service: Service, one: ServiceInfo) -> None:
    name = server_sign_in.secret_of(one.name)
    if settings_actions.is_fixed(service, name):
        raise Problem(409, f"{name} is set in the environment and can only be changed there.")


async def keep_server(service: Service, one: ServiceInfo, found: Changes) -> str:
    """Test a server's settings, store them with the result, and reload; raises as the test does."""
    wanted = server_sign_in.changes_to_store(service.given, found)
    environ = {**service.environ, **{name: value or "" for name, value in wanted.items()}}
    says = await server_sign_in.check(one.name, environ, service.http)
    tried = CheckResult(works=True, says=says)
    await service.database.run(lambda connection: store_settings_result(connection, one, tried))
    try:
        await settings_actions.save_settings(service, wanted)
    except Problem as error:
        reason = error.detail.removesuffix(" Nothing was changed.")
        raise SettingsError(reason) from error
    return says


# --- signing in and out


async def resolve_person(service: Service, visitor: Visitor, name: str | None) -> tuple[int, str]:
    """The id and name of the person a sign-in is for: anybody for an admin, else the visitor; raises Problem."""
    wanted = name or visitor.name
    if not wanted:
        raise Problem(422, "person is required: the person to sign in.")

    def read(connection: Connection) -> tuple[int, str]:
        row = changes.find_person(connection, visitor, wanted)
        return int(row.id), str(row.name)

    return await service.database.read(read)


async def begin_sign_in(service: Service, person_id: int, one: ServiceInfo) -> SignIn:
    """Begin a sign-in by code or web page and poll for its approval; raises Problem."""
    try:
        return await service.sign_ins.begin(person_id, one.name)
    except (AccountError, SignInFailed) as error:
        raise Problem(409, f"{sentence(str(error))} Nothing was changed.") from error


async def sign_in(
    service: Service, visitor: Visitor, person_id: int, one: ServiceInfo, given: Mapping[str, str]
) -> SignedIn:
    """Sign in by name and password, a token or an address, as the tracker requires; raises Problem."""
    try:
        tracker = accounts.get_tracker(service, one.name)
        if tracker.sign_in == "password":
            name, password = given.get("username", ""), given.get("password", "")
            _require(name and password, "Enter the user name and the password.")
            done = await accounts.connect_password(service, person_id, one.name, name, password)
        elif tracker.sign_in == "token":
            token = given.get("token", "")
            _require(token, "Enter the token.")
            done = await accounts.connect_token(service, person_id, one.name, token)
        elif tracker.sign_in == "receiver":
            require_owner(visitor)
            done = await accounts.connect_receiver(service, person_id, one.name, given)
        else:
            raise Problem(409, f"{tracker.label} is built in and needs no sign-in.")
    except (AccountError, SignInFailed) as error:
        if "address" in given:
            raise Problem(422, f"{sentence(str(error))} Nothing was changed.") from error
        raise Problem(422, f"{sentence(str(error))} You are not signed in.") from error
    verdict = done.verdict

    def store(connection: Connection) -> None:
        store_result(connection, f"account.{done.account_id}", verdict.works, verdict_sentence(verdict))

    await service.database.run(store)
    return {"account": done.account_id, "works": verdict.works, "says": verdict_sentence(verdict)}


def require_owner(visitor: Visitor) -> None:
    """Raise Problem unless it is the owner, who alone says which addresses are called from inside the network."""
    if not visitor.is_admin:
        raise Problem(403, "Only the owner can enter the address of a receiver.")


def _require(given: object, otherwise: str) -> None:
    if not given:
        raise Problem(422, otherwise)


async def disconnect(service: Service, visitor: Visitor, account_id: int) -> bool:
    """Disconnect an account; returns True if it was deleted, raises Problem."""
    row = await service.database.read(
        lambda connection: changes.find_account(connection, visitor, account_id)
    )
    tracker = service.trackers.get(row.tracker)
    if tracker is not None and tracker.sign_in == "none":
        raise Problem(409, f"{tracker.label} is built in, so there is no account to disconnect.")
    for waiting in service.sign_ins.list_of_tracker(row.tracker):
        if waiting.person_id == row.person_id:
            service.sign_ins.cancel(waiting)
    gone = await accounts.disconnect(service, account_id)
    await service.database.run(lambda connection: forget_result(connection, f"account.{account_id}"))
    return gone


def describe_sign_in(connection: Connection, made: SignIn) -> SignInJson:
    """A pending or ended sign-in as the API returns it."""
    who = connection.execute(select(person.c.name).where(person.c.id == made.person_id)).scalar()
    code = made.code
    return {
        "id": made.id,
        "tracker": made.tracker,
        "person": who,
        "state": made.state,
        "user_code": (code.user_code or None) if made.under_way else None,
        "url": code.url if made.under_way else None,
        "seconds_left": made.remaining_seconds(clock.now()) if made.under_way else 0,
        "says": made.says,
        "works": made.works,
        "account": made.account_id,
    }


def may_see(visitor: Visitor, made: SignIn) -> bool:
    return visitor.is_admin or visitor.person_id == made.person_id


def find_sign_in(service: Service, visitor: Visitor, wanted: str) -> SignIn:
    """The sign-in with this id; raises Problem if the visitor may not see it."""
    made = service.sign_ins.get(wanted)
    if made is None or not may_see(visitor, made):
        raise Problem(404, "This sign-in has expired. Start again.")
    return made
