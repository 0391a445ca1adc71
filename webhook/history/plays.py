"""The history: plays and the person's own library, read and written inside a caller's transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    update,
)

from webhook.clock import stamp
from webhook.domain.event import Action, Episode, Event, Item, Kind, Movie, item_from_json, item_to_json
from webhook.domain.items import agree_beside_title, is_one, keys, play_keys, same_item, sure_keys
from webhook.domain.play import (
    REWATCH,
    TWINS,
    VIEWING,
    Change,
    Dated,
    Facts,
    Play,
    State,
    advance,
    close,
    is_another_viewing,
    is_over,
    open_play,
    same_viewing,
    twins,
)
from webhook.history import runtimes
from webhook.storage.db import Database, fresh_ids
from webhook.storage.tables import edit, follow, play, play_key, tick
from webhook.storage.types import Utc
from webhook.trackers import WatchedItem

FIELDS = tuple(entry.name for entry in fields(Play) if entry.name != "item")
NEAREST = 6
PAGE = 500
PLAYED = frozenset({Kind.MOVIE, Kind.EPISODE, Kind.TRACK})
"""What can be watched or heard as one; a season and a show are many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The person's latest play of an item: none with its id where it was removed by hand.

    `before` is their last watched play of it beside this one.
    """

    id: int
    play: Play | None
    before: Play | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """What an event did to a person's plays: the change and the play it is about."""

    play_id: int | None = None
    change: Change | None = None


def apply(
    connection: Connection, person_id: int, event: Event, source: str, mark: float, space: str | None = None
) -> Applied:
    """What the event does to the person's plays, stored. `space` is where its item's own key holds."""
    if event.action not in VIEWING or event.item.kind not in PLAYED:
        return Applied()
    known_by = play_keys(event.item, event.server or space, event.item_key, event.show_key)
    if is_dated_elsewhere(connection, person_id, event, known_by):
        event = replace(event, at=event.last_played_at or event.at, recorded=True)
    if event.recorded:
        return record(connection, person_id, event, source, known_by)
    found = find(connection, person_id, event, known_by)
    if found is not None and found.play is None:
        return Applied(play_id=found.id)
    play_before = found.play if found else None
    facts = Facts(
        mark=mark,
        before=found.before if found else None,
        runtime=learned_runtime(connection, found, event),
    )
    change = advance(play_before, event, facts, source)
    if change is None:
        return Applied(play_id=found.id if found else None)
    if found is not None and change.left is not None and change.left != play_before:
        save(connection, person_id, change.left, found.id)
    known = play_before.item if play_before and not change.anew else None
    current = replace(change.play, item=richer(known, event.item))
    play_id = save(connection, person_id, current, None if change.anew or found is None else found.id)
    remember(connection, person_id, play_id, known_by)
    if event.duration_ms and (play_before is None or not play_before.duration_ms):
        runtimes.learn(connection, event)
    return Applied(play_id=play_id, change=replace(change, play=current))


def learned_runtime(connection: Connection, found: Found | None, event: Event) -> timedelta | None:
    """How long the item runs, asked only where it matters: nobody has said, and it was watched before."""
    if found is None or found.play is None or event.duration_ms or found.play.duration_ms:
        return None
    if found.play.watched_at is None and found.before is None:
        return None
    return runtimes.find(connection, event)


def is_dated_elsewhere(
    connection: Connection, person_id: int, event: Event, known_by: Collection[str]
) -> bool:
    """Whether a mark set by hand has a date of its own: another tool set it, and it is not of now.

    Where the date is that of a play which was left unfinished, the server only kept it: it was ticked now.
    """
    at = event.last_played_at
    if at is None or not event.manual or event.action is not Action.WATCHED or event.at - at <= TWINS:
        return False
    return not any(
        one.watched_at is None and same_viewing(one, at)
        for _, one in plays_of(connection, person_id, event.item, known_by)
    )


def record(
    connection: Connection, person_id: int, event: Event, source: str, known_by: Collection[str]
) -> Applied:
    """What a record of the past adds: nothing where the play is known, its mark where that is missing."""
    play_id, known, settled = recorded(connection, person_id, event) or (None, None, False)
    if settled or (known is not None and event.action is not Action.WATCHED):
        return Applied(play_id=play_id)
    values = replace(known, item=richer(known.item, event.item)) if known else open_play(None, event, source)
    marked = replace(
        values,
        state=State.STOPPED,
        watched_at=event.at,
        manual=event.manual,
        duration_ms=values.duration_ms or event.duration_ms,
    )
    made = save(connection, person_id, marked, play_id)
    remember(connection, person_id, made, known_by)
    return Applied(play_id=made, change=Change(play=marked, anew=known is None, finished=True))


def recorded(connection: Connection, person_id: int, event: Event) -> tuple[int, Play, bool] | None:
    """The play that a record of the past speaks of, and whether there is nothing to add to it, or None.

    What a person removed is still known, and what they changed also as it was.
    """
    known = play_keys(event.item, event.server, event.item_key, event.show_key)
    wanted = {"person": person_id, "keys": list(known)}
    found = [
        (row.id, from_row(row), row.watched_at is not None or row.removed_at is not None)
        for row in connection.execute(OF_ITEM, wanted)
    ]
    found += [(play_id, before, True) for play_id, before in before_edits(connection, person_id)
              if not set(known).isdisjoint(keys(before.item))]  # fmt: skip
    same = [
        entry for entry in found
        if same_item(entry[1].item, event.item) and same_viewing(entry[1], event.at)
    ]  # fmt: skip
    return min(same, key=lambda entry: apart(entry[1], event.at), default=None)


def apart(known: Play, at: datetime) -> tuple[bool, timedelta, bool]:
    """By how much a play lies beside a time, for the nearest of several; what was only ticked comes last."""
    latest = max(known.last_at, known.watched_at or known.last_at)
    outside = max(known.started_at - at, at - latest, timedelta(0))
    return known.dated is Dated.TICKED, outside, known.watched_at is None


def before_edits(connection: Connection, person_id: int) -> list[tuple[int, Play]]:
    """The person's plays as they were before they were given another date or item by hand."""
    return [
        (row.id, as_before(from_row(row), row.before))
        for row in connection.execute(EDITED)
        if row.person_id == person_id
    ]


def as_before(current: Play, before: Mapping[str, Any]) -> Play:
    watched_at = from_stamp(before["watched_at"])
    started_at = from_stamp(before["started_at"]) or current.started_at
    return replace(
        current, item=item_from_json(before["item"]), dated=Dated(before["dated"]), watched_at=watched_at,
        started_at=started_at, last_at=watched_at or started_at,
    )  # fmt: skip


def from_stamp(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)


def others(connection: Connection, person_id: int, play_id: int, now: datetime) -> list[dict[str, Any]]:
    """The person's other plays of the same item, the newest first."""
    mine = connection.execute(KEYS, {"person": person_id, "play": play_id}).scalars().all()
    rows = connection.execute(OF_ITEM.limit(NEAREST), {"person": person_id, "keys": list(mine)})
    return [described(row, now) for row in rows if row.id != play_id and row.removed_at is None]


# Built once: putting a statement together costs more than running it.
KNOWN = select(play_key.c.play_id).where(
    play_key.c.person_id == bindparam("person"), play_key.c.key.in_(bindparam("keys", expanding=True))
)
OF_ITEM = select(play).where(play.c.id.in_(KNOWN)).order_by(play.c.started_at.desc(), play.c.id.desc())
IS_SURE = (
    exists()
    .where(
        play_key.c.person_id == bindparam("person"),
        play_key.c.play_id == play.c.id,
        play_key.c.key.in_(bindparam("sure", expanding=True)),
    )
    .label("is_sure")
)
FIND = (
    select(play, IS_SURE)
    .where(play.c.id.in_(KNOWN))
    .order_by(IS_SURE.desc(), play.c.started_at.desc(), play.c.id.desc())
    .limit(NEAREST)
)
# Edits are few, a person's plays are many: asked by person, SQLite would go through the plays.
EDITED = (
    select(play, edit.c.before)
    .join(edit, edit.c.play_id == play.c.id)
    .where(edit.c.what.in_(("redated", "corrected")))
    .order_by(edit.c.id)
)
PLAYS = frozenset({Action.START, Action.RESUME, Action.PROGRESS, Action.WATCHED})
"""The actions that say that a player plays something now."""

IS_OPEN = play.c.state != literal_column("'stopped'")  # a literal, so that the index of open plays serves
OPEN_ON_PLAYER = select(play).where(
    IS_OPEN,
    func.coalesce(play.c.server, "") == bindparam("server"),
    play.c.player_id == bindparam("player"),
    play.c.last_at <= bindparam("until", type_=Utc),
)
QUIET = select(play).where(IS_OPEN, play.c.last_at < bindparam("since", type_=Utc))
KEYS_OF = select(play_key.c.key).where(play_key.c.play_id == bindparam("play"))
KEYS = select(play_key.c.key).where(
    play_key.c.person_id == bindparam("person"), play_key.c.play_id == bindparam("play")
)
ADD_PLAY, ADD_KEYS = insert(play), insert(play_key)


def find(
    connection: Connection, person_id: int, event: Event, known_by: Collection[str] | None = None
) -> Found | None:
    """The person's latest play of this item, or None."""
    known_by = known_by or play_keys(event.item, event.server, event.item_key, event.show_key)
    wanted = {"person": person_id, "keys": list(known_by), "sure": sure_keys(known_by)}
    plays = [
        (row, current)
        for row in connection.execute(FIND, wanted).all()
        if same_item((current := from_row(row)).item, event.item)
        and (row.is_sure or is_it_by_title(connection, row.id, current, event, known_by))
    ]
    plays = in_question(sorted(plays, key=lambda entry: entry[1].started_at, reverse=True), event)
    for place, (row, current) in enumerate(plays):
        if row.removed_at is None:
            before = next((other for before, other in plays[place + 1 :] if is_counted(before)), None)
            return Found(id=row.id, play=current, before=before)
        if not is_another_viewing(current, event, Facts(mark=100.0), current.source):
            return Found(id=row.id, play=None)  # what follows of it is of it
    return None


def in_question(plays: list[tuple[Row[Any], Play]], event: Event) -> list[tuple[Row[Any], Play]]:
    """Of a person's plays of one item, the newest first, those from the one that the event can be of."""
    if event.action is Action.UNWATCHED:  # a viewing that was only begun has no mark to take back
        return [entry for entry in plays if entry[1].watched_at is not None]
    if event.action is Action.START:
        return plays
    begun = [place for place, (_, current) in enumerate(plays) if has_begun(current, event)]
    return plays[begun[0] :] if begun else plays  # what comes late is of a viewing before the newest


def has_begun(current: Play, event: Event) -> bool:
    """Whether the play had begun at the time of the event.

    A mark, or what follows a play that began with one, may be stamped just before: no two clocks agree.
    """
    marks = event.action is Action.WATCHED or current.started_at == current.watched_at
    return current.started_at - (twins(current, event) if marks else timedelta(0)) <= event.at


def is_counted(row: Row[Any]) -> bool:
    """Whether the play of this row is a viewing that counts."""
    return row.watched_at is not None and row.unwatched_at is None and row.removed_at is None


def is_it_by_title(
    connection: Connection, play_id: int, current: Play, event: Event, known_by: Collection[str]
) -> bool:
    """Whether a play found by its title alone is of the event's item.

    Not where its server calls the two by different keys. On one server the title is then enough; elsewhere
    another fact must agree, or the time: nobody watches two shows of one name at once.
    """
    own = [key for key in known_by if "@" in key.partition(":")[0] or key.startswith("episode:of@")]
    spaces = {server_prefix(key) for key in own}
    there = [
        key
        for key in connection.execute(KEYS_OF, {"play": play_id}).scalars()
        if server_prefix(key) in spaces
    ]
    if there:
        return False  # had one been the same, it would have been found by it
    if event.action is Action.UNWATCHED or (event.server is not None and current.server == event.server):
        return True
    if agree_beside_title(current.item, event.item):
        return True
    return current.started_at - TWINS <= event.at <= max(current.last_at, current.started_at) + REWATCH


def server_prefix(key: str) -> str | None:
    """The part of a key that says on which server an item or its show is called so; None where it says none."""
    head, _, rest = key.partition(":")
    if "@" in head:
        return head
    return f"{head}:{rest.partition(':')[0]}" if rest.startswith("of@") else None


def plays_of(
    connection: Connection, person_id: int, item: Item, known_by: Collection[str]
) -> list[tuple[Row[Any], Play]]:
    """The person's latest plays of the item, the newest first, removed ones among them."""
    rows = connection.execute(OF_ITEM.limit(NEAREST), {"person": person_id, "keys": list(known_by)})
    found = [(row, from_row(row)) for row in rows]
    return [(row, current) for row, current in found if same_item(current.item, item)]


def by_id(connection: Connection, play_id: int) -> Play | None:
    """The play; None where there is none, or it was removed."""
    here = (play.c.id == play_id, play.c.removed_at.is_(None))
    row = connection.execute(select(play).where(*here)).first()
    return from_row(row) if row else None


def from_row(row: Row[Any]) -> Play:
    values = {name: getattr(row, name) for name in FIELDS}
    return Play(
        **{**values, "state": State(row.state), "dated": Dated(row.dated), "item": item_from_json(row.item)}
    )


# Built once: putting a statement together costs more than running it.
SAVE = (
    update(play)
    .where(play.c.id == bindparam("of_play"))
    .values({name: bindparam(name) for name in (*FIELDS, "item")})
)


def save(connection: Connection, person_id: int, current: Play, play_id: int | None) -> int:
    values = {name: getattr(current, name) for name in FIELDS}
    values |= {"state": current.state.value, "dated": current.dated.value, "item": item_to_json(current.item)}
    if play_id is not None:
        connection.execute(SAVE, {**values, "of_play": play_id})
        return play_id
    (made,) = fresh_ids(connection, play, 1)
    values |= {"id": made, "person_id": person_id, "kind": current.item.kind.value}
    connection.execute(ADD_PLAY, values)
    return made


def remember(connection: Connection, person_id: int, play_id: int, known: Collection[str]) -> None:
    have = connection.execute(KEYS, {"person": person_id, "play": play_id}).scalars()
    missing = set(known) - set(have)
    if missing:
        rows = [{"person_id": person_id, "play_id": play_id, "key": key} for key in sorted(missing)]
        connection.execute(ADD_KEYS, rows)


def richer(known: Item | None, told: Item) -> Item:
    """The item as told, with what was known of it before and is not told now."""
    if known is None or known.kind is not told.kind:
        return told
    values: dict[str, Any] = {}
    for entry in fields(told):
        mine, before = getattr(told, entry.name), getattr(known, entry.name)
        if entry.name in ("ids", "show_ids"):
            values[entry.name] = before.merged(mine)
        else:
            values[entry.name] = before if mine is None else mine
    return replace(told, **values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Closed:
    """A play that ended without a word of its own, whose it is, and what that did."""

    person_id: int
    play_id: int
    change: Change


def displace(
    connection: Connection, person_id: int, event: Event, mark: float, besides: Collection[int]
) -> list[Closed]:
    """Close what else is open on the player that plays something now.

    Of a server that is named, whoever played it; but several people may watch one item there, who go on.
    """
    if event.action not in PLAYS or not event.player_id or event.recorded or event.manual:
        return []
    quiet = timedelta(0) if event.action in (Action.START, Action.RESUME) else TWINS
    there = {"server": event.server or "", "player": event.player_id, "until": event.at - quiet}
    closed = []
    for row in connection.execute(OPEN_ON_PLAYER, there).all():
        mine, repeats = row.person_id == person_id, is_one(item_from_json(row.item), event.item)
        if row.id not in besides and (mine or (event.server is not None and not repeats)):
            closed.append(close_play(connection, row, mark, event.at if repeats else None))
    return closed


def run_out(connection: Connection, now: datetime, mark: float) -> list[Closed]:
    """Close the plays of which no stop came though they must be over."""
    rows = connection.execute(QUIET, {"since": now - timedelta(minutes=10)}).all()
    return [close_play(connection, row, mark) for row in rows if is_over(from_row(row), now)]


def close_play(
    connection: Connection, row: Row[Any], mark: float, repeated_at: datetime | None = None
) -> Closed:
    current = from_row(row)
    before = last_watched(connection, row.person_id, current, row.id) if current.watched_at is None else None
    change = close(current, Facts(mark=mark, before=before), repeated_at)
    save(connection, row.person_id, change.play, row.id)
    return Closed(person_id=row.person_id, play_id=row.id, change=change)


def last_watched(connection: Connection, person_id: int, current: Play, play_id: int) -> Play | None:
    """The person's last watched play of the item that this play is of, beside it."""
    known_by = list(connection.execute(KEYS_OF, {"play": play_id}).scalars())
    found = plays_of(connection, person_id, current.item, known_by)
    return next((other for row, other in found if row.id != play_id and is_counted(row)), None)


def earlier(
    connection: Connection, person_id: int, item: Item, known_by: Collection[str], play_id: int, at: datetime
) -> bool:
    """Whether the person had watched this item before this play: then it is a rewatch."""
    rows = connection.execute(OF_ITEM, {"person": person_id, "keys": list(known_by)})
    return any(
        row.id != play_id
        and is_counted(row)
        and row.watched_at < at
        and same_item(item_from_json(row.item), item)
        for row in rows
    )


def watched_besides(connection: Connection, person_id: int, item: Item, play_id: int) -> bool:
    """Whether the person has watched this item in another play that counts."""
    return any(
        row.id != play_id and is_counted(row) for row, _ in plays_of(connection, person_id, item, keys(item))
    )


def described(row: Row[Any], now: datetime) -> dict[str, Any]:
    """A play as the JSON API gives it."""
    current = from_row(row)
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


# --- the built-in TV Time library


class Shelf:
    """One person's built-in TV Time library: what they follow and have marked watched."""

    def __init__(self, database: Database, person_id: int) -> None:
        self.database = database
        self.person_id = person_id

    async def mark(self, item: Item, at: datetime, *, rewatch: bool) -> str:
        return await self.database.write(marked, (self.person_id, item, at, rewatch))

    async def unmark(self, item: Item) -> str:
        return await self.database.write(unmarked, (self.person_id, item))

    async def history(self, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """Every mark, with the time of its last viewing."""
        after: str | None = ""
        while after is not None:
            rows = await self.database.read(
                partial(ticked, person_id=self.person_id, since=since, after=after)
            )
            for row in rows:
                yield WatchedItem(item=item_from_json(row.item), at=row.watched_at)
            after = rows[-1].item_key if len(rows) == PAGE else None


def ticked(connection: Connection, person_id: int, since: datetime | None, after: str) -> list[Row[Any]]:
    """A page of the marks, in the order of their keys."""
    found = select(tick.c.item_key, tick.c.item, tick.c.watched_at)
    found = found.where(tick.c.person_id == person_id, tick.c.item_key > after)
    if since is not None:
        found = found.where(tick.c.watched_at >= since)
    return list(connection.execute(found.order_by(tick.c.item_key).limit(PAGE)))


def marked(connection: Connection, wanted: list[tuple[int, Item, datetime, bool]]) -> list[str]:
    return [mark_one(connection, *entry) for entry in wanted]


def mark_one(connection: Connection, person_id: int, item: Item, at: datetime, rewatch: bool) -> str:
    key, show_key = shelf_keys(item)
    here = and_(tick.c.person_id == person_id, tick.c.item_key == key)
    row = connection.execute(select(tick.c.watched_at, tick.c.rewatches).where(here)).first()
    if row is None:
        values = {"person_id": person_id, "item_key": key, "show_key": show_key, "kind": item.kind.value}
        connection.execute(
            insert(tick), {**values, "item": item_to_json(item), "watched_at": at, "rewatches": 0}
        )
        followed = show_key is not None and follow_one(connection, person_id, item, show_key, at)
        return "marked watched in the built-in library" + (", show followed" if followed else "")
    # The time tells a second viewing from a delivery that is made again after a crash.
    if rewatch and at > row.watched_at:
        connection.execute(update(tick).where(here).values(watched_at=at, rewatches=row.rewatches + 1))
        return "marked as watched again in the built-in library"
    return "already marked watched in the built-in library"


def follow_one(connection: Connection, person_id: int, item: Item, show_key: str, at: datetime) -> bool:
    assert isinstance(item, Episode)
    here = and_(follow.c.person_id == person_id, follow.c.show_key == show_key)
    if connection.execute(select(follow.c.show_key).where(here)).first():
        return False
    values = {"person_id": person_id, "show_key": show_key, "show": item.show, "ids": item.show_ids.known()}
    connection.execute(insert(follow), {**values, "followed_at": at})
    return True


def unmarked(connection: Connection, wanted: list[tuple[int, Item]]) -> list[str]:
    return [unmark_one(connection, *entry) for entry in wanted]


def unmark_one(connection: Connection, person_id: int, item: Item) -> str:
    key, _ = shelf_keys(item)
    gone = connection.execute(delete(tick).where(tick.c.person_id == person_id, tick.c.item_key == key))
    return "unmarked in the built-in library" if gone.rowcount else "was not marked in the built-in library"


def shelf_keys(item: Item) -> tuple[str, str | None]:
    """The library's key of an item and of its show: TheTVDB ids, as TV Time counted, else what is known."""
    if isinstance(item, Episode):
        show = item.show_ids.tvdb
        title = "".join(letter for letter in (item.show or "").casefold() if letter.isalnum())
        show_key = f"tvdb:{show}" if show is not None else (f"title:{title}" if title else None)
        own = f"tvdb:{item.ids.tvdb}" if item.ids.tvdb is not None else keys(item)[0]
        return own, show_key
    assert isinstance(item, Movie)
    return keys(item)[0] if keys(item) else f"movie:title:{item.title}", None
