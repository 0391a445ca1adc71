"""Plays that a person gave another item or date: what servers say of such a viewing still belongs to its play."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection, select

from webhook.domain.event import Action, Event
from webhook.domain.items import MAX_KEY, keys, same_item
from webhook.domain.play import Facts, Play, State
from webhook.domain.playback import TWIN_WINDOW, earliest_start
from webhook.domain.viewing import is_another_viewing
from webhook.history.past_records import before_edit
from webhook.history.play_store import PLAYS_BY_KEYS, FoundPlay, play_from_row
from webhook.storage.json_shapes import EditedPlayJson
from webhook.storage.prepared import Prepared
from webhook.storage.rows import fetch_with
from webhook.storage.tables import PlayRow, edit, play

EARLIER = "was:"
"""What opens a key that a play had before it was given another item: by it only what is still said of it is found."""

SELECT_EDITED = Prepared(
    select(play, edit.c.before)
    .join(edit, edit.c.play_id == play.c.id)
    .where(
        play.c.id.in_(PLAYS_BY_KEYS),
        play.c.removed_at.is_(None),
        edit.c.what.in_(("redated", "corrected")),
    )
    .order_by(edit.c.id.desc())
)
ENDS = frozenset({Action.PAUSE, Action.STOP, Action.WATCHED})


class EditedPlay(NamedTuple):
    """A play that an event belongs to, though a person changed it. `redated`: the event adds nothing to it."""

    id: int
    play: Play
    redated: bool


def earlier_key(key: str) -> str:
    return key if key.startswith(EARLIER) else (EARLIER + key)[:MAX_KEY]


def find_edited_play(
    connection: Connection,
    person_id: int,
    event: Event,
    known_by: Collection[str],
    latest: FoundPlay | None,
    mark: float,
) -> EditedPlay | None:
    """The play whose viewing the event is of, as the server knows it: by the item or the date before an edit.

    `latest` is the play that the event's item has otherwise: where that began later, the event is of it.
    """
    known = set(known_by)
    wanted = {"person": person_id, "keys": [*known_by, *map(earlier_key, known_by)]}
    for row, before in fetch_with(connection, SELECT_EDITED, PlayRow, EditedPlayJson, wanted):
        current = play_from_row(row)
        version = as_before(current, before)
        if not same_item(version.item, event.item) or not is_said_of(version, event, mark):
            continue
        if latest is not None and latest.id != row.id and has_begun_after(latest.play, version, event):
            continue
        redated = version.watched_at != current.watched_at and current.watched_at is not None
        found_anyway = same_item(current.item, event.item) and not known.isdisjoint(keys(current.item))
        if redated or not found_anyway:
            return EditedPlay(row.id, current, redated)
    return None


def has_begun_after(latest: Play | None, version: Play, event: Event) -> bool:
    return latest is not None and version.started_at < latest.started_at <= event.at


def as_before(current: Play, before: EditedPlayJson) -> Play:
    """The play as it would be without the edit, with what was heard since."""
    known = before_edit(current, before)
    if known.watched_at is None or current.watched_at is None:
        return replace(current, item=known.item)
    moved = known.watched_at - current.watched_at
    return replace(known, last_at=current.last_at + moved)


def is_said_of(version: Play, event: Event, mark: float) -> bool:
    """True if the event is of this viewing, and of none that follows it."""
    if event.action is Action.UNWATCHED or event.recorded or event.undated:
        return False
    if version.resumed_at is not None or event.at < earliest_start(version) - TWIN_WINDOW:
        return False
    if is_another_viewing(version, event, Facts(mark=mark), version.source):
        return False
    is_open = version.watched_at is None or version.state is not State.STOPPED
    return is_open or event.action in ENDS or event.at <= version.last_at + TWIN_WINDOW
