"""Scrobbles: stored in the inbox and interpreted like webhooks; inside a caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, func, select

from webhook.compat.videoscrobbler import videos
from webhook.compat.videoscrobbler.apps import KIND
from webhook.compat.videoscrobbler.remote_ids import URL
from webhook.compat.videoscrobbler.videos import Video
from webhook.domain.event import Action, Event
from webhook.domain.items import keys
from webhook.domain.play import Facts, Play, State
from webhook.domain.rules import Filters, stopping_filter
from webhook.domain.states import WebhookState
from webhook.domain.viewing import MAX_REST, is_watched_again
from webhook.history.play_store import save_play, store_keys
from webhook.queues import inbox
from webhook.storage.tables import person, webhook

PLAYING, PAUSED, STOPPED, FINISHED = "playing", "paused", "stopped", "finished"
ACTIONS_BY_STATE = {PLAYING: Action.START, PAUSED: Action.PAUSE, STOPPED: Action.STOP, FINISHED: Action.STOP}
RESTING = "resting"
"""The name of a paused play's state once it is stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scrobble:
    """A scrobble that an app sends. The position is in ms."""

    token_id: int
    app_name: str
    person_id: int
    person_name: str
    video: Video
    position_ms: int
    state: str
    origin: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class StoredScrobble:
    """The webhook of a scrobble; `continued` is True if it continues an earlier viewing."""

    webhook_id: int
    continued: bool


def event_of(one: Scrobble) -> Event:
    # The origin (a DVD, a file, a channel) is to a video what a library is to a media server.
    return videos.video_event(
        one.video,
        ACTIONS_BY_STATE[one.state],
        one.at,
        user=one.person_name,
        player=one.app_name,
        player_id=f"{KIND} {one.token_id}",
        library=one.origin,
        position_ms=one.position_ms,
        completed=True if one.state == FINISHED else None,
    )


def store_scrobbles(connection: Connection, waiting: list[Scrobble]) -> list[StoredScrobble]:
    return [store_scrobble(connection, one) for one in waiting]


def store_scrobble(connection: Connection, one: Scrobble) -> StoredScrobble:
    before = videos.latest(connection, one.person_id, one.video)
    event = event_of(one)
    if before is not None:
        make_room(connection, one, event, *before)
    if one.state == FINISHED and is_open(connection, one):
        event = replace(event, rewatch=True)  # the app itself reports the end, however long it took
    (webhook_id,) = submit(connection, event, one.person_id, one.token_id)
    return StoredScrobble(webhook_id, continued=before is not None and goes_on(before[1]))


def is_open(connection: Connection, one: Scrobble) -> bool:
    """True if the latest play of the video is not finished yet."""
    found = videos.latest(connection, one.person_id, one.video)
    return found is not None and found[1].watched_at is None


def submit(connection: Connection, event: Event, person_id: int, token_id: int) -> list[int]:
    received = inbox.event_webhook(KIND, event, event.at, by=KIND, person_id=person_id, token_id=token_id)
    return inbox.store_webhooks(connection, [received])


def goes_on(before: Play) -> bool:
    """True if a scrobble after this play continues it: it was not finished, or was resumed since."""
    if before.unwatched_at is not None:
        return False
    if before.watched_at is None or before.state is not State.STOPPED:
        return True
    return before.resumed_at is not None and before.resumed_at > before.watched_at


def make_room(connection: Connection, one: Scrobble, event: Event, play_id: int, before: Play) -> None:
    """Close or change the last play if the event must not be merged into it."""
    if from_elsewhere(before, one) or from_the_start(before, one):
        if lets_through(connection, one, event):
            begin_anew(connection, one, event, play_id, before)
    elif ends_too_soon(before, one, event) and lets_through(connection, one, event):
        save_play(connection, one.person_id, replace(before, resumed_at=None), play_id)


def from_elsewhere(before: Play, one: Scrobble) -> bool:
    """True if an open play continues from another origin, which makes it another play."""
    is_open = goes_on(before) and one.at - before.last_at <= MAX_REST
    return is_open and one.origin is not None and one.origin != before.library


def from_the_start(before: Play, one: Scrobble) -> bool:
    """True if a finished stream starts again: the position is in the first half of its last length."""
    is_finished = before.watched_at is not None and before.unwatched_at is None and not goes_on(before)
    if one.video.type != URL or one.state not in (PLAYING, PAUSED) or not is_finished:
        return False
    length = before.duration_ms or before.position_ms
    return not length or 2 * one.position_ms < length


def ends_too_soon(before: Play, one: Scrobble, event: Event) -> bool:
    """True if a resumed play is finished too soon to have been watched; it then does not count."""
    if one.state != FINISHED or before.watched_at is None or before.unwatched_at is not None:
        return False
    return before.resumed_at is not None and not is_watched_again(
        before, event, Facts(mark=100.0), before.source
    )


def lets_through(connection: Connection, one: Scrobble, event: Event) -> bool:
    filters = connection.execute(select(person.c.filters).where(person.c.id == one.person_id)).scalar()
    return stopping_filter(Filters.from_json(filters), event) is None


def begin_anew(connection: Connection, one: Scrobble, event: Event, play_id: int, before: Play) -> None:
    """End the open play where it is, and start another for the event."""
    save_play(connection, one.person_id, replace(before, state=State.STOPPED), play_id)
    # A start is interpreted where nothing plays yet; any other action where something does.
    state = State.STOPPED if event.action is Action.START else State.PLAYING
    fresh = Play(
        item=before.item,
        state=state,
        started_at=one.at,
        last_at=one.at,
        source=KIND,
        server=event.server,
        player=event.player,
        player_id=event.player_id,
        library=one.origin,
        position_ms=one.position_ms,
        position_at=one.at,
        duration_ms=before.duration_ms,
    )
    made = save_play(connection, one.person_id, fresh, None)
    store_keys(connection, one.person_id, made, keys(before.item, event.server, event.item_key))


def waits(connection: Connection, token_id: int) -> bool:
    """True if a webhook of this session key is not interpreted yet."""
    mine = select(webhook.c.id).where(
        webhook.c.state == WebhookState.RECEIVED, webhook.c.token_id == token_id
    )
    return connection.execute(mine.limit(1)).first() is not None


def is_read(connection: Connection, webhook_id: int) -> bool:
    mine = select(func.count()).where(webhook.c.id == webhook_id, webhook.c.state == WebhookState.RECEIVED)
    return connection.execute(mine).scalar_one() == 0


def stored_state(after: Play | None, one: Scrobble) -> dict[str, object]:
    """The stored state and position after a scrobble; those that were sent if it is not interpreted yet."""
    if after is None or after.last_at < one.at:
        state = RESTING if one.state == PAUSED else one.state
        return {"position": seconds(one.position_ms), "state": state}
    return {"position": seconds(after.position_ms or 0), "state": state_of(after, one)}


def state_of(after: Play, one: Scrobble) -> str:
    if after.state is State.PLAYING:
        return PLAYING
    if after.state is State.PAUSED:
        return RESTING
    ended = one.state == FINISHED and after.watched_at is not None
    return FINISHED if ended or after.watched_at == one.at else STOPPED


def seconds(ms: int) -> int | float:
    return ms // 1000 if ms % 1000 == 0 else ms / 1000
