"""API of apps and of privacy."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Connection
from typing_extensions import TypedDict

from webhook.compat.videoscrobbler import apps
from webhook.compat.videoscrobbler import apps_actions as actions
from webhook.compat.videoscrobbler.apps import AppJson
from webhook.compat.videoscrobbler.apps_actions import NewAppJson
from webhook.people.scopes import Scope
from webhook.queries.paging import Page
from webhook.web.actions import find_person
from webhook.web.http.api import list_of, owner_only
from webhook.web.http.errors import Problem
from webhook.web.http.models import Body, OneOf, PersonQuery, Removed, Text
from webhook.web.http.operations import Call, Operation
from webhook.web.visible import Visitor


class AppRequest(Body):
    name: Annotated[Text, Field(json_schema_extra={"minLength": 1, "maxLength": apps.MAX_APP_NAME})]
    person: Annotated[
        Text | None,
        Field(json_schema_extra={"maxLength": 64}, description="Who alone may let it in."),
    ] = None


class AppChange(Body):
    suspended: bool


SeenBy = Annotated[
    str,
    OneOf(lambda: apps.SEEN_BY),
    Field(
        description="nobody until something is chosen. friends are the people here who have chosen friends or "
        "everyone too; everyone is whoever calls, also without a session of a person."
    ),
]


class Privacy(TypedDict):
    person: str
    seen_by: SeenBy


class PrivacyChange(Body):
    person: Text | None = None
    seen_by: SeenBy


async def list_apps(call: Call[None, None]) -> Page[AppJson]:
    """List the apps that may request a session: one's own, or all for the owner."""
    return list_of(
        await call.read(lambda connection: actions.read_apps(connection, call.service.seal, call.visitor))
    )


async def add_app(call: Call[AppRequest, None]) -> NewAppJson:
    """Create an app with its key and its shared secret, which is returned only this once."""
    return await actions.add_app(call.service, call.visitor, call.body.name, call.body.person or None)


async def suspend_app(call: Call[AppChange, None]) -> AppJson:
    """Suspend or resume an app and its sessions."""
    return await actions.suspend_or_resume(call.service, call.visitor, call.id, call.body.suspended)


async def remove_app(call: Call[None, None]) -> Removed:
    """Remove an app and end its sessions; its plays stay in the history."""
    wanted = call.id
    await actions.delete_app(call.service, call.visitor, wanted)
    return {"id": wanted, "removed": True}


async def get_privacy(call: Call[None, PersonQuery]) -> Privacy:
    """Get who may see a person's viewing through the VideoScrobbler API."""
    return await read_privacy(call, privacy_owner(call.visitor, call.query.person))


async def set_privacy(call: Call[PrivacyChange, None]) -> Privacy:
    """Set who may see a person's viewing through the VideoScrobbler API."""
    name = privacy_owner(call.visitor, call.body.person or None)
    await actions.change_seen_by(call.service.database, call.visitor, name, call.body.seen_by)
    return await read_privacy(call, name)


async def read_privacy(call: Call[Any, Any], name: str) -> Privacy:
    def read(connection: Connection) -> str:
        return apps.audience_of(connection, find_person(connection, call.visitor, name).id)

    return {"person": name, "seen_by": await call.read(read)}


def privacy_owner(visitor: Visitor, name: str | None) -> str:
    if name not in (None, visitor.name):
        owner_only(visitor)
    if (name or visitor.name) is None:
        raise Problem(400, "person must say whose.")
    return name or visitor.name or ""


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation("GET", "/apps", list_apps, Scope.ADMIN),
    Operation("POST", "/apps", add_app, Scope.ADMIN, body=AppRequest),
    Operation("PUT", "/apps/{id}", suspend_app, Scope.ADMIN, body=AppChange),
    Operation("DELETE", "/apps/{id}", remove_app, Scope.ADMIN),
    Operation("GET", "/privacy", get_privacy, Scope.READ, query=PersonQuery),
    Operation("PUT", "/privacy", set_privacy, Scope.ADMIN, body=PrivacyChange, body_status=400),
)
