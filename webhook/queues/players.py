"""Players that a sender leaves out: what it says beside playback is of the player on which its user plays the item.

Jellyfin, for one, reports *User Data Saved* without a player, and its own record of the past has none either. Rules
by player, or by library, would let through what they are there to stop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, select

from webhook.domain.advance import MAX_PAUSE, VIEWING_ACTIONS, is_over
from webhook.domain.event import Action, Event, Item, item_from_json
from webhook.domain.items import is_one
from webhook.domain.play import Play, State
from webhook.domain.playback import REWATCH_WINDOW, STATES_AFTER, TWIN_WINDOW
from webhook.domain.viewing import is_same_viewing
from webhook.storage.json_shapes import EventJson
from webhook.storage.prepared import Prepared
from webhook.storage.tables import webhook
from webhook.storage.types import Utc

MAX_WEBHOOKS, MAX_PAST_WEBHOOKS = 5_000, 20_000
"""Webhooks of everybody among which those of one user are looked for; a record of the past may be some days old."""

MAX_READ, MAX_PAST_READ = 200, 2_000
"""Webhooks of the user that are read, the newest first; those about a record lie anywhere in the hours around it."""

END_PERCENT = 90.0
"""The percent from which what plays may have been played to its end, as far as the clock says."""

PLAYBACK = VIEWING_ACTIONS - {Action.UNWATCHED}

# The inner statement reads an index alone: only what it finds is read with its body.
OF_USER = Prepared(
    select(webhook.c.events)
    .where(
        webhook.c.id.in_(
            select(webhook.c.id).where(
                webhook.c.id > bindparam("after"),
                webhook.c.id < bindparam("before"),
                webhook.c.identity_id == bindparam("identity"),
            )
        ),
        webhook.c.received_at >= bindparam("since", type_=Utc),
        webhook.c.received_at <= bindparam("until", type_=Utc),
        webhook.c.events.is_not(None),
    )
    .order_by(webhook.c.id.desc())
    .limit(bindparam("most"))
)
NEWEST_WEBHOOK = Prepared(select(func.max(webhook.c.id)))


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard of playback on a player, as a play of that moment alone; `is_last` of that player."""

    play: Play
    is_last: bool
    is_completed: bool


def lacks_player(event: Event) -> bool:
    """True if the event is of playback, or may be, and its sender names no player. Who takes a mark back takes their own."""
    return event.player is None and event.action in PLAYBACK and not event.undated


def add_player(connection: Connection, event: Event, identity_id: int, before: int | None = None) -> Event:
    """The event with the player of the playback that it is of, and with its library where it names none.

    `before` is the event's webhook, None where it has none. Where nothing was heard of it, the event is as it was.
    """
    found = find_playback(connection, event, identity_id, before)
    if found is None:
        return event
    return replace(event, player=found.player, library=event.library or found.library)


def find_playback(connection: Connection, event: Event, identity_id: int, before: int | None) -> Play | None:
    """What was heard of the playback that the event is of, nearest in time; None if nothing was."""
    before = before or (NEWEST_WEBHOOK.scalar(connection, {}) or 0) + 1
    span = REWATCH_WINDOW if event.recorded else MAX_PAUSE
    reach = MAX_PAST_WEBHOOKS if event.recorded else MAX_WEBHOOKS
    wanted = {
        "identity": identity_id,
        "after": before - reach,
        "before": before,
        "since": event.at - span,
        "until": event.at + span,
        "most": MAX_PAST_READ if event.recorded else MAX_READ,
    }
    heard = hear(OF_USER.scalars(connection, wanted), event)
    fitting = [one.play for one in heard if is_of(one, event)]
    return min(fitting, key=lambda one: abs(event.at - one.last_at), default=None)


def hear(told: Sequence[Sequence[EventJson]], event: Event) -> Iterator[Heard]:
    """What the webhooks, the newest first, told of the event's item on any player."""
    players: set[str | None] = set()
    for entries in told:
        here = [entry for entry in entries if entry.get("player") and entry["action"] in PLAYBACK]
        for entry in here:
            item = item_from_json(entry)
            if is_one(item, event.item) or item == event.item:
                is_completed = bool(entry.get("completed")) or entry["action"] == Action.WATCHED
                yield Heard(moment_of(entry, item, event), entry["player"] not in players, is_completed)
        players |= {entry["player"] for entry in here}


def moment_of(entry: EventJson, item: Item, event: Event) -> Play:
    """What one webhook told, as a play that began then."""
    at = datetime.fromisoformat(entry["at"])
    return Play(
        item=item,
        state=STATES_AFTER.get(Action(entry["action"]), State.STOPPED),
        started_at=at,
        last_at=at,
        player=entry["player"],
        library=entry.get("library"),
        position_ms=entry.get("position_ms"),
        position_at=at,
        duration_ms=entry.get("duration_ms") or event.duration_ms,
    )


def is_of(heard: Heard, event: Event) -> bool:
    """True if the event is of what was heard: its player still plays it, or has just ended it.

    Only playback itself says that it is watched, maybe after a long pause that nobody told. A mark by hand is its
    user's own, unless it was just played to its end there: then the server sets it, as Emby does.
    """
    if event.recorded:
        return is_same_viewing(heard.play, event.at)
    silence = event.at - heard.play.last_at
    if event.manual and not heard.is_completed and (heard.play.percent(event.at) or 0) < END_PERCENT:
        return False
    if abs(silence) <= TWIN_WINDOW:
        return True
    if silence < timedelta(0) or not heard.is_last or heard.play.state is State.STOPPED:
        return False
    if event.action is Action.WATCHED and not event.manual:
        return silence <= MAX_PAUSE
    return not is_over(heard.play, event.at)
