"""Connections: every service there is, its state in a word, and how it is set up, tested and signed in to.

What the pages and the API do with them is one and the same, and is here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast

import httpx
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from sqlalchemy import Connection, delete, insert, select

from webhook import clock, lookups, servers, trackers
from webhook import settings as environment
from webhook.accounts import accounts, settings_store
from webhook.accounts.accounts import AccountCheck, AccountError
from webhook.accounts.sign_ins import SignIn
from webhook.clock import stamp
from webhook.domain.outcome import Park, Retry, Snooze, Undelivered, explain_limit, parked_sentence
from webhook.lookups import Checks
from webhook.maintenance import notifications
from webhook.maintenance.notifications import Notifier
from webhook.queries.people import AccountJson
from webhook.servers import Server
from webhook.service import Service
from webhook.settings import Environ, Settings, SettingsError, plain, variable
from webhook.storage.tables import note, person
from webhook.trackers import Device, SignInFailed, Tracker
from webhook.transfer import catch_up
from webhook.web import actions as changes
from webhook.web import visible
from webhook.web.connections import settings_actions
from webhook.web.http.errors import Problem
from webhook.web.http.params import clean
from webhook.web.visible import Visitor

Shown = dict[str, Any]
Changes = Mapping[str, str | None]
ServiceKind = Literal["tracker", "lookup", "server", "notices"]

SERVICE_KINDS: Mapping[ServiceKind, str] = {
    "tracker": "Trackers",
    "lookup": "Lookups",
    "server": "Media servers",
    "notices": "Notifications",
}
NOTICES = "notifications"

STATES: Mapping[str, str] = {
    "working": "WORKING",
    "not_set_up": "NOT SET UP",
    "not_tested": "NOT TESTED YET",
    "not_working": "NOT WORKING",
    "signed_out": "NEEDS SIGN-IN",
    "vip_required": "VIP REQUIRED",
    "account_limit": "ACCOUNT LIMIT",
    "limited": "PARTLY WORKING",
    "account_locked": "LOCKED",
    "app_deleted": "API APP GONE",
    "service_closed": "CLOSED",
}
"""The states of a service or an account, in the words of a page."""

NEEDS: Mapping[Park, str] = {
    Park.SIGNED_OUT: "Sign in again below.",
    Park.VIP_REQUIRED: "Renew the membership, then sign in again below.",
    Park.ACCOUNT_LIMIT: "Free up space in the account or upgrade it, then test again.",
    Park.ACCOUNT_LOCKED: "Contact the service's support, then sign in again below.",
    Park.APP_DELETED: "Create a new API app at the service, save its keys below, and sign in again.",
    Park.SERVICE_CLOSED: "Enter the address of a compatible server below, or disconnect the account.",
}
"""What a parked account needs, done on its page."""

NOT_USED: Sequence[tuple[str, str]] = (
    ("Imgur", "it hosted the images for emails to Plex users, which Watchmark doesn't send"),
    ("Gracenote", "it filled in music tags, and Watchmark doesn't change files"),
    ("Jackett", "it searches for torrents, and Watchmark doesn't download anything"),
    ("Gmail and Google Contacts", "notifications are sent with Apprise, which can send email without them"),
    ("YouTube", "it identified songs to download; media servers already identify what they play"),
    ("Google Sheets", "the history is exported as CSV, JSON, iCalendar and other files"),
    ("Google Play Music", "music was uploaded to it, and Watchmark doesn't upload music"),
    ("Letterboxd", "it has no suitable API; use import and export files instead"),
)
"""Services of the founding documents that are no connections, and why."""

TEST_TIMEOUT = 30.0
"""Seconds in which a service must have answered a test."""

MAX_SETTING_LENGTH = 4000
TAIL, LONG_ENOUGH = 4, 16
"""Of a secret so many characters are shown at its end, where it has so many at least."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceInfo:
    """A service as it can be connected. `fields` are its settings, by variable."""

    name: str
    kind: ServiceKind
    label: str
    purpose: str
    steps: tuple[str, ...]
    fields: Mapping[str, FieldInfo]


@cache
def services() -> Mapping[str, ServiceInfo]:
    """All of them by name: trackers, lookups that are no tracker's, servers, and notifications."""
    told = trackers.modules()
    asked = {name: module for name, module in lookups.modules().items() if name not in told}
    groups: list[tuple[ServiceKind, Mapping[str, Any]]] = [
        ("tracker", told),
        ("lookup", asked),
        ("server", servers.modules()),
    ]
    found = {
        name: ServiceInfo(
            name=name,
            kind=kind,
            label=module.LABEL,
            purpose=module.FOR,
            steps=module.SETUP,
            fields={variable(f"{name}_", field): info for field, info in fields_of(module.Settings)},
        )
        for kind, modules in groups
        for name, module in modules.items()
    }
    urls = {"NOTIFY_URLS": Settings.model_fields["notify_urls"]}
    found[NOTICES] = ServiceInfo(
        name=NOTICES,
        kind="notices",
        label=notifications.LABEL,
        purpose=notifications.FOR,
        steps=notifications.SETUP,
        fields=urls,
    )
    return found


def fields_of(settings: type[BaseModel]) -> Iterable[tuple[str, FieldInfo]]:
    return settings.model_fields.items()


def find_service(visitor: Visitor, name: str) -> ServiceInfo:
    """The service of that name; for a member only trackers are found, as the rest is the owner's."""
    found = services().get(name)
    if found is None or (not visitor.is_admin and found.kind != "tracker"):
        raise Problem(404, f"There is no connection named {name[:50]}.")
    return found


# --- shown


def list_services(connection: Connection, service: Service, visitor: Visitor) -> list[Shown]:
    """Every connection that the visitor may see."""
    whole = accounts_of(connection, visitor)
    seen = [one for one in services().values() if visitor.is_admin or one.kind == "tracker"]
    return [_describe(connection, service, visitor, one, whole) for one in seen]


def describe_service(connection: Connection, service: Service, visitor: Visitor, one: ServiceInfo) -> Shown:
    return _describe(connection, service, visitor, one, accounts_of(connection, visitor))


def _describe(
    connection: Connection, service: Service, visitor: Visitor, one: ServiceInfo, whole: Sequence[Shown]
) -> Shown:
    theirs = [entry for entry in whole if entry["tracker"] == one.name] if one.kind == "tracker" else []
    tested = latest_result(connection, one) if one.kind != "tracker" else None
    state = state_of(service, one, theirs, tested)
    return {
        "name": one.name,
        "label": one.label,
        "kind": one.kind,
        "state": state,
        "word": STATES[state],
        "purpose": one.purpose,
        "steps": list(one.steps),
        "sign_in": sign_in_of(service, one),
        "settings": [setting(service, key, info) for key, info in one.fields.items()]
        if visitor.is_admin
        else [],
        "accounts": theirs,
        "tested": tested,
    }


def accounts_of(connection: Connection, visitor: Visitor) -> list[Shown]:
    """The visitor's accounts as the API gives them, each with its word and how its last test went."""
    return [describe_account(connection, entry) for entry in visible.accounts(connection, visitor)]


def describe_account(connection: Connection, entry: AccountJson) -> Shown:
    tested = last_result(connection, f"account.{entry['id']}")
    park = entry["state"] if entry["state"] in set(Park) else None
    needs = f"{parked_sentence(Park(park), entry['why'])} {NEEDS[Park(park)]}" if park else refusals(entry)
    failing = tested is not None and not tested["works"] and (entry["last_done_at"] or "") < tested["at"]
    state = entry["state"] if park or not failing else "not_working"
    state = "limited" if state == "working" and entry["limits"] else state
    return {**entry, "shows": state, "word": STATES.get(state, state), "needs": needs, "tested": tested}


def refusals(entry: AccountJson) -> str | None:
    """What the service refuses of an account that works otherwise, and what to do; None where nothing is."""
    label = trackers.label(entry["tracker"])
    said = [explain_limit(limit["reason"], limit["kind"], label) for limit in entry["limits"]]
    return f"{'. '.join(filter(None, said))}, then test again. Everything else is sent." if said else None


def state_of(service: Service, one: ServiceInfo, theirs: Sequence[Shown], tested: Shown | None) -> str:
    """The state of a service; of several accounts the one that needs somebody speaks for all."""
    if one.kind == "tracker":
        if one.name not in service.trackers:
            return "not_set_up"
        troubled = [entry["shows"] for entry in theirs if entry["shows"] != "working"]
        return str(troubled[0]) if troubled else "working" if theirs else "signed_out"
    if not is_set_up(service, one):
        return "not_set_up"
    if tested is None:
        return "not_tested"
    return "working" if tested["works"] else "not_working"


def is_set_up(service: Service, one: ServiceInfo) -> bool:
    names = [key for key, info in one.fields.items() if info.is_required()] or list(one.fields)
    return all(settings_actions.current(service, key) for key in names)


def sign_in_of(service: Service, one: ServiceInfo) -> str | None:
    """How a person signs in to a tracker that is set up: device, web, password, token or none."""
    tracker = service.trackers.get(one.name) if one.kind == "tracker" else None
    return None if tracker is None else tracker.sign_in


def setting(service: Service, key: str, info: FieldInfo) -> Shown:
    """A setting as it is shown: a secret never but for its end."""
    value = settings_actions.current(service, key)
    secret = info.annotation is SecretStr
    return {
        "variable": key,
        "description": info.description,
        "required": info.is_required(),
        "secret": secret,
        "default": None if secret or info.is_required() else plain(info.get_default()),
        "set": bool(value),
        "by": set_by(service, key, value),
        "fixed": settings_actions.is_fixed(service, key),
        "value": None if secret else value,
        "ends": value[-TAIL:] if secret and len(value) >= LONG_ENOUGH else None,
        "left_out": service.left_out.get(key),
    }


def set_by(service: Service, key: str, value: str) -> str | None:
    """Who set it: `environment`, the variable that names a `file`, or the `browser`."""
    if service.given.get(key):
        return "environment"
    if service.given.get(f"{key}_FILE"):
        return "file"
    return "browser" if value else None


# --- what the last test came to


def last_result(connection: Connection, name: str) -> Shown | None:
    value = connection.execute(select(note.c.value).where(note.c.name == f"tested.{name}")).scalar()
    return None if value is None else dict(value)


def store_result(connection: Connection, name: str, works: bool, says: str) -> None:
    forget_result(connection, name)
    value = {"works": works, "says": says, "at": stamp(clock.now())}
    connection.execute(insert(note), {"name": f"tested.{name}", "value": value})


def forget_result(connection: Connection, name: str) -> None:
    connection.execute(delete(note).where(note.c.name == f"tested.{name}"))


def latest_result(connection: Connection, one: ServiceInfo) -> Shown | None:
    """How the last test went, or for a server the last catch-up, whichever was later."""
    tested = last_result(connection, one.name)
    if one.kind != "server":
        return tested
    mark = catch_up.mark_of(connection, one.name)
    if mark.ran_at is None or (tested is not None and tested["at"] >= (stamp(mark.ran_at) or "")):
        return tested
    says = mark.error or "The last catch-up succeeded."
    return {"works": mark.error is None, "says": says, "at": stamp(mark.ran_at)}


# --- test now


async def test(service: Service, visitor: Visitor, one: ServiceInfo, account_id: int | None) -> list[Shown]:
    """Ask the service whether it works; what came of it, one for each account of a tracker."""
    if one.kind == "tracker":
        return await test_accounts(service, visitor, one, account_id)
    if not is_set_up(service, one):
        raise Problem(409, f"{one.label} is not set up yet. Enter its settings first.")
    tried = (
        await send_test_notification(service) if one.kind == "notices" else await try_settings(service, one)
    )
    await service.database.run(lambda connection: store_result(connection, one.name, tried.works, tried.says))
    return [{"account": None, "person": None, "works": tried.works, "says": tried.says}]


async def test_accounts(
    service: Service, visitor: Visitor, one: ServiceInfo, account_id: int | None
) -> list[Shown]:
    whole = await service.database.read(lambda connection: visible.accounts(connection, visitor))
    meant = [
        entry
        for entry in whole
        if entry["tracker"] == one.name and (account_id is None or entry["id"] == account_id)
    ]
    if account_id is not None and not meant:
        raise Problem(404, f"Account {account_id} was not found at {one.label}.")
    if not meant:
        raise Problem(409, f"Nobody is signed in to {one.label} yet. Sign in first.")
    verdicts = await asyncio.gather(*(accounts.check_account(service, entry["id"]) for entry in meant))
    results: list[Shown] = [
        {
            "account": entry["id"],
            "person": entry["person"],
            "works": verdict.works,
            "says": verdict_sentence(verdict),
        }
        for entry, verdict in zip(meant, verdicts, strict=True)
    ]

    def store(connection: Connection) -> None:
        for result in results:
            store_result(connection, f"account.{result['account']}", result["works"], result["says"])

    await service.database.run(store)
    return results


def verdict_sentence(verdict: AccountCheck) -> str:
    """What a check of an account came to, and what is to be done."""
    if verdict.works:
        return f"Working as {verdict.name}."
    said = sentence(verdict.reason or "Not working")
    return (
        f"{said} {NEEDS[verdict.park]}" if verdict.park else f"{said} Deliveries are kept; test again later."
    )


def sentence(text: str) -> str:
    """The text as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


@dataclass(frozen=True, kw_only=True, slots=True)
class TestResult:
    """What a service said to its settings. `answered`: it did say something."""

    works: bool
    says: str
    answered: bool = True


async def send_test_notification(service: Service) -> TestResult:
    """A notice to every address, as a test."""
    failed = await Notifier(environment.load(service.environ)).send(notifications.example())
    if failed is None:
        return TestResult(works=True, says="Test sent. Check that it arrived.")
    return TestResult(works=False, says=f"The test could not be sent: {failed}. Correct the addresses below.")


async def try_settings(service: Service, one: ServiceInfo, environ: Environ | None = None) -> TestResult:
    """What the service says to these settings, or to those it has. Raises SettingsError where they are wrong."""
    work = probe(service, one, service.environ if environ is None else environ)
    try:
        async with asyncio.timeout(TEST_TIMEOUT):
            return TestResult(works=True, says=await work())
    except TimeoutError:
        reason = f"{one.label} did not answer within {TEST_TIMEOUT:.0f} seconds"
        return TestResult(works=False, says=sentence(reason), answered=False)
    except SignInFailed as error:
        return TestResult(works=False, says=sentence(str(error)), answered=not is_temporary(error.__cause__))
    except Undelivered as error:
        return TestResult(works=False, says=sentence(error.reason), answered=not is_temporary(error))
    except (httpx.InvalidURL, ValueError) as error:  # an address or a key that no call can carry
        return TestResult(works=False, says=f"{one.label} can't be reached with these settings: {error}.")


def is_temporary(error: BaseException | None) -> bool:
    """Whether it says nothing of the settings: nobody answered, or was too busy to."""
    return isinstance(error, Retry) or (isinstance(error, Snooze) and error.park is None)


def probe(service: Service, one: ServiceInfo, environ: Environ) -> Callable[[], Any]:
    """The one cheap call that tries the settings; it gives what to say when it went well."""
    built = build_client(service, one, environ)

    async def nothing_to_ask() -> str:
        return "The settings are valid."

    async def by_code() -> str:
        await cast(Device, built).begin()  # nobody sees this code; it just expires
        return f"{one.label} accepted these settings."

    async def by_check() -> str:
        name = await cast(Checks | Server, built).check()
        return "The key was accepted." if one.kind == "lookup" else f"Connected as {name}."

    if one.kind in ("lookup", "server"):
        return by_check
    by_device = one.kind == "tracker" and cast(Tracker, built).sign_in in ("device", "web")
    return by_code if by_device else nothing_to_ask


def build_client(service: Service, one: ServiceInfo, environ: Environ) -> Any:
    """The service's client with these settings, used by nobody else; raises SettingsError."""
    if one.kind == "notices":
        return notifications.check(environment.load(environ))
    modules = {"tracker": trackers.modules, "lookup": lookups.modules, "server": servers.modules}[one.kind]()
    made = settings_actions.build_optional_client(one.name, modules[one.name], environ, service.http)
    if made is None:
        raise SettingsError(f"{one.label} is not set up")
    return made


# --- settings


class UnverifiedSettings(Problem):
    """The service could not be asked whether it accepts the settings; they can be kept all the same."""


async def save(
    service: Service, one: ServiceInfo, given: Mapping[str, Any], anyway: bool
) -> TestResult | None:
    """Try the settings, then keep them, and open the service anew; None where that switches it off.

    Raises Problem where they are wrong or refused, Unanswered where nobody could say; then nothing was changed.
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


async def try_new_settings(service: Service, one: ServiceInfo, environ: Environ) -> TestResult | None:
    """What the service says to settings that are not kept yet."""
    if not any(environment.value_of(key, environ) for key in one.fields):
        return None
    try:
        return await try_settings(service, one, environ)
    except SettingsError as error:
        raise Problem(422, f"{sentence(str(error))} Nothing was changed.") from error


def store_settings_result(connection: Connection, one: ServiceInfo, tried: TestResult | None) -> None:
    """What the settings came to, where that says something of the service."""
    forget_result(connection, one.name)
    if tried is not None and one.kind in ("lookup", "server"):
        store_result(connection, one.name, tried.works, tried.says)


def merge_environment(connection: Connection, service: Service, wanted: Changes) -> Environ:
    """The whole environment as it would be with these settings."""
    held = {**settings_store.read_stored(connection, service.seal), **wanted}
    return settings_store.overlay(service.given, {name: value for name, value in held.items() if value})


def check_settings(one: ServiceInfo, given: Mapping[str, Any]) -> dict[str, str | None]:
    """The settings without the blanks around them; raises Problem for what is none of this service's."""
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


# --- signing in and out


async def resolve_person(service: Service, visitor: Visitor, name: str | None) -> tuple[int, str]:
    """For whom a sign-in is, id and name: anybody for the owner, only oneself for others; raises Problem."""
    wanted = name or visitor.name
    if not wanted:
        raise Problem(422, "person is required: the person to sign in.")

    def read(connection: Connection) -> tuple[int, str]:
        row = changes.find_person(connection, visitor, wanted)
        return int(row.id), str(row.name)

    return await service.database.read(read)


async def begin_sign_in(service: Service, person_id: int, one: ServiceInfo) -> SignIn:
    """A sign-in by code or page, waited for from now on; raises Problem."""
    try:
        return await service.sign_ins.begin(person_id, one.name)
    except (AccountError, SignInFailed) as error:
        raise Problem(409, f"{sentence(str(error))} Nothing was changed.") from error


async def sign_in(service: Service, person_id: int, one: ServiceInfo, given: Mapping[str, str]) -> Shown:
    """Sign in by name and password, or by a token, whichever the tracker takes; raises Problem."""
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
        else:
            raise Problem(409, f"{tracker.label} is built in and needs no sign-in.")
    except (AccountError, SignInFailed) as error:
        raise Problem(422, f"{sentence(str(error))} You are not signed in.") from error
    verdict = done.verdict

    def store(connection: Connection) -> None:
        store_result(connection, f"account.{done.account_id}", verdict.works, verdict_sentence(verdict))

    await service.database.run(store)
    return {"account": done.account_id, "works": verdict.works, "says": verdict_sentence(verdict)}


def _require(given: object, otherwise: str) -> None:
    if not given:
        raise Problem(422, otherwise)


async def disconnect(service: Service, visitor: Visitor, account_id: int) -> bool:
    """Give up a sign-in; whether the account is gone with it. Raises Problem."""
    row = await service.database.read(
        lambda connection: changes.find_account(connection, visitor, account_id)
    )
    tracker = service.trackers.get(row.tracker)
    if tracker is not None and tracker.sign_in == "none":
        raise Problem(409, f"{tracker.label} is built in, so there is no account to disconnect.")
    for waiting in service.sign_ins.of(row.tracker):
        if waiting.person_id == row.person_id:
            service.sign_ins.cancel(waiting)
    gone = await accounts.disconnect(service, account_id)
    await service.database.run(lambda connection: forget_result(connection, f"account.{account_id}"))
    return gone


def describe_sign_in(connection: Connection, made: SignIn) -> Shown:
    """A sign-in under way, or how it ended, as the API gives it."""
    who = connection.execute(select(person.c.name).where(person.c.id == made.person_id)).scalar()
    code = made.code
    return {
        "id": made.id,
        "tracker": made.tracker,
        "person": who,
        "state": made.state,
        "user_code": (code.user_code or None) if made.under_way else None,
        "url": code.url if made.under_way else None,
        "seconds_left": made.left(clock.now()) if made.under_way else 0,
        "says": made.says,
        "works": made.works,
        "account": made.account_id,
    }


def may_see(visitor: Visitor, made: SignIn) -> bool:
    return visitor.is_admin or visitor.person_id == made.person_id


def find_sign_in(service: Service, visitor: Visitor, wanted: str) -> SignIn:
    """The sign-in of that id; somebody else's than the visitor's own is not found."""
    made = service.sign_ins.get(wanted)
    if made is None or not may_see(visitor, made):
        raise Problem(404, "This sign-in has expired. Start again.")
    return made
