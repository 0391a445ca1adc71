"""Plays: applies events and past records to a person's history, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, literal_column, select

from webhook.domain.advance import VIEWING_ACTIONS, advance, close_silent, is_over, is_stop_lost
from webhook.domain.event import Action, Event, Item, Kind, item_from_json
from webhook.domain.items import is_one, play_keys
from webhook.domain.play import Facts, Play, State
from webhook.domain.playback import TWIN_WINDOW
from webhook.domain.viewing import begins_later, is_same_viewing
from webhook.history import runtimes
from webhook.history.edited_plays import find_edited_play
from webhook.history.past_records import Applied, apply_record
from webhook.history.play_store import (
    SELECT_KEYS_OF,
    ClosedPlay,
    FoundPlay,
    find_play,
    find_plays,
    is_counted,
    merge_items,
    play_from_row,
    save_play,
    store_keys,
)
from webhook.storage.prepared import Prepared
from webhook.storage.rows import fetch_all
from webhook.storage.tables import PlayRow, play, play_record
from webhook.storage.types import Utc

PLAYABLE_KINDS = frozenset({Kind.MOVIE, Kind.EPISODE, Kind.TRACK})
"""The kinds that can be watched or heard as one; a season and a show are many."""


def apply(
    connection: Connection, person_id: int, event: Event, source: str, mark: float, space: str | None = None
) -> Applied:
    """Apply the event to the person's plays and store the result. `space` is where its item's own key holds."""
    if event.action not in VIEWING_ACTIONS or event.item.kind not in PLAYABLE_KINDS:
        return Applied()
    known_by = play_keys(event.item, event.server or space, event.item_key, event.show_key)
    if event.by_program and (there := find_mark_before(connection, person_id, event, known_by)) is not None:
        return Applied(play_id=there)
    if is_dated_elsewhere(connection, person_id, event, known_by):
        event = replace(event, at=event.last_played_at or event.at, recorded=True)
    if event.recorded or event.undated:
        return apply_record(connection, person_id, event, source, known_by)
    found = find_play(connection, person_id, event, known_by)
    edited = find_edited_play(connection, person_id, event, known_by, found, mark)
    if edited is not None and edited.redated:
        return Applied(play_id=edited.id)
    if edited is not None:  # the item is the one that a person named
        event = replace(event, item=edited.play.item, item_key=None, show_key=None)
        known_by, found = play_keys(event.item), FoundPlay(id=edited.id, play=edited.play)
    if found is not None and found.play is None:
        return Applied(play_id=found.id)
    closed = close_unstopped_play(connection, person_id, found, event, mark)
    play_before = closed.change.play if closed else found.play if found else None
    facts = Facts(
        mark=mark,
        before=found.before if found else None,
        left=found.left if found else None,
        runtime=find_runtime(connection, found, event),
    )
    change = advance(play_before, event, facts, source)
    if change is None:
        return Applied(play_id=found.id if found else None)
    listed = frozenset() if change.anew else find_lists(connection, found, play_before, event)
    if listed and is_finished_anew(play_before, event, facts, source):
        change = replace(change, finished=True)
    if found is not None and change.left is not None and change.left != play_before:
        save_play(connection, person_id, change.left, found.id)
    known = play_before.item if play_before and not change.anew else None
    current = replace(change.play, item=merge_items(known, event.item))
    is_new = change.anew or found is None
    play_id = save_play(connection, person_id, current, None if is_new or found is None else found.id)
    store_keys(connection, person_id, play_id, known_by, is_new=is_new)
    if event.duration_ms and (play_before is None or not play_before.duration_ms):
        runtimes.learn_runtime(connection, event)
    return Applied(play_id=play_id, change=replace(change, play=current), closed=closed, listed=listed)


SELECT_LISTS = Prepared(
    select(play_record.c.source, play_record.c.before).where(
        play_record.c.play_id == bindparam("play"), play_record.c.before.is_not(None)
    )
)


def find_lists(
    connection: Connection, found: FoundPlay | None, play_before: Play | None, event: Event
) -> frozenset[str]:
    """The sources of the lists whose row finished the play before the event that ends it was heard."""
    if found is None or play_before is None or play_before.watched_at is None:
        return frozenset()
    if event.action not in (Action.STOP, Action.WATCHED) or play_before.unwatched_at is not None:
        return frozenset()
    rows = SELECT_LISTS.rows(connection, {"play": found.id})
    return frozenset(source for source, before in rows if before.get("watched_at") is None)


def is_finished_anew(play_before: Play | None, event: Event, facts: Facts, source: str) -> bool:
    """True if the event would finish the play without its mark, so that it is news to trackers."""
    if play_before is None:
        return False
    change = advance(replace(play_before, watched_at=None), event, facts, source)
    return change is not None and change.finished and not change.anew


def close_unstopped_play(
    connection: Connection, person_id: int, found: FoundPlay | None, event: Event, mark: float
) -> ClosedPlay | None:
    """Close the play if the event shows that its stop was lost, and it was last heard past the mark."""
    if found is None or found.play is None or not is_stop_lost(found.play, event, mark):
        return None
    change = close_silent(found.play, Facts(mark=mark, before=found.before))
    save_play(connection, person_id, change.play, found.id)
    return ClosedPlay(person_id=person_id, play_id=found.id, change=change)


def find_runtime(connection: Connection, found: FoundPlay | None, event: Event) -> timedelta | None:
    """The item's runtime, read only if needed: no sender gave it, and it was watched before."""
    if found is None or found.play is None or event.duration_ms or found.play.duration_ms:
        return None
    if found.play.watched_at is None and found.before is None:
        return None
    return runtimes.find_runtime(connection, event)


def find_mark_before(
    connection: Connection, person_id: int, event: Event, known_by: Collection[str]
) -> int | None:
    """The play to which the mark of a program adds nothing: one that lasts, or that goes on at that server; or None.

    What a person removed is still known to be watched.
    """
    found = find_plays(connection, person_id, event.item, known_by)
    for row, one in found:
        if one.state is not State.STOPPED and row.server == event.server:
            return row.id
    watched = [
        (one.unwatched_at or one.watched_at, one.unwatched_at is None, row.id)
        for row, one in found
        if one.watched_at is not None
    ]
    _, lasts, play_id = max(watched, default=(event.at, False, 0))
    return play_id if lasts else None


def is_dated_elsewhere(
    connection: Connection, person_id: int, event: Event, known_by: Collection[str]
) -> bool:
    """True if a mark set by hand carries its own past date, set by another tool.

    Where the date is that of a play which was left unfinished, the server only kept it: it was ticked now. Of what
    began later on another server it cannot be.
    """
    at = event.last_played_at
    if at is None or not event.manual or event.action is not Action.WATCHED or event.at - at <= TWIN_WINDOW:
        return False
    return not any(
        one.watched_at is None and is_same_viewing(one, at) and not begins_later(one, at, event.server)
        for _, one in find_plays(connection, person_id, event.item, known_by)
    )


PLAYING_ACTIONS = frozenset({Action.START, Action.RESUME, Action.PROGRESS, Action.WATCHED})
"""The actions that say that a player plays something now."""

IS_OPEN = play.c.state != literal_column("'stopped'")  # a literal, so that the index of open plays serves
SELECT_OPEN_ON_PLAYER = Prepared(
    select(play).where(
        IS_OPEN,
        func.coalesce(play.c.server, "") == bindparam("server"),
        play.c.player_id == bindparam("player"),
        play.c.last_at <= bindparam("until", type_=Utc),
    )
)
SELECT_QUIET = select(play).where(IS_OPEN, play.c.last_at < bindparam("since", type_=Utc))


def close_others_on_player(
    connection: Connection,
    person_id: int,
    event: Event,
    mark: float,
    besides: int | None,
    file: Collection[Item],
) -> list[ClosedPlay]:
    """Close the other open plays on a player that now plays something else; `file` is every item of what it plays.

    Of a server that is named, whoever played it; but several people may watch one item there, who go on.
    """
    if event.action not in PLAYING_ACTIONS or not event.player_id or event.recorded or event.manual:
        return []
    quiet = timedelta(0) if event.action in (Action.START, Action.RESUME) else TWIN_WINDOW
    there = {"server": event.server or "", "player": event.player_id, "until": event.at - quiet}
    closed = []
    for row in sort_by_last(fetch_all(connection, SELECT_OPEN_ON_PLAYER, PlayRow, there)):
        mine, current = row.person_id == person_id, item_from_json(row.item)
        repeats = is_one(current, event.item)
        if row.id == besides or any(is_one(current, other) for other in file if other is not event.item):
            continue
        if mine or (event.server is not None and not repeats):
            closed.append(close_play(connection, row, mark, event.at if repeats else None))
    return closed


def close_overdue(connection: Connection, now: datetime, mark: float) -> list[ClosedPlay]:
    """Close the plays that must be over although no stop came."""
    rows = fetch_all(connection, SELECT_QUIET, PlayRow, {"since": now - timedelta(minutes=10)})
    return [
        close_play(connection, row, mark) for row in sort_by_last(rows) if is_over(play_from_row(row), now)
    ]


def sort_by_last(rows: Iterable[PlayRow]) -> list[PlayRow]:
    """The plays in the order in which they were heard of last: so are their ends sent, whatever the database's order."""
    return sorted(rows, key=lambda row: (row.last_at, row.id))


def close_play(
    connection: Connection, row: PlayRow, mark: float, repeated_at: datetime | None = None
) -> ClosedPlay:
    current = play_from_row(row)
    before = (
        find_last_viewing(connection, row.person_id, current, row.id) if current.watched_at is None else None
    )
    change = close_silent(current, Facts(mark=mark, before=before), repeated_at)
    save_play(connection, row.person_id, change.play, row.id)
    return ClosedPlay(person_id=row.person_id, play_id=row.id, change=change)


def find_last_viewing(connection: Connection, person_id: int, current: Play, play_id: int) -> Play | None:
    """The person's last watched play of the item that this play is of, beside it."""
    known_by = SELECT_KEYS_OF.scalars(connection, {"play": play_id})
    found = find_plays(connection, person_id, current.item, known_by)
    return next((other for row, other in found if row.id != play_id and is_counted(row)), None)
