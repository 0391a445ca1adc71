"""Plays of the history as lists: pages of them, and what is playing now."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Select, Text, and_, or_, select, type_coerce

from webhook import clock
from webhook.clock import stamp
from webhook.domain.event import item_to_json
from webhook.domain.play import State
from webhook.history.play_store import MAX_NEAREST, SELECT_OF_ITEM, SELECT_OWN_KEYS, play_from_row
from webhook.queries.paging import MAX_PAGE_SIZE, PAGE_SIZE, Page
from webhook.storage.json_sql import json_text
from webhook.storage.tables import person, play
from webhook.storage.types import from_ms, to_ms

TITLE_FIELDS = ("title", "show", "artist", "album")


def list_plays(
    connection: Connection,
    *,
    limit: int = PAGE_SIZE,
    after: str | None = None,
    person_name: str | None = None,
    since: datetime | None = None,
    text: str | None = None,
    at_once: int | None = None,
) -> Page:
    """The newest plays first, by when they began. `text` is looked for in titles.

    With `at_once` it is looked for in so many plays only: a page may hold few or none, and have a next one
    all the same.
    """
    wanted = select(play, person.c.name.label("person")).join(person, play.c.person_id == person.c.id)
    here: list[ColumnElement[bool]] = []
    if person_name:
        found = select(person.c.id).where(person.c.name == person_name).scalar_subquery()
        here.append(play.c.person_id == found)
    if after is not None:
        began, made = parse_cursor(after)
        here.append(or_(play.c.started_at < began, and_(play.c.started_at == began, play.c.id < made)))
    wanted = wanted.where(*here, play.c.removed_at.is_(None))
    if since:
        wanted = wanted.where(play.c.last_at >= since)
    floor = None
    if text:
        wanted = wanted.where(has_in_title(text))
        if at_once is not None:
            floor = connection.execute(
                newest_first(select(*CURSOR_COLUMNS).where(*here)).offset(at_once).limit(1)
            ).first()
    if floor is not None:
        # Said twice: the first is what goes by the index.
        wanted = wanted.where(play.c.started_at >= floor.started_at)
        wanted = wanted.where(or_(play.c.started_at > floor.started_at, play.c.id > floor.id))
    limit = min(max(limit, 1), MAX_PAGE_SIZE)
    rows = connection.execute(newest_first(wanted).limit(limit + 1)).all()
    shown, cursor = rows[:limit], None
    if len(rows) > limit:
        cursor = f"{to_ms(shown[-1].started_at)}-{shown[-1].id}"
    elif floor is not None:
        cursor = f"{to_ms(floor.started_at)}-{floor.id + 1}"
    now = clock.now()
    return {"items": [{"person": row.person, **play_json(row, now)} for row in shown], "next": cursor}


CURSOR_COLUMNS = (play.c.started_at, play.c.id)


def newest_first(wanted: Select[Any]) -> Select[Any]:
    return wanted.order_by(play.c.started_at.desc(), play.c.id.desc())


def has_in_title(text: str) -> ColumnElement[bool]:
    """Whether a play has this in a title; first whether it stands in the item at all, which costs less to see."""
    item = type_coerce(play.c.item, Text)
    titles = (json_text(item, name).icontains(text, autoescape=True) for name in TITLE_FIELDS)
    return and_(item.icontains(orjson.dumps(text).decode()[1:-1], autoescape=True), or_(*titles))


def parse_cursor(cursor: str) -> tuple[datetime, int]:
    """The place in the list of plays that an earlier page gave as `next`; raises ValueError."""
    began, _, made = cursor.rpartition("-")
    return from_ms(int(began)), int(made)


def find_playing(connection: Connection, person_id: int | None = None) -> list[dict[str, Any]]:
    """What is on now, of everybody or of one person."""
    wanted = (
        select(play, person.c.name.label("person"))
        .join(person, play.c.person_id == person.c.id)
        .where(play.c.state != "stopped", play.c.removed_at.is_(None))
        .order_by(play.c.last_at.desc())
        .limit(PAGE_SIZE)
    )
    if person_id is not None:
        wanted = wanted.where(play.c.person_id == person_id)
    now = clock.now()
    return [{"person": row.person, **play_json(row, now)} for row in connection.execute(wanted)]


def list_other_plays(
    connection: Connection, person_id: int, play_id: int, now: datetime
) -> list[dict[str, Any]]:
    """The person's other plays of the same item, the newest first."""
    mine = connection.execute(SELECT_OWN_KEYS, {"person": person_id, "play": play_id}).scalars().all()
    rows = connection.execute(SELECT_OF_ITEM.limit(MAX_NEAREST), {"person": person_id, "keys": list(mine)})
    return [play_json(row, now) for row in rows if row.id != play_id and row.removed_at is None]


def play_json(row: Row[Any], now: datetime) -> dict[str, Any]:
    """A play as the JSON API gives it."""
    current = play_from_row(row)
    item = item_to_json(current.item)
    unsaid = current.unsaid
    return {
        "id": row.id,
        **{
            name: item.get(name)
            for name in ("kind", "title", "show", "season", "number", "year", "ids", "show_ids")
        },
        "artist": item.get("artist"),
        "album": item.get("album"),
        "state": current.state.value,
        "started_at": stamp(current.started_at),
        "last_at": stamp(current.last_at),
        "watched_at": stamp(current.watched_at),
        "unwatched_at": stamp(current.unwatched_at),
        "position_ms": None if unsaid else current.position(now),
        "duration_ms": current.duration_ms,
        "progress": None if unsaid else current.percent(now),
        "estimated": not unsaid and (current.estimated or current.state is State.PLAYING),
        "manual": current.manual,
        "dated": current.dated.value,
        "source": current.source,
        "server": current.server,
        "player": current.player,
        "library": current.library,
    }
