"""The household: what plays on a shared player counts for several people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from webhook.domain.rules import HouseholdRule
from webhook.people import people
from webhook.people.people import Unknown
from webhook.storage.db import fresh_ids
from webhook.storage.tables import household, person

RULES = select(household).order_by(household.c.id)


def rules(connection: Connection) -> list[HouseholdRule]:
    return [
        HouseholdRule(tuple(row.players), tuple(row.libraries), tuple(row.people))
        for row in connection.execute(RULES)
    ]


def add(
    connection: Connection,
    players: Sequence[str],
    libraries: Sequence[str],
    names: Sequence[str],
    now: datetime,
) -> int:
    """A new rule's id; raises Unknown where it names nobody or would hold for everything."""
    if not players and not libraries:
        raise Unknown("a household rule needs a player or a library, or it would hold for everything")
    if not names:
        raise Unknown("a household rule needs the people that it counts for")
    whom = [people.by_name(connection, name).id for name in dict.fromkeys(names)]
    (made,) = fresh_ids(connection, household, 1)
    values = {"id": made, "players": list(players), "libraries": list(libraries), "people": whom}
    connection.execute(insert(household), {**values, "created_at": now})
    return made


def listed(connection: Connection) -> list[dict[str, Any]]:
    """The rules as the API gives them, with people's names."""
    names = {row.id: row.name for row in connection.execute(select(person.c.id, person.c.name))}
    return [
        {
            "id": row.id,
            "players": row.players,
            "libraries": row.libraries,
            "people": [names[whom] for whom in row.people if whom in names],
        }
        for row in connection.execute(RULES)
    ]


def remove(connection: Connection, rule_id: int) -> None:
    if not connection.execute(delete(household).where(household.c.id == rule_id)).rowcount:
        raise Unknown(f"there is no household rule {rule_id}")
