"""What needs a person: everything that waits for one, in one place, and how much it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from webhook import matches, trace
from webhook.tables import account, delivery, unresolved
from webhook.transfer import resolving
from webhook.web import views
from webhook.web.views import Visitor


@dataclass(slots=True)
class Needs:
    """What waits for this visitor, by what it takes."""

    unclaimed: list[dict[str, Any]] = field(default_factory=list)
    unmatched: list[dict[str, Any]] = field(default_factory=list)
    unresolved: list[dict[str, Any]] = field(default_factory=list)
    parked: list[dict[str, Any]] = field(default_factory=list)
    dead: list[dict[str, Any]] = field(default_factory=list)
    silent: list[dict[str, Any]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(len(getattr(self, name)) for name in self.__slots__)


def of(connection: Connection, visitor: Visitor, now: datetime, silence_days: int) -> Needs:
    return Needs(
        unclaimed=views.unclaimed(connection, visitor),
        unmatched=matches.waiting(connection, person_name=visitor.only)["items"],
        unresolved=resolving.waiting(connection, None if visitor.everything else visitor.person_id)["items"],
        parked=[entry for entry in views.accounts(connection, visitor) if entry["state"] != "working"],
        dead=trace.deliveries(connection, state="dead", person_name=visitor.only)["items"],
        silent=views.silent(connection, visitor, now, silence_days),
    )


def count(connection: Connection, visitor: Visitor, now: datetime, silence_days: int) -> int:
    """How many things wait, for the navigation and the title of every page: counted, not read."""
    stuck = select(func.count()).where(delivery.c.state.in_(("unmatched", "dead")))
    parked = select(func.count()).where(account.c.parked.is_not(None))
    if not visitor.everything:
        mine = select(account.c.id).where(account.c.person_id == visitor.person_id)
        stuck = stuck.where(delivery.c.account_id.in_(mine))
        parked = parked.where(account.c.person_id == visitor.person_id)
    found = connection.execute(stuck).scalar_one() + connection.execute(parked).scalar_one()
    if visitor.everything:
        nameless = select(func.count()).where(unresolved.c.state == "unmatched")
        found += connection.execute(nameless).scalar_one()
        found += len(views.unclaimed(connection, visitor))
        found += len(views.silent(connection, visitor, now, silence_days))
    return int(found)
