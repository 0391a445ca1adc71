"""Plays of the history as lists: pages of them, and what is playing now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import orjson
from pydantic.json_schema import SkipJsonSchema
from sqlalchemy import ColumnElement, Connection, Select, Text, and_, or_, select, type_coerce

from webhook import clock
from webhook.clock import stamp
from webhook.domain.event import item_to_json
from webhook.domain.json_shapes import IdsJson
from webhook.domain.pictures import SHOW_TITLE, picture_key, server_picture_key
from webhook.domain.play import Dated, State
from webhook.domain.states import DeliveryState
from webhook.history.edits import EditJson
from webhook.history.play_store import SELECT_KEYS_OF, SELECT_LATEST_OF_ITEM, SELECT_OWN_KEYS, play_from_row
from webhook.history.stats_sums import was_watched_before
from webhook.queries.deliveries import DeliveryJson
from webhook.queries.paging import MAX_PAGE_SIZE, PAGE_SIZE, TextPage
from webhook.queries.people import person_names
from webhook.storage.json_fields import Id, ItemFields, PictureKey, Time, one_of
from webhook.storage.json_sql import json_text
from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import PlayRow, account, delivery, person, play
from webhook.storage.types import from_ms, to_ms


class PlayFields(ItemFields):
    """The fields of a play except its person."""

    id: Id
    ids: IdsJson
    show_ids: IdsJson | None
    picture: PictureKey
    artist: SkipJsonSchema[str | None]
    album: SkipJsonSchema[str | None]
    state: Annotated[str, one_of(State)]
    started_at: Time | None
    last_at: Time | None
    watched_at: Time | None
    unwatched_at: Time | None
    position_ms: int | None
    duration_ms: int | None
    progress: float | None
    estimated: bool
    manual: bool
    dated: Annotated[str, one_of(Dated)]
    source: str
    server: str | None
    player: str | None
    library: str | None


class PlayJson(PlayFields):
    """A play as the API gives it."""

    person: str


class PlayDetailJson(PlayJson):
    """A play with its deliveries and its edits by hand."""

    removed_at: Time | None
    job: int | None
    deliveries: list[DeliveryJson]
    edits: list[EditJson]


class PlayCursor(NamedTuple):
    """The place of a play in the list."""

    started_at: datetime
    id: int


TITLE_FIELDS = ("title", "show", "artist", "album")
RECENT_PLAYS = 2_000
"""The latest plays whose libraries and kinds are offered as filters."""

COSTLY_SEARCH = 2_000
"""Plays searched per page where each is looked up in another table."""


class Only(StrEnum):
    """The exceptions that a list of plays can be narrowed to."""

    NOT_SENT = "not-sent"
    BY_HAND = "by-hand"
    REWATCHED = "rewatched"
    REMOVED = "removed"


def search_conditions(
    text: str | None, kind: str | None, library: str | None, only: str | None
) -> Iterator[ColumnElement[bool]]:
    """The conditions that no index answers."""
    if kind:
        yield play.c.kind == kind
    if library:
        yield play.c.library == library
    if only == Only.BY_HAND:
        yield play.c.manual.is_(True)
    if text:
        yield has_in_title(text)
    if only == Only.NOT_SENT:
        yield select(delivery.c.id).where(delivery.c.play_id == play.c.id, *is_unsent()).exists()
    if only == Only.REWATCHED:
        yield and_(is_viewing(), was_watched_before())
    if only == Only.REMOVED:
        yield play.c.removed_at.is_not(None)


def search_limit(only: str | None, at_once: int | None) -> int | None:
    """The number of plays searched per page; None for all."""
    if only in (Only.NOT_SENT, Only.REWATCHED):
        return min(at_once or COSTLY_SEARCH, COSTLY_SEARCH)
    return at_once


def is_viewing() -> ColumnElement[bool]:
    return and_(play.c.watched_at.is_not(None), play.c.unwatched_at.is_(None))


def is_unsent() -> tuple[ColumnElement[bool], ...]:
    """True for the watched marks that have not reached their tracker: they wait, have failed, or were left out."""
    return delivery.c.mark.is_(True), delivery.c.state.not_in([DeliveryState.DONE, DeliveryState.SUPERSEDED])


def list_plays(
    connection: Connection,
    *,
    limit: int = PAGE_SIZE,
    after: str | None = None,
    person_name: str | None = None,
    since: datetime | None = None,
    text: str | None = None,
    kind: str | None = None,
    library: str | None = None,
    only: str | None = None,
    at_once: int | None = None,
) -> TextPage[PlayJson]:
    """The plays that began last first, narrowed to those with `text` in a title, of a kind, a library or an exception.

    `at_once` bounds how many plays are searched for it: a page may hold few or none and still have a next one.
    """
    wanted = select(play)
    here: list[ColumnElement[bool]] = []
    if person_name:
        found = select(person.c.id).where(person.c.name == person_name).scalar_subquery()
        here.append(play.c.person_id == found)
    if after is not None:
        began, made = parse_cursor(after)
        here.append(or_(play.c.started_at < began, and_(play.c.started_at == began, play.c.id < made)))
    wanted = wanted.where(*here)
    if only != Only.REMOVED:
        wanted = wanted.where(play.c.removed_at.is_(None))
    if since:
        wanted = wanted.where(play.c.last_at >= since)
    floor, conditions = None, list(search_conditions(text, kind, library, only))
    if conditions:
        wanted = wanted.where(*conditions)
        if (most := search_limit(only, at_once)) is not None:
            places = newest_first(select(play.c.started_at, play.c.id).where(*here))
            floor = fetch_first(connection, places.offset(most).limit(1), PlayCursor)
    if floor is not None:
        # Said twice: the first is what goes by the index.
        wanted = wanted.where(play.c.started_at >= floor.started_at)
        wanted = wanted.where(or_(play.c.started_at > floor.started_at, play.c.id > floor.id))
    limit = min(max(limit, 1), MAX_PAGE_SIZE)
    rows = fetch_all(connection, newest_first(wanted).limit(limit + 1), PlayRow)
    shown, cursor = rows[:limit], None
    if len(rows) > limit:
        cursor = f"{to_ms(shown[-1].started_at)}-{shown[-1].id}"
    elif floor is not None:
        cursor = f"{to_ms(floor.started_at)}-{floor.id + 1}"
    return {"items": with_person(connection, shown), "next": cursor}


def with_person(connection: Connection, rows: Sequence[PlayRow]) -> list[PlayJson]:
    """The plays as the API gives them, each with its person's name."""
    now, names = clock.now(), person_names(connection)
    return [
        {"person": names[row.person_id], **with_own_picture(connection, play_json(row, now))} for row in rows
    ]


def with_own_picture(connection: Connection, play: PlayFields) -> PlayFields:
    """The play with the picture of its own show, where only a title tells this from others."""
    if not (play["picture"] or "").startswith(SHOW_TITLE):
        return play
    known_by = SELECT_KEYS_OF.scalars(connection, {"play": play["id"]})
    return {**play, "picture": next(filter(None, map(server_picture_key, known_by)), play["picture"])}


def newest_first(wanted: Select[Any]) -> Select[Any]:
    """The plays in the order of the list."""
    return wanted.order_by(play.c.started_at.desc(), play.c.id.desc())


def has_in_title(text: str) -> ColumnElement[bool]:
    """True for plays with this text in a title. The cheaper search of the whole item comes first."""
    item = type_coerce(play.c.item, Text)
    titles = (json_text(item, name).icontains(text, autoescape=True) for name in TITLE_FIELDS)
    return and_(item.icontains(orjson.dumps(text).decode()[1:-1], autoescape=True), or_(*titles))


def parse_cursor(cursor: str) -> tuple[datetime, int]:
    """The place in the list of plays that an earlier page gave as `next`; raises ValueError."""
    began, _, made = cursor.rpartition("-")
    return from_ms(int(began)), int(made)


def list_open_plays(connection: Connection, person_id: int | None = None) -> list[PlayJson]:
    """The plays that go on now, of everybody or of one person."""
    wanted = (
        select(play)
        .where(play.c.state != "stopped", play.c.removed_at.is_(None))
        .order_by(play.c.last_at.desc())
        .limit(PAGE_SIZE)
    )
    if person_id is not None:
        wanted = wanted.where(play.c.person_id == person_id)
    return with_person(connection, fetch_all(connection, wanted, PlayRow))


def list_other_plays(connection: Connection, person_id: int, play_id: int, now: datetime) -> list[PlayFields]:
    """The person's other plays of the same item, the newest first."""
    mine = SELECT_OWN_KEYS.scalars(connection, {"person": person_id, "play": play_id})
    wanted = {"person": person_id, "keys": list(mine)}
    rows = fetch_all(connection, SELECT_LATEST_OF_ITEM, PlayRow, wanted)
    return [play_json(row, now) for row in rows if row.id != play_id and row.removed_at is None]


# --- exceptions and filters of a page


class UnsentMark(NamedTuple):
    """A watched mark that has not reached its tracker."""

    play_id: int
    tracker: str
    state: str


def unsent_marks(connection: Connection, ids: Sequence[int]) -> dict[int, list[UnsentMark]]:
    """The unsent marks of these plays, by play."""
    wanted = (
        select(delivery.c.play_id, account.c.tracker, delivery.c.state)
        .join(account, delivery.c.account_id == account.c.id)
        .where(delivery.c.play_id.in_(ids), *is_unsent())
    )
    found: dict[int, list[UnsentMark]] = {}
    for mark in fetch_all(connection, wanted.order_by(delivery.c.id), UnsentMark):
        found.setdefault(mark.play_id, []).append(mark)
    return found


def rewatched_ids(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Those of these plays that are not the first viewing of their item."""
    wanted = select(play.c.id).where(play.c.id.in_(ids), is_viewing(), was_watched_before())
    return set(connection.execute(wanted).scalars())


class Offer(NamedTuple):
    """A kind and a library that a person's latest plays have."""

    kind: str
    library: str | None


def list_offers(connection: Connection, person_id: int) -> list[Offer]:
    """The kinds and libraries of a person's latest plays."""
    mine = select(play.c.kind, play.c.library).where(play.c.person_id == person_id)
    latest = mine.order_by(play.c.started_at.desc()).limit(RECENT_PLAYS).subquery()
    return fetch_all(connection, select(latest).distinct().order_by(latest.c.library), Offer)


def play_json(row: PlayRow, now: datetime) -> PlayFields:
    current = play_from_row(row)
    item = item_to_json(current.item)
    unsaid = current.unsaid
    return {
        "id": row.id,
        "kind": item["kind"],
        "title": item.get("title"),
        "show": item.get("show"),
        "season": item.get("season"),
        "number": item.get("number"),
        "year": item.get("year"),
        "ids": item["ids"],
        "show_ids": item.get("show_ids"),
        "picture": picture_key(current.item),
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
