"""The store of plays: finds a person's plays of an item, and writes them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, exists, insert, select, update

from webhook.domain.event import Action, Event, Item, item_from_json, item_to_json
from webhook.domain.items import agree_beside_title, keys, play_keys, same_item, sure_keys
from webhook.domain.play import Change, Dated, Facts, Play, State
from webhook.domain.playback import REWATCH_WINDOW, TWIN_WINDOW, earliest_start, twin_window
from webhook.domain.viewing import is_long_before, is_of_removed
from webhook.storage.db import fresh_ids
from webhook.storage.prepared import Prepared
from webhook.storage.rows import fetch_all, fetch_first, fetch_with
from webhook.storage.tables import PlayRow, play, play_key
from webhook.storage.types import Utc

PLAY_FIELDS = tuple(entry.name for entry in fields(Play) if entry.name != "item")
MAX_NEAREST = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundPlay:
    """The person's latest play of an item; a play removed by hand counts as none, with its id.

    `before` is their last watched play of it beside this one, `left` the one before this where it was never finished.
    """

    id: int
    play: Play | None
    before: Play | None = None
    left: Play | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClosedPlay:
    """A play that ended without a stop, with its person and the resulting change."""

    person_id: int
    play_id: int
    change: Change


# Built once: putting a statement together costs more than running it.
PLAYS_BY_KEYS = select(play_key.c.play_id).where(
    play_key.c.person_id == bindparam("person"), play_key.c.key.in_(bindparam("keys", expanding=True))
)
OF_ITEM = (
    select(play).where(play.c.id.in_(PLAYS_BY_KEYS)).order_by(play.c.started_at.desc(), play.c.id.desc())
)
SELECT_OF_ITEM = Prepared(OF_ITEM)
SELECT_LATEST_OF_ITEM = Prepared(OF_ITEM.limit(MAX_NEAREST))
IS_SURE = (
    exists()
    .where(
        play_key.c.person_id == bindparam("person"),
        play_key.c.play_id == play.c.id,
        play_key.c.key.in_(bindparam("sure", expanding=True)),
    )
    .label("is_sure")
)
SELECT_CANDIDATES = Prepared(
    select(play, IS_SURE)
    .where(play.c.id.in_(PLAYS_BY_KEYS))
    .order_by(IS_SURE.desc(), play.c.started_at.desc(), play.c.id.desc())
    .limit(MAX_NEAREST)
)
WATCHED_BEFORE = Prepared(
    select(play.c.item).where(
        play.c.id.in_(PLAYS_BY_KEYS),
        play.c.id != bindparam("of_play"),
        play.c.watched_at < bindparam("before", type_=Utc),
        play.c.unwatched_at.is_(None),
        play.c.removed_at.is_(None),
    )
)
SELECT_KEYS_OF = Prepared(select(play_key.c.key).where(play_key.c.play_id == bindparam("play")))
SELECT_OWN_KEYS = Prepared(
    select(play_key.c.key).where(
        play_key.c.person_id == bindparam("person"), play_key.c.play_id == bindparam("play")
    )
)
ADD_PLAY, ADD_KEYS = Prepared(insert(play)), Prepared(insert(play_key))


def find_play(
    connection: Connection, person_id: int, event: Event, known_by: Collection[str] | None = None
) -> FoundPlay | None:
    """The person's latest play of this item, or None."""
    known_by = known_by or play_keys(event.item, event.server, event.item_key, event.show_key)
    wanted = {"person": person_id, "keys": list(known_by), "sure": sure_keys(known_by)}
    plays = [
        (row, current)
        for row, is_sure in fetch_with(connection, SELECT_CANDIDATES, PlayRow, bool, wanted)
        if same_item((current := play_from_row(row)).item, event.item)
        and (is_sure or is_same_by_title(connection, row.id, current, event, known_by))
    ]
    plays = possible_plays(sorted(plays, key=lambda entry: entry[1].started_at, reverse=True), event)
    for place, (row, current) in enumerate(plays):
        if row.removed_at is None:
            earlier = [entry for entry in plays[place + 1 :] if entry[0].removed_at is None]
            before = next((other for before, other in earlier if is_counted(before)), None)
            left = earlier[0][1] if earlier and earlier[0][1].watched_at is None else None
            return FoundPlay(id=row.id, play=current, before=before, left=left)
        if is_of_removed(current, event, Facts(mark=100.0), current.source):
            return FoundPlay(id=row.id, play=None)
    return None


def possible_plays(plays: list[tuple[PlayRow, Play]], event: Event) -> list[tuple[PlayRow, Play]]:
    """Of a person's plays of one item, the newest first, those from the one that the event can be of."""
    if event.action is Action.UNWATCHED:
        return [entry for entry in plays if is_marked_by(entry[1], event)]
    plays = [entry for entry in plays if not is_long_before(event, entry[1])]
    if event.action is Action.START:
        return plays
    begun = [place for place, (_, current) in enumerate(plays) if has_begun(current, event)]
    return plays[begun[0] :] if begun else plays  # a late event belongs to a viewing before the newest


def is_marked_by(current: Play, event: Event) -> bool:
    """True if the play had its mark at the time of the event, which can take it back; an unfinished one has none."""
    return current.watched_at is not None and current.watched_at - twin_window(current, event) <= event.at


def has_begun(current: Play, event: Event) -> bool:
    """True if the play had begun at the time of the event.

    A mark, or what follows a play that began with one, may be stamped just before: no two clocks agree.
    """
    marks = event.action is Action.WATCHED or current.started_at == current.watched_at
    return earliest_start(current) - (twin_window(current, event) if marks else timedelta(0)) <= event.at


def is_counted(row: PlayRow) -> bool:
    """True if the play of this row is a viewing that counts."""
    return row.watched_at is not None and row.unwatched_at is None and row.removed_at is None


def is_same_by_title(
    connection: Connection, play_id: int, current: Play, event: Event, known_by: Collection[str]
) -> bool:
    """True if a play found by its title alone is of the event's item.

    Not where its server calls the two by different keys. On one server the title is then enough; elsewhere
    another fact must agree, or the time: nobody watches two shows of one name at once.
    """
    own = [key for key in known_by if "@" in key.partition(":")[0] or key.startswith("episode:of@")]
    spaces = {server_prefix(key) for key in own}
    there = [
        key for key in SELECT_KEYS_OF.scalars(connection, {"play": play_id}) if server_prefix(key) in spaces
    ]
    if there:
        return False  # had one been the same, it would have been found by it
    if event.action is Action.UNWATCHED or (event.server is not None and current.server == event.server):
        return True
    if agree_beside_title(current.item, event.item):
        return True
    return (
        current.started_at - TWIN_WINDOW
        <= event.at
        <= max(current.last_at, current.started_at) + REWATCH_WINDOW
    )


def server_prefix(key: str) -> str | None:
    """The part of a key that names the server of the item or its show; None if it names none."""
    head, _, rest = key.partition(":")
    if "@" in head:
        return head
    return f"{head}:{rest.partition(':')[0]}" if rest.startswith("of@") else None


def find_plays(
    connection: Connection, person_id: int, item: Item, known_by: Collection[str]
) -> list[tuple[PlayRow, Play]]:
    """The person's latest plays of the item, the newest first, removed ones among them."""
    wanted = {"person": person_id, "keys": list(known_by)}
    rows = fetch_all(connection, SELECT_LATEST_OF_ITEM, PlayRow, wanted)
    found = [(row, play_from_row(row)) for row in rows]
    return [(row, current) for row, current in found if same_item(current.item, item)]


def get_play(connection: Connection, play_id: int) -> Play | None:
    """The play; None if it does not exist or was removed."""
    here = (play.c.id == play_id, play.c.removed_at.is_(None))
    row = fetch_first(connection, select(play).where(*here), PlayRow)
    return play_from_row(row) if row else None


def play_from_row(row: PlayRow) -> Play:
    known = vars(row)  # each attribute of a mapped row costs microseconds, its dictionary none
    values = {name: known[name] for name in PLAY_FIELDS}
    typed = {"state": State(known["state"]), "dated": Dated(known["dated"])}
    return Play(**{**values, **typed, "item": item_from_json(known["item"])})


# Built once: putting a statement together costs more than running it.
UPDATE_PLAY = Prepared(
    update(play)
    .where(play.c.id == bindparam("of_play"))
    .values({name: bindparam(name) for name in (*PLAY_FIELDS, "item")})
)


def save_play(connection: Connection, person_id: int, current: Play, play_id: int | None) -> int:
    values = {name: getattr(current, name) for name in PLAY_FIELDS}
    values |= {"state": current.state.value, "dated": current.dated.value, "item": item_to_json(current.item)}
    if play_id is not None:
        UPDATE_PLAY.execute(connection, {**values, "of_play": play_id})
        return play_id
    (made,) = fresh_ids(connection, play, 1)
    values |= {"id": made, "person_id": person_id, "kind": current.item.kind.value}
    ADD_PLAY.execute(connection, values)
    return made


def store_keys(
    connection: Connection, person_id: int, play_id: int, known: Collection[str], *, is_new: bool = False
) -> None:
    """Store the keys by which the play is found; a new play has none yet."""
    have = () if is_new else SELECT_OWN_KEYS.scalars(connection, {"person": person_id, "play": play_id})
    missing = set(known) - set(have)
    if missing:
        rows = [{"person_id": person_id, "play_id": play_id, "key": key} for key in sorted(missing)]
        ADD_KEYS.execute_many(connection, rows)


def merge_items(known: Item | None, told: Item) -> Item:
    """The item as reported, completed with what was known of it before."""
    if known is None or known.kind is not told.kind:
        return told
    values: dict[str, object] = {}
    for entry in fields(told):
        mine, before = getattr(told, entry.name), getattr(known, entry.name)
        if entry.name in ("ids", "show_ids"):
            values[entry.name] = before.merge(mine)
        else:
            values[entry.name] = before if mine is None else mine
    merge: Callable[..., Item] = replace
    return merge(told, **values)


def is_rewatch(
    connection: Connection, person_id: int, item: Item, known_by: Collection[str], play_id: int, at: datetime
) -> bool:
    """True if the person had watched this item before this play: then it is a rewatch."""
    wanted = {"person": person_id, "keys": list(known_by), "of_play": play_id, "before": at}
    return any(
        same_item(item_from_json(stored), item) for stored in WATCHED_BEFORE.scalars(connection, wanted)
    )


def has_other_viewing(connection: Connection, person_id: int, item: Item, play_id: int) -> bool:
    """True if the person has watched this item in another play that counts."""
    return any(
        row.id != play_id and is_counted(row)
        for row, _ in find_plays(connection, person_id, item, keys(item))
    )
