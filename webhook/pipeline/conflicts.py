"""Conflict keys of a webhook: the people, the identity and the players that its interpretation may change.

Webhooks without a common key can be interpreted at the same time; those that share one go in order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import orjson
from sqlalchemy import Connection

from webhook.domain.event import Action, Event
from webhook.domain.rules import HouseholdRule, viewers
from webhook.people import household, identities
from webhook.people.people import fold_name
from webhook.pipeline.parsed import Parsed
from webhook.queues.inbox import event_person_id
from webhook.queues.players import lacks_player


class Name(NamedTuple):
    """An identity as its table has it."""

    source: str
    server: str
    user: str


class Known(NamedTuple):
    """An identity that exists, and who claims it."""

    id: int
    person_id: int | None
    ignored: bool
    account_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conflicts:
    """The conflict keys of one webhook, and the ids of the players it came from, whose keys are among them.

    A player counts by its id alone: a play that goes on at another server keeps the name of its first.
    """

    keys: frozenset[str] = frozenset()
    players: frozenset[str] = frozenset()


class Barrier(Exception):
    """The webhook may change whose events are whose, so that it conflicts with every other."""


class ConflictReader:
    """Reads the conflict keys of webhooks; what they share is read once."""

    def __init__(self, connection: Connection, *, claim_first: bool, collection_of: str) -> None:
        self.connection = connection
        self.claim_first = claim_first
        self.collection_of = collection_of
        self.known: dict[Name, Known] = {}

    def read(self, waiting: Sequence[tuple[Parsed, int | None]]) -> list[Conflicts | None]:
        """The keys of each webhook, given with the person of its token; None for one that is a barrier."""
        names = {name for parsed, _ in waiting for name in names_of(parsed)}
        self.known = fetch_identities(self.connection, names)
        return [self.read_one(parsed, bound) for parsed, bound in waiting]

    def read_one(self, parsed: Parsed, bound: int | None) -> Conflicts | None:
        if not isinstance(parsed.events, list):
            return Conflicts()
        try:
            keys = self.keys_of(parsed, parsed.events[0], bound)
        except Barrier:
            return None
        players = frozenset(event.player_id for event in parsed.events if event.player_id)
        return Conflicts(frozenset([*keys, *map(player_key, players)]), players)

    def keys_of(self, parsed: Parsed, event: Event, bound: int | None) -> list[str]:
        """The keys of the identity and of everybody for whom the event counts, as the interpreter finds them."""
        person_id = event_person_id(parsed.row.content_type)
        if person_id is not None:
            named = [f"identity:{self.identity(parsed, event).id}"] if event.user else []
            return [*named, *self.people(event, person_id, bound)]
        if event.user is None and event.action is Action.ADD and bound is None:
            return [] if self.collector is None else self.people(event, self.collector, bound)
        if bound is not None and not event.user:
            return self.people(event, bound, bound)
        found = self.identity(parsed, event)
        if found.person_id is not None:
            return [f"identity:{found.id}", *self.people(event, found.person_id, bound)]
        if self.claim_first and bound is None and not found.ignored and not self.has_claims:
            raise Barrier
        return [f"identity:{found.id}"]

    def people(self, event: Event, owner: int, bound: int | None) -> list[str]:
        others = self.others(event, owner) if bound is None else ()
        return [person_key(person_id) for person_id in {owner, *others}]

    def others(self, event: Event, owner: int) -> Iterable[int]:
        """Everybody for whom the event may count: where it names no player, that of any rule may be found."""
        if lacks_player(event):
            return {person_id for rule in self.rules for person_id in rule.people}
        return viewers(event, owner, self.rules)

    def identity(self, parsed: Parsed, event: Event) -> Known:
        """The identity of the event's user; raises Barrier if it would be added or claimed."""
        name = identity_name(parsed.row.source, event)
        found = self.known.get(name)
        if found is not None and identities.is_another_account(found.account_ids, event.user_id):
            label = f"{event.user or identities.UNNAMED_USER} (account {event.user_id})"
            name = name._replace(user=fold_name(label)[: identities.MAX_USER_LENGTH])
            self.known |= fetch_identities(self.connection, [name, *anywhere(name)])
            found = self.known.get(name)
        if found is None:
            raise Barrier
        if found.person_id is None and any(is_claimed(self.known.get(other)) for other in anywhere(name)):
            raise Barrier
        return found

    @cached_property
    def rules(self) -> list[HouseholdRule]:
        return household.rules(self.connection)

    @cached_property
    def has_claims(self) -> bool:
        return identities.has_claims(self.connection)

    @cached_property
    def collector(self) -> int | None:
        found = identities.owner_of_collection(self.connection, self.collection_of)
        return None if found is None else found.person_id


def player_key(player_id: str) -> str:
    return f"player:{player_id}"


def person_key(person_id: int) -> str:
    return f"person:{person_id}"


def names_of(parsed: Parsed) -> Iterable[Name]:
    """The names that decide whose a webhook's events are."""
    if isinstance(parsed.events, list):
        name = identity_name(parsed.row.source, parsed.events[0])
        yield name
        yield from anywhere(name)


def identity_name(source: str, event: Event) -> Name:
    longest = identities.MAX_USER_LENGTH
    user = fold_name(event.user or identities.UNNAMED_USER)
    return Name(source, (event.server or "")[:longest], user[:longest])


def anywhere(name: Name) -> Iterable[Name]:
    """The names whose claim holds for this one too."""
    yield name._replace(server="")
    if name.source == "tautulli":
        yield Name("plex", name.server or "-", name.user)


def is_claimed(found: Known | None) -> bool:
    return found is not None and found.person_id is not None


IDENTITIES = """
    SELECT i.source, i.server, i."user", i.id, i.person_id, i.ignored, i.account_ids
    FROM unnest(%(sources)s::text[], %(servers)s::text[], %(users)s::text[]) AS wanted (source, server, "user")
    JOIN identity i ON i.source = wanted.source AND i.server = wanted.server AND i."user" = wanted."user"
"""


def fetch_identities(connection: Connection, names: Collection[Name]) -> dict[Name, Known]:
    sources, servers, users = (list(column) for column in zip(*names, strict=True)) if names else ([], [], [])
    wanted = {"sources": sources, "servers": servers, "users": users}
    return {
        Name(source, server, user): Known(made, person_id, ignored, tuple(orjson.loads(account_ids)))
        for source, server, user, made, person_id, ignored, account_ids in connection.exec_driver_sql(
            IDENTITIES, wanted
        )
    }
