"""Queries for everything that waits for a person, listed and counted."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    collate,
    func,
    literal,
    or_,
    select,
    type_coerce,
)

from webhook.domain.outcome import DISCONNECTED
from webhook.domain.states import DeliveryState
from webhook.identity import matches
from webhook.identity.matches import UnmatchedJson
from webhook.queries.deliveries import (
    DeliveryJson,
    LimitJson,
    delivery_json,
    fetch_deliveries,
    limited_kinds,
    select_deliveries,
)
from webhook.queries.held import (
    HeldJson,
    HeldListJson,
    count_held_lists,
    count_holds,
    list_held_lists,
    list_holds,
)
from webhook.queries.people import AccountJson, UnclaimedJson, select_unclaimed_ids
from webhook.queries.senders import SilentServerJson
from webhook.queues import parking
from webhook.storage.json_sql import json_text
from webhook.storage.prepared import Prepared
from webhook.storage.rows import fetch_with
from webhook.storage.tables import UnresolvedRow, account, delivery, person, play_key, unresolved
from webhook.transfer import lookup_queue
from webhook.transfer.lookup_queue import UnresolvedJson
from webhook.web import visible
from webhook.web.http.params import whole
from webhook.web.visible import Visitor

MAX_LISTED = 20
"""Maximum entries listed of a kind; the rest is counted, and listed as these are done."""

SHOW = "show:title:"
EPISODE = "episode:title:"
PLEX_SHOW = "show:plex:"
PLEX_EPISODE = "episode:of:plex:"
MAPPED = ":mapped"


class QuestionJson(UnmatchedJson):
    """An item without a match, by its newest delivery, and the number of those that wait for the answer."""

    deliveries: int


class LimitedAccountJson(LimitJson):
    """A kind of call that a service refuses of an account."""

    id: int
    name: str | None


@dataclass(slots=True)
class Needs:
    """Everything that waits for this visitor, by kind; `counts` has the totals of the kinds listed only in part."""

    unclaimed: list[UnclaimedJson] = field(default_factory=list)
    unmatched: list[QuestionJson] = field(default_factory=list)
    unresolved: list[UnresolvedJson] = field(default_factory=list)
    parked: list[AccountJson] = field(default_factory=list)
    limited: list[LimitedAccountJson] = field(default_factory=list)
    dead: list[DeliveryJson] = field(default_factory=list)
    silent: list[SilentServerJson] = field(default_factory=list)
    held: list[HeldJson] = field(default_factory=list)
    held_lists: list[HeldListJson] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(self.counts.values())


def find_needs(connection: Connection, visitor: Visitor, now: datetime, silence_days: int) -> Needs:
    unclaimed = visible.open_identities(connection, visitor)
    accounts = visible.accounts(connection, visitor)
    parked = [entry for entry in accounts if entry["state"] != "working" and entry["why"] != DISCONNECTED]
    limited: list[LimitedAccountJson] = [
        {"id": entry["id"], "name": entry["name"], **limit} for entry in accounts for limit in entry["limits"]
    ]
    silent = visible.list_silent_servers(connection, visitor, now, silence_days)
    whole = {"unclaimed": len(unclaimed), "parked": len(parked), "silent": len(silent)}
    whose = None if visitor.is_admin else visitor.person_id or 0
    held, held_lists = list_holds(connection, whose), list_held_lists(connection, whose)
    whole |= {"limited": len(limited), "held": len(held), "held_lists": len(held_lists)}
    return Needs(
        unclaimed=unclaimed,
        unmatched=list_questions(connection, visitor),
        unresolved=imports(connection, visitor),
        parked=parked,
        limited=limited,
        dead=dead(connection, visitor),
        silent=silent,
        held=held,
        held_lists=held_lists,
        counts={**whole, **count_by_kind(connection, visitor)},
    )


def count(connection: Connection, visitor: Visitor, now: datetime, silence_days: int) -> int:
    """The number of things that wait, for the navigation and title of every page; counted without reading them."""
    counted = prepare_count(visitor.is_admin, connection.dialect.name)
    found, limited = counted.rows(connection, {"person": visitor.person_id or 0})[0]
    if limited:
        found += sum(map(len, limited_kinds(connection, visitor.restricted_to).values()))
    if visitor.is_admin:
        found += len(visible.list_silent_servers(connection, visitor, now, silence_days))
    return int(found)


@functools.cache
def prepare_count(is_admin: bool, dialect: str) -> Prepared:
    """The number of what is counted by the database alone, and that of parked deliveries, whose kinds are to be read."""
    anybody: Any = bindparam("person", type_=Integer)
    visitor = Visitor(is_admin=is_admin, person_id=anybody)
    signed_out = func.coalesce(account.c.parked_why, "") == DISCONNECTED
    parked = select(func.count()).where(account.c.parked.is_not(None), ~signed_out)
    if not is_admin:
        parked = parked.where(account.c.person_id == anybody)
    rows = (
        questions(visitor),
        asked_imports(dialect, visitor),
        stuck(visitor, "dead"),
        select_unclaimed_ids(None if is_admin else anybody),
    )
    whose = None if is_admin else anybody
    counts = [parked, count_holds(whose), count_held_lists(whose), *map(count_rows, rows)]
    limited = select(func.count()).where(parking.is_stuck(), delivery.c.state == DeliveryState.PARKED)
    total = functools.reduce(operator.add, (one.scalar_subquery() for one in counts))
    return Prepared(select(total, limited.scalar_subquery()))


def count_rows(wanted: Select[*tuple[Any, ...]]) -> Select[int]:
    return select(func.count()).select_from(wanted.subquery())


def count_by_kind(connection: Connection, visitor: Visitor) -> dict[str, int]:
    """The total of each kind that is listed only in part."""
    asked = {
        "unmatched": questions(visitor),
        "unresolved": asked_imports(connection.dialect.name, visitor),
        "dead": stuck(visitor, "dead"),
    }
    return {name: connection.execute(count_rows(wanted)).scalar_one() for name, wanted in asked.items()}


# --- deliveries


def stuck(visitor: Visitor, state: str) -> Select[Any]:
    """The ids of the visitor's deliveries in this state that nobody has dismissed."""
    undone = and_(delivery.c.state == state, delivery.c.settled_at.is_(None))
    wanted = select(delivery.c.id).where(parking.is_stuck(), undone)
    if not visitor.is_admin:
        mine = select(account.c.id).where(account.c.person_id == visitor.person_id)
        wanted = wanted.where(delivery.c.account_id.in_(mine))
    return wanted


def dead(connection: Connection, visitor: Visitor) -> list[DeliveryJson]:
    wanted = select_deliveries().where(delivery.c.id.in_(stuck(visitor, "dead")))
    rows = fetch_deliveries(connection, wanted.order_by(delivery.c.id.desc()).limit(MAX_LISTED))
    return [delivery_json(row) for row in rows]


def all_dead(connection: Connection, visitor: Visitor) -> list[int]:
    return list(connection.execute(stuck(visitor, "dead")).scalars())


def questions(visitor: Visitor) -> Select[int, int]:
    """The newest delivery of each unmatched item, one for all episodes of a show."""
    waiting = delivery.c.id.in_(stuck(visitor, "unmatched"))
    wanted = select(func.max(delivery.c.id).label("id"), func.count().label("number"))
    return wanted.where(waiting).group_by(*asked_about())


def asked_about() -> list[ColumnElement[Any]]:
    """The columns that group deliveries into one question, as in `matches.keys`: show or item, by ids and title."""
    item = type_coerce(delivery.c.item, Text)
    kind = json_text(item, "kind")
    of_show = kind.in_(("episode", "season"))
    title = case((of_show, json_text(item, "show")), else_=json_text(item, "title"))
    ids = case((of_show, json_text(item, "show_ids")), else_=json_text(item, "ids"))
    year = case((of_show, None), else_=json_text(item, "year"))
    nameless = and_(title.is_(None), or_(ids.is_(None), ids == "{}"))
    alone = case((nameless, cast(delivery.c.id, Text)), else_=None)
    return [case((of_show, "show"), else_=kind), title, ids, year, json_text(item, "numbering"), alone]


def list_questions(connection: Connection, visitor: Visitor) -> list[QuestionJson]:
    """Items without a match, each with the number of deliveries that wait for the answer."""
    newest = questions(visitor).order_by(func.max(delivery.c.id).desc()).limit(MAX_LISTED)
    numbers = {row.id: row.number for row in connection.execute(newest)}
    wanted = select_deliveries().where(delivery.c.id.in_(numbers)).order_by(delivery.c.id.desc())
    rows = fetch_deliveries(connection, wanted)
    return [{**matches.unmatched_delivery_json(row, None), "deliveries": numbers[row.id]} for row in rows]


def siblings(connection: Connection, visitor: Visitor, delivery_id: int) -> list[int]:
    """The deliveries that wait for the same answer as this one."""
    columns = asked_about()
    one = connection.execute(select(*columns).where(delivery.c.id == delivery_id)).first()
    if one is None:
        return []
    same = [column.is_not_distinct_from(value) for column, value in zip(columns, one, strict=True)]
    return list(connection.execute(stuck(visitor, "unmatched").where(*same)).scalars())


# --- what imports brought without ids


def asked_imports(dialect: str, visitor: Visitor) -> Select[Any]:
    """The keys of the items of imported plays of the visitor's that wait for a choice."""
    of_show, *kinds = question_conditions(dialect, visitor)
    episodes, itself = (select(play_key.c.play_id).where(mine).exists() for mine in kinds)
    asked = or_(and_(of_show, episodes), itself)
    return select(unresolved.c.key.label("key")).where(unresolved.c.state == "unmatched", asked)


def question_conditions(dialect: str, visitor: Visitor) -> tuple[ColumnElement[bool], ...]:
    """Conditions: a question is about a show; a visitor's play key is an episode of that show; it is the item itself.

    An episode without numbers is known, like a film without a year, by the key of the question alone.
    """
    key = unresolved.c.key
    of_plex = key.startswith(PLEX_SHOW, autoescape=True)
    title = func.replace(func.substr(key, len(SHOW) + 1), MAPPED, "", type_=Text)
    number = func.substr(key, len(PLEX_SHOW) + 1, type_=Text)
    within = case((of_plex, literal(PLEX_EPISODE) + number), else_=literal(EPISODE) + title)
    begins, ends = (within + after for after in (":", ";"))  # the character after a colon
    people = select(person.c.id)
    if not visitor.is_admin:
        people = people.where(person.c.id == visitor.person_id)
    theirs = play_key.c.person_id.in_(people)
    known = play_key.c.key if dialect == "sqlite" else collate(play_key.c.key, "C")
    return (
        or_(key.startswith(SHOW, autoescape=True), of_plex),
        and_(theirs, known >= begins, known < ends),
        and_(theirs, play_key.c.key == key),
    )


def imports(connection: Connection, visitor: Visitor) -> list[UnresolvedJson]:
    """The items of imported plays that wait for a choice, each with the number of the visitor's plays."""
    waiting = asked_imports(connection.dialect.name, visitor).order_by(unresolved.c.key).limit(MAX_LISTED)
    return with_plays(connection, visitor, waiting)


def with_plays(connection: Connection, visitor: Visitor, wanted: Select[Any]) -> list[UnresolvedJson]:
    of_show, *kinds = question_conditions(connection.dialect.name, visitor)
    number = func.count(play_key.c.play_id.distinct())
    episodes, itself = (select(number).where(mine).correlate(unresolved).scalar_subquery() for mine in kinds)
    counted = wanted.with_only_columns(
        unresolved, case((of_show, episodes + itself), else_=itself).label("plays")
    )
    found = fetch_with(connection, counted, UnresolvedRow, int)
    return [lookup_queue.unmatched_item(row, plays) for row, plays in found]


# --- one question of either kind


def one(connection: Connection, visitor: Visitor, question: str) -> UnmatchedJson | UnresolvedJson | None:
    """The question of a delivery or of an imported item's key; None if it is settled."""
    if question.isdecimal():
        wanted = select_deliveries().where(
            delivery.c.id == whole(question), delivery.c.state == DeliveryState.UNMATCHED
        )
        row = next(iter(fetch_deliveries(connection, wanted)), None)
        if row is None or visitor.restricted_to not in (None, row.person):
            return None
        return matches.unmatched_delivery_json(row, None)
    asked = asked_imports(connection.dialect.name, visitor).where(unresolved.c.key == question)
    return next(iter(with_plays(connection, visitor, asked)), None)
