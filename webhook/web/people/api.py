"""API of people: identities, filters and household rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection

from webhook import sources
from webhook.domain.rules import Filters
from webhook.people import household
from webhook.people.household import HouseholdRuleJson
from webhook.people.scopes import Scope
from webhook.queries.paging import Page
from webhook.queries.people import IdentityJson, PersonJson, UnclaimedJson
from webhook.web import actions, visible
from webhook.web.http.addresses import address_of
from webhook.web.http.api import found_or, list_of
from webhook.web.http.models import Removed
from webhook.web.http.operations import Call, Operation
from webhook.web.people import actions as administration
from webhook.web.people.models import (
    ChangedPassword,
    HouseholdRequest,
    IdentitiesQuery,
    IdentityRequest,
    Invitation,
    NewPerson,
    OidcUserJson,
    OidcUserRequest,
    PasskeyChange,
    PasskeyJson,
    PasswordChange,
    PersonChange,
    PersonDetail,
    PersonFilters,
    PersonName,
    Preview,
    RemovedPerson,
    SessionJson,
)
from webhook.web.people.preview import meanings, preview
from webhook.web.visible import Visitor

BY_NAME = {"name": PersonName}
FindIdentities = Callable[[Connection, Visitor], Sequence[IdentityJson]]


async def list_people(call: Call[None, None]) -> Page[PersonJson]:
    """All people with their identities."""
    return list_of(await call.read(lambda connection: visible.people(connection, call.visitor)))


async def add_person(call: Call[NewPerson, None]) -> PersonJson:
    """Add a person."""
    name = call.body.name
    await call.write(lambda connection: actions.add_person(connection, call.service.trackers, name))
    return await read_person(call, name.strip())


async def get_person(call: Call[None, None]) -> PersonDetail:
    """One person."""
    name = call.path("name")
    return await call.read(lambda connection: administration.one_person(connection, call.visitor, name))


async def change_person(call: Call[PersonChange, None]) -> PersonDetail:
    """Change a person's name or time zone."""
    return await administration.change(call.service, call.visitor, call.path("name"), call.body)


async def remove_person(call: Call[None, None]) -> RemovedPerson:
    """Remove a person with all their data: plays, accounts, deliveries, library and tokens."""
    name = call.path("name")
    gone = await call.write(lambda connection: administration.remove_person(connection, call.visitor, name))
    return {"name": name, "removed": True, "gone": gone}


async def invite(call: Call[None, None]) -> Invitation:
    """Create a one-time link by which a person sets a password; an earlier one becomes invalid."""
    here = address_of(call.service, call.request)
    return await administration.invite(call.service, call.visitor, call.path("name"), here)


async def change_password(call: Call[PasswordChange, None]) -> ChangedPassword:
    """Change one's own password, with the current one; all sessions of the person end."""
    name = call.path("name")
    own = call.auth.sessions.own_password
    await own.change(await own.row(call.visitor, name), call.body.known, call.body.password)
    return {"name": name, "changed": True}


async def read_person(call: Call[Any, None], name: str) -> PersonJson:
    everybody = await call.read(lambda connection: visible.people(connection, call.visitor))
    found = next((person for person in everybody if person["name"] == name), None)
    return found_or(found, "There is nobody of that name.")


# --- what counts for whom


async def list_identities(call: Call[None, IdentitiesQuery]) -> Page[UnclaimedJson | IdentityJson]:
    """The unclaimed identities, or the ignored ones."""
    query: FindIdentities = visible.ignore_list if call.query.ignored else visible.open_identities
    return list_of([*await call.read(lambda connection: query(connection, call.visitor))])


async def claim(call: Call[IdentityRequest, None]) -> PersonJson:
    """Claim an identity for a person."""
    return await change_identity(call, actions.claim)


async def release(call: Call[IdentityRequest, None]) -> PersonJson:
    """Release a claim."""
    return await change_identity(call, actions.release)


async def change_identity(
    call: Call[IdentityRequest, None], change: Callable[[Connection, str, str], int]
) -> PersonJson:
    name = call.path("name")
    wanted = actions.require_source(call.body.identity, sources.modules())

    def change_theirs(connection: Connection) -> int:
        actions.find_person(connection, call.visitor, name)
        return change(connection, name, wanted)

    await call.write(change_theirs)
    call.service.interpreter.news.set()
    return await read_person(call, name)


async def set_filters(call: Call[PersonFilters, None]) -> PersonJson:
    """Set a person's filters."""
    name, filters = call.path("name"), call.body.to_json()

    def change(connection: Connection) -> None:
        person = actions.find_person(connection, call.visitor, name)
        actions.set_filters(connection, person.id, filters)

    await call.write(change)
    return await read_person(call, name)


async def preview_filters(call: Call[PersonFilters, None]) -> Preview:
    """Preview the filters on a person's last 100 webhooks: those they would stop; nothing is changed."""
    name = call.path("name")
    filters = Filters.from_json(call.body.to_json())
    read = await call.read(
        lambda connection: meanings(connection, actions.find_person(connection, call.visitor, name))
    )
    return preview(read, filters)


async def list_household(call: Call[None, None]) -> Page[HouseholdRuleJson]:
    """The household rules. Owner only."""
    return list_of(await call.read(household.list_rules))


async def add_household_rule(call: Call[HouseholdRequest, None]) -> HouseholdRuleJson:
    """Add a household rule: plays on these players or from these libraries count for these people."""
    made = await call.write(lambda connection: actions.add_household_rule(connection, call.body))
    rules = await call.read(household.list_rules)
    return found_or(next((rule for rule in rules if rule["id"] == made), None), "It is gone again.")


async def remove_household_rule(call: Call[None, None]) -> Removed:
    """Remove a household rule; its plays stay."""
    wanted = call.id
    await call.write(lambda connection: actions.remove_household_rule(connection, wanted))
    return {"id": wanted, "removed": True}


# --- where people are signed in


async def list_sessions(call: Call[None, None]) -> Page[SessionJson]:
    """The browsers in which one is signed in, or for the owner everybody."""
    mine = None if call.visitor.is_admin else call.visitor.person_id or 0
    return list_of(
        await call.read(lambda connection: administration.list_sessions(connection, call.visitor, mine))
    )


async def end_session(call: Call[None, None]) -> Removed:
    """Sign a browser out."""
    session_id = call.id
    await call.write(lambda connection: administration.end_session(connection, call.visitor, session_id))
    return {"id": session_id, "removed": True}


# --- passkeys


async def list_passkeys(call: Call[None, None]) -> Page[PasskeyJson]:
    """One's passkeys, or for the owner everybody's. They are added in a browser."""
    mine = None if call.visitor.is_admin else call.visitor.person_id or 0
    return list_of(await call.read(lambda connection: administration.list_passkeys(connection, mine)))


async def rename_passkey(call: Call[PasskeyChange, None]) -> PasskeyJson:
    """Name a passkey anew."""
    wanted, name = call.id, call.body.name

    def rename(connection: Connection) -> list[PasskeyJson]:
        administration.rename_passkey(connection, call.visitor, wanted, name)
        return administration.list_passkeys(connection)

    listed = await call.write(rename)
    return next(one for one in listed if one["id"] == wanted)


async def remove_passkey(call: Call[None, None]) -> Removed:
    """Remove a passkey, and sign its person out wherever they signed in with one."""
    passkey_id = call.id
    await call.write(lambda connection: administration.remove_passkey(connection, call.visitor, passkey_id))
    return {"id": passkey_id, "removed": True}


# --- who the users of an OpenID provider are


async def list_oidc_users(call: Call[None, None]) -> Page[OidcUserJson]:
    """The users of the OpenID provider who have signed in: one's own, or for the owner everybody's, waiting ones first."""
    mine = None if call.visitor.is_admin else call.visitor.person_id or 0
    return list_of(await call.read(lambda connection: administration.list_oidc_users(connection, mine)))


async def assign_oidc_user(call: Call[OidcUserRequest, None]) -> OidcUserJson:
    """Say who a waiting user of the OpenID provider is; they can sign in from then on."""
    user_id, name = call.id, call.body.person
    return await call.write(
        lambda connection: administration.assign_oidc_user(connection, call.visitor, user_id, name)
    )


async def remove_oidc_user(call: Call[None, None]) -> Removed:
    """Forget a user of the OpenID provider, who cannot sign in any more."""
    user_id = call.id
    await call.write(lambda connection: administration.remove_oidc_user(connection, call.visitor, user_id))
    return {"id": user_id, "removed": True}


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation("GET", "/people", list_people, Scope.READ),
    Operation("POST", "/people", add_person, Scope.ADMIN, owner_only=True, body=NewPerson),
    Operation(
        "POST",
        "/people/{name:path}/claim",
        claim,
        Scope.ADMIN,
        owner_only=True,
        path_types=BY_NAME,
        body=IdentityRequest,
    ),
    Operation(
        "POST", "/people/{name:path}/release", release, Scope.ADMIN, path_types=BY_NAME, body=IdentityRequest
    ),
    Operation(
        "PUT", "/people/{name:path}/filters", set_filters, Scope.ADMIN, path_types=BY_NAME, body=PersonFilters
    ),
    Operation(
        "POST",
        "/people/{name:path}/filters/preview",
        preview_filters,
        Scope.READ,
        path_types=BY_NAME,
        body=PersonFilters,
    ),
    Operation("POST", "/people/{name:path}/invite", invite, Scope.ADMIN, owner_only=True, path_types=BY_NAME),
    Operation(
        "PUT",
        "/people/{name:path}/password",
        change_password,
        Scope.ADMIN,
        path_types=BY_NAME,
        body=PasswordChange,
    ),
    Operation("GET", "/people/{name:path}", get_person, Scope.READ, path_types=BY_NAME),
    Operation(
        "PATCH", "/people/{name:path}", change_person, Scope.ADMIN, path_types=BY_NAME, body=PersonChange
    ),
    Operation(
        "DELETE", "/people/{name:path}", remove_person, Scope.ADMIN, owner_only=True, path_types=BY_NAME
    ),
    Operation("GET", "/identities", list_identities, Scope.READ, query=IdentitiesQuery),
    Operation("GET", "/sessions", list_sessions, Scope.ADMIN),
    Operation("DELETE", "/sessions/{id}", end_session, Scope.ADMIN),
    Operation("GET", "/passkeys", list_passkeys, Scope.ADMIN),
    Operation("PATCH", "/passkeys/{id}", rename_passkey, Scope.ADMIN, body=PasskeyChange),
    Operation("DELETE", "/passkeys/{id}", remove_passkey, Scope.ADMIN),
    Operation("GET", "/oidc-users", list_oidc_users, Scope.ADMIN),
    Operation(
        "PUT", "/oidc-users/{id}", assign_oidc_user, Scope.ADMIN, owner_only=True, body=OidcUserRequest
    ),
    Operation("DELETE", "/oidc-users/{id}", remove_oidc_user, Scope.ADMIN),
    Operation("GET", "/household", list_household, Scope.ADMIN, owner_only=True),
    Operation("POST", "/household", add_household_rule, Scope.ADMIN, owner_only=True, body=HouseholdRequest),
    Operation("DELETE", "/household/{id}", remove_household_rule, Scope.ADMIN, owner_only=True),
)
