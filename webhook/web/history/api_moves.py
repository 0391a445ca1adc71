"""API of plays that were recorded wrongly: moved by hours, or to another person, several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from webhook import clock
from webhook.clock import stamp
from webhook.history import moves
from webhook.history.edits import EditResult, NoEdit
from webhook.people.scopes import Scope
from webhook.storage.tables import PlayRow
from webhook.web.history.api import author_of, join_trackers
from webhook.web.history.models import MovedPlay, Moves, PersonMove, Shift
from webhook.web.history.selection import find_watcher, own_plays
from webhook.web.http.operations import Call, Operation

Check = Callable[[Connection, PlayRow, datetime], datetime | None]
"""The date that a play will have; raises NoEdit where it cannot move."""

MoveOne = Callable[[Connection, PlayRow, datetime], EditResult]


async def shift_plays(call: Call[Shift, None]) -> Moves:
    """Move the dates of plays by some hours, such as those of a server whose time zone was wrong; trackers are updated."""
    by_time = timedelta(minutes=round(call.body.hours * 60))
    can, by = call.service.trackers, author_of(call.visitor)
    return await move_plays(
        call,
        lambda _, row, now: moves.check_shift(row, by_time, now),
        lambda connection, row, now: moves.shift_play(connection, row.id, by_time, can, by, now),
    )


async def reassign_plays(call: Call[PersonMove, None]) -> Moves:
    """Give plays to another person: taken back at the old one's trackers, and sent to the new one's."""
    can, by = call.service.trackers, author_of(call.visitor)
    to = await call.read(lambda connection: find_watcher(connection, call.body.person))

    def check(connection: Connection, row: PlayRow, _: datetime) -> datetime | None:
        moves.check_reassign(connection, row, to.id)
        return row.watched_at

    return await move_plays(
        call,
        check,
        lambda connection, row, now: moves.reassign_play(connection, row.id, to.id, can, by, now),
    )


async def move_plays(call: Call[Any, None], check: Check, change: MoveOne) -> Moves:
    """Move each of the plays that can, in one transaction; a dry run only says which."""
    now, dry_run = clock.now(), call.body.dry_run
    wanted: Sequence[int] = list(dict.fromkeys(call.body.plays))

    def move(connection: Connection) -> tuple[list[MovedPlay], list[EditResult]]:
        rows = {row.id: row for row in own_plays(connection, call.visitor, wanted)}
        items: list[MovedPlay] = []
        results: list[EditResult] = []
        for play_id in wanted:
            try:
                if (row := rows.get(play_id)) is None:
                    raise NoEdit(f"there is no play {play_id}")
                at = check(connection, row, now)
                if not dry_run:
                    results.append(change(connection, row, now))
                play = results[-1].get("play", play_id) if results else play_id
                items.append({"id": play_id, "play": play, "watched_at": stamp(at), "reason": None})
            except NoEdit as error:
                items.append({"id": play_id, "play": None, "watched_at": None, "reason": str(error)})
        return items, results

    items, results = await (call.read(move) if dry_run else call.write(move))
    call.service.interpreter.told.set()
    undone, told = join_trackers(results)
    return {"items": items, "undone": undone, "told": told}


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation("POST", "/plays/shift", shift_plays, Scope.HISTORY_WRITE, body=Shift),
    Operation(
        "POST", "/plays/reassign", reassign_plays, Scope.HISTORY_WRITE, body=PersonMove, owner_only=True
    ),
)
