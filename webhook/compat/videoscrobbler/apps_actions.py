"""Actions on apps and privacy, for the page and the JSON API: the owner manages every app, others their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import Field
from sqlalchemy import Connection

from webhook import clock
from webhook.accounts.seal import Seal
from webhook.compat.videoscrobbler import apps
from webhook.compat.videoscrobbler.apps import AppJson
from webhook.people import people
from webhook.service import Service
from webhook.storage.db import Database
from webhook.web.actions import find_person, sentence_of
from webhook.web.http.errors import Problem
from webhook.web.visible import Visitor

T = TypeVar("T")


class NewAppJson(AppJson):
    secret: Annotated[str, Field(description="The shared secret, which is returned only this once.")]


def read_apps(connection: Connection, seal: Seal, visitor: Visitor) -> list[AppJson]:
    return apps.list_apps(connection, seal, None if visitor.is_admin else visitor.person_id)


def find_app(connection: Connection, seal: Seal, visitor: Visitor, app_id: int) -> AppJson:
    """The app; raises Problem if the visitor may not see it."""
    found = next((entry for entry in read_apps(connection, seal, visitor) if entry["id"] == app_id), None)
    if found is None:
        raise Problem(404, f"There is no app {app_id}.")
    return found


async def add_app(service: Service, visitor: Visitor, name: str, whose: str | None) -> NewAppJson:
    """Create an app; the secret is returned only this once. A member's app is their own. Raises Problem."""
    if not visitor.is_admin and whose not in (None, visitor.name):
        raise Problem(403, "person: an app of your own can be made here, and nobody else's.")

    def create(connection: Connection) -> NewAppJson:
        person_id = visitor.person_id if not visitor.is_admin else None
        if visitor.is_admin and whose is not None:
            person_id = people.find_person(connection, whose).id
        made = apps.create_app(connection, service.seal, name, person_id, clock.now())
        return {**find_app(connection, service.seal, visitor, made.id), "secret": made.secret}

    return await write_change(service.database, create)


async def suspend_or_resume(service: Service, visitor: Visitor, app_id: int, suspended: bool) -> AppJson:
    """Suspend or resume an app; raises Problem."""

    def apply(connection: Connection) -> AppJson:
        find_app(connection, service.seal, visitor, app_id)
        apps.suspend_app(connection, app_id, clock.now() if suspended else None)
        return find_app(connection, service.seal, visitor, app_id)

    return await write_change(service.database, apply)


async def delete_app(service: Service, visitor: Visitor, app_id: int) -> None:
    """Remove an app and end its sessions; raises Problem."""

    def apply(connection: Connection) -> None:
        find_app(connection, service.seal, visitor, app_id)
        apps.remove_app(connection, app_id, clock.now())

    await write_change(service.database, apply)


async def change_seen_by(database: Database, visitor: Visitor, name: str, whom: str) -> None:
    """Set who may see what this person watches; raises Problem."""
    await write_change(
        database,
        lambda connection: apps.set_seen_by(connection, find_person(connection, visitor, name).id, whom),
    )


async def write_change(database: Database, change: Callable[[Connection], T]) -> T:
    try:
        return await database.run(change)
    except people.PeopleError as error:
        raise Problem(422, sentence_of(error)) from error
