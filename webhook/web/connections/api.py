"""API of services and accounts: settings, tests, sign-ins, rules and options."""

from __future__ import annotations

from typing import Any

from webhook.people.scopes import Scope
from webhook.queries.paging import Page
from webhook.web import actions, visible
from webhook.web.connections import actions as connections
from webhook.web.connections import catalog, states, testing
from webhook.web.connections.models import (
    Account,
    Connected,
    ConnectionJson,
    Rules,
    SavedSettings,
    ServerConnected,
    ServerSignIn,
    ServiceName,
    SettingsRequest,
    SignInJson,
    SignInRequest,
    Tells,
    TestReport,
    TestRequest,
)
from webhook.web.http.api import found_or, list_of
from webhook.web.http.models import Removed
from webhook.web.http.operations import Call, Operation

BY_NAME = {"name": ServiceName}
BY_KEY = {"id": str}


async def list_connections(call: Call[None, None]) -> Page[ConnectionJson]:
    """All services with their states."""
    return list_of(
        await call.read(lambda connection: states.list_services(connection, call.service, call.visitor))
    )


async def get_connection(call: Call[None, None]) -> ConnectionJson:
    """One service with its state."""
    one = catalog.find_service(call.visitor, call.path("name"))
    return await call.read(
        lambda connection: states.describe_service(connection, call.service, call.visitor, one)
    )


async def test_connection(call: Call[TestRequest, None]) -> TestReport:
    """Test a service; for notifications, send a test notification."""
    one = catalog.find_service(call.visitor, call.path("name"))
    results = await testing.test(call.service, call.visitor, one, call.body.account)
    return {"name": one.name, "works": all(result["works"] for result in results), "results": results}


async def save_settings(call: Call[SettingsRequest, None]) -> SavedSettings:
    """Save a service's settings after checking them; they take effect within a second. Owner only."""
    one = catalog.find_service(call.visitor, call.path("name"))
    tried = await connections.save(call.service, one, call.body.settings, call.body.anyway)
    says = "It is switched off." if tried is None else tried.says
    works = None if tried is None else tried.works
    return {"saved": True, "works": works, "says": says, "reopens": call.service.reopen is not None}


# --- accounts


async def list_accounts(call: Call[None, None]) -> Page[Account]:
    """Accounts, with whether they work."""
    return list_of(await call.read(lambda connection: visible.accounts(connection, call.visitor)))


async def set_rules(call: Call[Rules, None]) -> Account:
    """Set an account's rules."""
    wanted, rules = call.id, call.body.to_json()
    await call.write(lambda connection: actions.set_rules(connection, call.visitor, wanted, rules))
    return await get_account(call, wanted)


async def set_tells(call: Call[Tells, None]) -> Account:
    """Set which optional actions are sent to an account."""
    wanted, built = call.id, call.service.trackers
    await call.write(
        lambda connection: actions.set_tells(connection, built, call.visitor, wanted, call.body.tells)
    )
    return await get_account(call, wanted)


async def get_account(call: Call[Any, None], wanted: int) -> Account:
    mine = await call.read(lambda connection: visible.accounts(connection, call.visitor))
    found = next((account for account in mine if account["id"] == wanted), None)
    return found_or(found, f"Account {wanted} was not found.")


# --- signing in and out


async def connect_account(call: Call[SignInRequest, None]) -> Connected:
    """Sign in to a tracker. For a sign-in by code or web page, show the contents of `sign_in` and poll its state."""
    service, body = call.service, call.body
    one = catalog.find_service(call.visitor, body.tracker)
    person_id, _ = await connections.resolve_person(service, call.visitor, body.person)
    if states.sign_in_of(service, one) in ("password", "token", "receiver"):
        made_at = await connections.sign_in(service, call.visitor, person_id, one, body.texts())
        return {**made_at, "sign_in": None}
    made = await connections.begin_sign_in(service, person_id, one)
    shown = await call.read(lambda connection: connections.describe_sign_in(connection, made))
    return {"account": None, "works": None, "says": None, "sign_in": shown}


async def connect_server(call: Call[ServerSignIn, None]) -> ServerConnected:
    """Sign in to a media server, which is tested, kept and listened to. Owner only."""
    one = catalog.find_service(call.visitor, call.path("name"))
    made = await connections.connect_server(call.service, call.visitor, one, call.body)
    if isinstance(made, str):
        return {"says": made, "sign_in": None}
    shown = await call.read(lambda connection: connections.describe_sign_in(connection, made))
    return {"says": None, "sign_in": shown}


async def disconnect_account(call: Call[None, None]) -> Removed:
    """Disconnect an account; one with deliveries stays, signed out (`removed` is false)."""
    wanted = call.id
    return {"id": wanted, "removed": await connections.disconnect(call.service, call.visitor, wanted)}


async def get_sign_in(call: Call[None, None]) -> SignInJson:
    """The state of a sign-in."""
    made = connections.find_sign_in(call.service, call.visitor, call.path("id"))
    return await call.read(lambda connection: connections.describe_sign_in(connection, made))


async def cancel_sign_in(call: Call[None, None]) -> SignInJson:
    """Cancel a sign-in."""
    made = connections.find_sign_in(call.service, call.visitor, call.path("id"))
    call.service.sign_ins.cancel(made)
    return await call.read(lambda connection: connections.describe_sign_in(connection, made))


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation("GET", "/connections", list_connections, Scope.ADMIN),
    Operation("GET", "/connections/{name}", get_connection, Scope.ADMIN, path_types=BY_NAME),
    Operation(
        "POST",
        "/connections/{name}/test",
        test_connection,
        Scope.ADMIN,
        path_types=BY_NAME,
        body=TestRequest,
        body_optional=True,
    ),
    Operation(
        "PUT",
        "/connections/{name}/settings",
        save_settings,
        Scope.ADMIN,
        owner_only=True,
        path_types=BY_NAME,
        body=SettingsRequest,
    ),
    Operation(
        "POST",
        "/connections/{name}/connect",
        connect_server,
        Scope.ADMIN,
        owner_only=True,
        path_types=BY_NAME,
        body=ServerSignIn,
    ),
    Operation("GET", "/accounts", list_accounts, Scope.READ),
    Operation("POST", "/accounts/connect", connect_account, Scope.ADMIN, body=SignInRequest),
    Operation("DELETE", "/accounts/{id}", disconnect_account, Scope.ADMIN),
    Operation("PUT", "/accounts/{id}/rules", set_rules, Scope.ADMIN, body=Rules),
    Operation("PUT", "/accounts/{id}/tells", set_tells, Scope.ADMIN, body=Tells),
    Operation("GET", "/sign-ins/{id}", get_sign_in, Scope.ADMIN, path_types=BY_KEY),
    Operation("DELETE", "/sign-ins/{id}", cancel_sign_in, Scope.ADMIN, path_types=BY_KEY),
)
