"""Tests of a connection: one cheap call that checks whether the service accepts its settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import httpx
from sqlalchemy import Connection

from webhook import lookups, servers, trackers
from webhook import settings as environment
from webhook.accounts import accounts
from webhook.domain.outcome import Retry, Snooze, Undelivered
from webhook.lookups import Checks
from webhook.maintenance import notifications
from webhook.maintenance.notifications import Notifier
from webhook.servers import Server
from webhook.service import Service
from webhook.settings import Environ, SettingsError
from webhook.trackers import Device, SignInFailed, Tracker
from webhook.web import visible
from webhook.web.connections import settings_actions
from webhook.web.connections.catalog import ServiceInfo
from webhook.web.connections.models import TestResult
from webhook.web.connections.states import is_set_up, sentence, store_result, verdict_sentence
from webhook.web.http.errors import Problem
from webhook.web.visible import Visitor

TEST_TIMEOUT = 30.0
"""Seconds within which a service must answer a test."""


# --- test now


async def test(
    service: Service, visitor: Visitor, one: ServiceInfo, account_id: int | None
) -> list[TestResult]:
    """Test a service; returns one result for each account of a tracker."""
    if one.kind == "tracker" or account_id is not None:
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
) -> list[TestResult]:
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
    results: list[TestResult] = [
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


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """Result of checking a service's settings; `answered` is False if the service did not respond."""

    works: bool
    says: str
    answered: bool = True


async def send_test_notification(service: Service) -> CheckResult:
    """Send a test notification to every address."""
    failed = await Notifier(environment.load(service.environ)).send(notifications.example_notice())
    if failed is None:
        return CheckResult(works=True, says="Test sent. Check that it arrived.")
    return CheckResult(
        works=False, says=f"The test could not be sent: {failed}. Correct the addresses below."
    )


async def try_settings(service: Service, one: ServiceInfo, environ: Environ | None = None) -> CheckResult:
    """Check a service with these settings, or with its current ones; raises SettingsError if they are invalid."""
    work = probe(service, one, service.environ if environ is None else environ)
    try:
        async with asyncio.timeout(TEST_TIMEOUT):
            return CheckResult(works=True, says=await work())
    except TimeoutError:
        reason = f"{one.label} did not answer within {TEST_TIMEOUT:.0f} seconds"
        return CheckResult(works=False, says=sentence(reason), answered=False)
    except SignInFailed as error:
        return CheckResult(works=False, says=sentence(str(error)), answered=not is_temporary(error.__cause__))
    except Undelivered as error:
        return CheckResult(works=False, says=sentence(error.reason), answered=not is_temporary(error))
    except (httpx.InvalidURL, ValueError) as error:  # an address or a key that no call can carry
        return CheckResult(works=False, says=f"{one.label} can't be reached with these settings: {error}.")


def is_temporary(error: BaseException | None) -> bool:
    """True for an error that is no verdict on the settings: no response, or a busy service."""
    return isinstance(error, Retry) or (isinstance(error, Snooze) and error.park is None)


def probe(service: Service, one: ServiceInfo, environ: Environ) -> Callable[[], Any]:
    """The cheap call that tests the settings; it returns the message on success."""
    built = build_client(service, one, environ)

    async def accept_settings() -> str:
        return "The settings are valid."

    async def by_code() -> str:
        await cast(Device, built).begin()  # nobody uses this code; it expires
        return f"{one.label} accepted these settings."

    async def by_check() -> str:
        await cast(Checks, built).check()
        return "The key was accepted."

    async def by_report() -> str:
        return await servers.describe_server(cast(Server, built))

    if one.kind in ("lookup", "server"):
        return by_check if one.kind == "lookup" else by_report
    by_device = one.kind == "tracker" and cast(Tracker, built).sign_in in ("device", "web")
    return by_code if by_device else accept_settings


def build_client(service: Service, one: ServiceInfo, environ: Environ) -> Any:
    """A separate client of the service with these settings; raises SettingsError."""
    if one.kind == "notices":
        return notifications.count_addresses(environment.load(environ))
    modules = {"tracker": trackers.modules, "lookup": lookups.modules, "server": servers.modules}[one.kind]()
    made = settings_actions.build_optional_client(one.name, modules[one.name], environ, service.http)
    if made is None:
        raise SettingsError(f"{one.label} is not set up")
    return made
