"""Queries for what is held until its person decides: marks by hand, and titles that are gone from a service's watchlist."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Select, func, select
from typing_extensions import TypedDict

from webhook.clock import stamp
from webhook.domain.json_shapes import ItemJson
from webhook.domain.states import HandMarkState
from webhook.storage.json_fields import ActionWord, Count, Id, KindWord, Time
from webhook.storage.json_shapes import EventJson
from webhook.storage.rows import fetch_all
from webhook.storage.tables import account, hand_mark, person, watchlist_copy, watchlist_read, webhook

MAX_SAMPLES = 5
"""Maximum number of items shown of what is held together."""


class HeldItemJson(TypedDict):
    """An item whose mark is held, and the webhook that reported it."""

    webhook: Id
    kind: KindWord | None
    title: str | None
    show: str | None
    season: int | None
    number: int | None
    year: int | None


class HeldJson(TypedDict):
    """Marks of one kind that are held for one person, from one server; `until` is the latest webhook of them."""

    person: str
    source: str
    server: str
    server_name: str | None
    action: ActionWord
    count: int
    since: Time | None
    until: Id
    samples: list[HeldItemJson]


class HeldCount(NamedTuple):
    person_id: int
    person: str
    source: str
    server: str
    server_name: str | None
    action: str
    marks: int
    since: datetime
    until: int


class Sample(NamedTuple):
    webhook_id: int
    events: list[EventJson] | None


GROUP = (hand_mark.c.person_id, hand_mark.c.source, hand_mark.c.server, hand_mark.c.action)


def select_holds(person_id: int | None) -> Select[HeldCount]:
    """What is held, of one person or of everybody, the latest first."""
    until = func.max(hand_mark.c.webhook_id)
    wanted = (
        select(
            hand_mark.c.person_id,
            person.c.name.label("person"),
            hand_mark.c.source,
            hand_mark.c.server,
            func.max(hand_mark.c.server_name).label("server_name"),
            hand_mark.c.action,
            func.count().label("marks"),
            func.min(hand_mark.c.at, type_=hand_mark.c.at.type).label("since"),
            until.label("until"),
        )
        .join(person, person.c.id == hand_mark.c.person_id)
        .where(hand_mark.c.state == HandMarkState.HELD.value)
        .group_by(*GROUP, person.c.name)
        .order_by(until.desc())
    )
    return wanted if person_id is None else wanted.where(hand_mark.c.person_id == person_id)


def count_holds(person_id: int | None) -> Select[int]:
    """The number of groups that wait for a decision."""
    return select(func.count()).select_from(select_holds(person_id).subquery())


def list_holds(connection: Connection, person_id: int | None = None) -> list[HeldJson]:
    found = fetch_all(connection, select_holds(person_id), HeldCount)
    return [held_json(row, find_samples(connection, row)) for row in found]


def find_samples(connection: Connection, row: HeldCount) -> list[Sample]:
    mine = (
        hand_mark.c.person_id == row.person_id,
        hand_mark.c.source == row.source,
        hand_mark.c.server == row.server,
        hand_mark.c.action == row.action,
        hand_mark.c.state == HandMarkState.HELD.value,
    )
    wanted = select(webhook.c.id.label("webhook_id"), webhook.c.events).join(
        hand_mark, hand_mark.c.webhook_id == webhook.c.id
    )
    latest = wanted.where(*mine).order_by(webhook.c.id.desc()).limit(MAX_SAMPLES)
    return fetch_all(connection, latest, Sample)


def held_json(row: HeldCount, samples: Sequence[Sample]) -> HeldJson:
    return {
        "person": row.person,
        "source": row.source,
        "server": row.server,
        "server_name": row.server_name,
        "action": row.action,
        "count": row.marks,
        "since": stamp(row.since),
        "until": row.until,
        "samples": [
            sample_json(one.webhook_id, event) for one in samples for event in (one.events or [])[:1]
        ],
    }


def sample_json(webhook_id: int, event: EventJson) -> HeldItemJson:
    return {
        "webhook": webhook_id,
        "kind": event.get("kind"),
        "title": event.get("title"),
        "show": event.get("show"),
        "season": event.get("season"),
        "number": event.get("number"),
        "year": event.get("year"),
    }


# --- titles that are gone from the watchlist of an account


class HeldListJson(TypedDict):
    """Titles that are gone from a person's watchlist at a service, and held here."""

    person: str
    tracker: str
    count: Count
    since: Time | None
    titles: list[str]


class HeldList(NamedTuple):
    account_id: int
    person: str
    tracker: str
    titles: int
    since: datetime


def select_held_lists(person_id: int | None) -> Select[HeldList]:
    """The watchlists of one person's accounts, or of everybody's, of which much is gone and held; signed out ones wait."""
    wanted = (
        select(
            account.c.id.label("account_id"),
            person.c.name.label("person"),
            account.c.tracker,
            func.count().label("titles"),
            watchlist_read.c.held_at.label("since"),
        )
        .join(watchlist_read, watchlist_read.c.account_id == account.c.id)
        .join(watchlist_copy, watchlist_copy.c.account_id == account.c.id)
        .join(person, person.c.id == account.c.person_id)
        .where(watchlist_read.c.held_at.is_not(None), watchlist_copy.c.missing, account.c.tokens.is_not(None))
        .group_by(account.c.id, person.c.name, account.c.tracker, watchlist_read.c.held_at)
        .order_by(watchlist_read.c.held_at.desc(), account.c.id)
    )
    return wanted if person_id is None else wanted.where(account.c.person_id == person_id)


def count_held_lists(person_id: int | None) -> Select[int]:
    """The number of watchlists that wait for a decision."""
    return select(func.count()).select_from(select_held_lists(person_id).subquery())


def list_held_lists(connection: Connection, person_id: int | None = None) -> list[HeldListJson]:
    found = fetch_all(connection, select_held_lists(person_id), HeldList)
    return [held_list_json(row, find_missing_titles(connection, row.account_id)) for row in found]


def find_missing_titles(connection: Connection, account_id: int) -> list[str]:
    mine = (watchlist_copy.c.account_id == account_id, watchlist_copy.c.missing)
    wanted = select(watchlist_copy.c.item).where(*mine).order_by(watchlist_copy.c.id).limit(MAX_SAMPLES)
    items: Sequence[ItemJson] = connection.execute(wanted).scalars().all()
    return [item.get("title") or "?" for item in items]


def held_list_json(row: HeldList, titles: list[str]) -> HeldListJson:
    return {
        "person": row.person,
        "tracker": row.tracker,
        "count": row.titles,
        "since": stamp(row.since),
        "titles": titles,
    }
