"""Shared reads: the rows that the webhooks of one transaction share, each read once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, select

from webhook.domain.event import Action
from webhook.domain.rules import AccountRules, Filters, HouseholdRule, Target
from webhook.people import household
from webhook.storage.prepared import Prepared
from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import AccountRow, PersonRow, account, person, token

TOKEN_PERSON = Prepared(select(token.c.person_id).where(token.c.id == bindparam("token")))
PERSON = Prepared(select(person).where(person.c.id == bindparam("person")))
ACCOUNTS = Prepared(select(account).where(account.c.person_id == bindparam("person")))


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The kinds and actions that a tracker accepts, as the interpreter needs them."""

    kinds: frozenset[Any]
    can: frozenset[Action]


@dataclass(slots=True)
class SharedReads:
    """Cache of the rows that the webhooks of one transaction share, each read once."""

    connection: Connection
    capabilities: Mapping[str, Capabilities]
    _people: dict[int, PersonRow | None] = field(default_factory=dict)
    _targets: dict[int, list[Target]] = field(default_factory=dict)
    _trackers: dict[int, str] = field(default_factory=dict)
    _token_people: dict[int | None, int | None] = field(default_factory=dict)
    _rules: list[HouseholdRule] | None = None

    def token_person(self, token_id: int | None) -> int | None:
        """The person that a token belongs to; None for a household token."""
        if token_id not in self._token_people:
            found = TOKEN_PERSON.scalar(self.connection, {"token": token_id})
            self._token_people[token_id] = found
        return self._token_people[token_id]

    def person(self, person_id: int) -> PersonRow | None:
        if person_id not in self._people:
            found = fetch_first(self.connection, PERSON, PersonRow, {"person": person_id})
            self._people[person_id] = found
        return self._people[person_id]

    def targets(self, person_id: int) -> list[Target]:
        """A person's accounts that can receive deliveries."""
        if person_id not in self._targets:
            rows = fetch_all(self.connection, ACCOUNTS, AccountRow, {"person": person_id})
            self._trackers |= {row.id: row.tracker for row in rows}
            self._targets[person_id] = [
                Target(
                    id=row.id,
                    kinds=self.capabilities[row.tracker].kinds,
                    can=self.capabilities[row.tracker].can,
                    tells=frozenset(map(Action, row.tells)),
                    rules=AccountRules.from_json(row.rules),
                    server=row.server,
                )
                for row in rows
                if row.tracker in self.capabilities
            ]
        return self._targets[person_id]

    def asks_place(self, person_id: int) -> bool:
        """True if a filter of the person, or a rule of an account of theirs, asks for the player or the library."""
        viewer = self.person(person_id)
        own = Filters.from_json(viewer.filters if viewer else None)
        return own.is_by_place or any(target.rules.filters.is_by_place for target in self.targets(person_id))

    def accounts_at(self, person_id: int, trackers: Collection[str]) -> frozenset[int]:
        """A person's accounts at these trackers."""
        if not trackers:
            return frozenset()
        return frozenset(one.id for one in self.targets(person_id) if self._trackers[one.id] in trackers)

    def household_rules(self) -> list[HouseholdRule]:
        if self._rules is None:
            self._rules = household.rules(self.connection)
        return self._rules
