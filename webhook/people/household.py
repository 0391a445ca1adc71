"""The household: rules for shared players, whose plays count for several people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select
from typing_extensions import TypedDict

from webhook.domain.rules import HouseholdRule
from webhook.people.identities import NamedPerson
from webhook.people.ownership import lock_ownership
from webhook.people.people import PeopleError, find_person
from webhook.storage.db import fresh_ids
from webhook.storage.json_fields import Id
from webhook.storage.prepared import Prepared
from webhook.storage.rows import fetch_all
from webhook.storage.tables import HouseholdRow, household, person


class HouseholdRuleJson(TypedDict):
    """A rule as the API gives it, with people's names."""

    id: Id
    players: list[str]
    libraries: list[str]
    people: list[str]


SELECT_RULES = Prepared(select(household).order_by(household.c.id))


def household_rows(connection: Connection) -> list[HouseholdRow]:
    return fetch_all(connection, SELECT_RULES, HouseholdRow)


def rules(connection: Connection) -> list[HouseholdRule]:
    return [
        HouseholdRule(tuple(row.players), tuple(row.libraries), tuple(row.people))
        for row in household_rows(connection)
    ]


def add_rule(
    connection: Connection,
    players: Sequence[str],
    libraries: Sequence[str],
    names: Sequence[str],
    now: datetime,
) -> int:
    """Add a rule and return its id; raises PeopleError where it names nobody or would hold for everything."""
    lock_ownership(connection)
    if not players and not libraries:
        raise PeopleError("a household rule needs a player or a library, or it would hold for everything")
    if not names:
        raise PeopleError("a household rule needs the people that it counts for")
    people = [find_person(connection, name).id for name in dict.fromkeys(names)]
    (rule_id,) = fresh_ids(connection, household, 1)
    values = {"id": rule_id, "players": list(players), "libraries": list(libraries), "people": people}
    connection.execute(insert(household), {**values, "created_at": now})
    return rule_id


def list_rules(connection: Connection) -> list[HouseholdRuleJson]:
    names: dict[int, str] = dict(fetch_all(connection, select(person.c.id, person.c.name), NamedPerson))
    return [
        HouseholdRuleJson(
            id=row.id,
            players=row.players,
            libraries=row.libraries,
            people=[names[person_id] for person_id in row.people if person_id in names],
        )
        for row in household_rows(connection)
    ]


def remove_rule(connection: Connection, rule_id: int) -> None:
    lock_ownership(connection)
    if not connection.execute(delete(household).where(household.c.id == rule_id)).rowcount:
        raise PeopleError(f"there is no household rule {rule_id}")
