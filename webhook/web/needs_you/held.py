"""Marks by hand that came in a flood: listed, and decided by their person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from webhook.domain.event import Action
from webhook.people import people
from webhook.people.scopes import Scope
from webhook.queries.held import HeldJson, list_holds
from webhook.queries.paging import Page
from webhook.queues import hand_marks
from webhook.queues.hand_marks import HeldGroup
from webhook.web import actions
from webhook.web.http.api import list_of
from webhook.web.http.models import PersonQuery
from webhook.web.http.operations import Call, Operation
from webhook.web.needs_you.models import DecidedMarks, HeldMarks
from webhook.web.visible import Visitor

Decide = Callable[[Connection, HeldGroup], int]


async def list_held_marks(call: Call[None, PersonQuery]) -> Page[HeldJson]:
    """Marks by hand that are held, by person, server and kind."""
    name = await call.person_filter(call.query.person)

    def read(connection: Connection) -> list[HeldJson]:
        return list_holds(connection, None if name is None else people.find_person(connection, name).id)

    return list_of(await call.read(read))


async def accept_held_marks(call: Call[HeldMarks, None]) -> DecidedMarks:
    """Act on held marks as the person's own."""
    return await decide_marks(call, hand_marks.accept)


async def ignore_held_marks(call: Call[HeldMarks, None]) -> DecidedMarks:
    """Ignore held marks; the history stays as it is."""
    return await decide_marks(call, hand_marks.ignore)


async def decide_marks(call: Call[HeldMarks, None], decide: Decide) -> DecidedMarks:
    body = call.body
    count = await call.write(lambda connection: decide_holds(connection, call.visitor, body, decide))
    call.service.interpreter.news.set()
    return {"action": body.action, "marks": count}


def decide_holds(connection: Connection, visitor: Visitor, wanted: HeldMarks, decide: Decide) -> int:
    """Decide marks of a person whom the visitor may decide for; returns how many, 0 where they are decided."""
    row = actions.find_person(connection, visitor, wanted.person)
    group = HeldGroup(
        person_id=row.id,
        source=wanted.source,
        server=wanted.server,
        action=Action(wanted.action),
        until=wanted.until,
    )
    return decide(connection, group)


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation("GET", "/held", list_held_marks, Scope.READ, query=PersonQuery),
    Operation("POST", "/held/accept", accept_held_marks, Scope.HISTORY_WRITE, body=HeldMarks),
    Operation("POST", "/held/ignore", ignore_held_marks, Scope.HISTORY_WRITE, body=HeldMarks),
)
