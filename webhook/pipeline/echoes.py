"""Echoes: what a media server reports of a mark that we made there, which joins the trace of our delivery.

It makes no play, no mark and no delivery, however late, doubled or out of order it comes. Playback is no echo.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from webhook.domain.event import Action, Event
from webhook.domain.items import play_keys
from webhook.pipeline.planning import Context
from webhook.queues import expectations
from webhook.storage.prepared import Prepared
from webhook.storage.tables import play, play_key

OPEN_HERE = Prepared(
    select(play.c.id)
    .join(play_key, play_key.c.play_id == play.c.id)
    .where(
        play_key.c.person_id == bindparam("person"),
        play_key.c.key.in_(bindparam("keys", expanding=True)),
        play.c.server == bindparam("at_server"),
        play.c.watched_at.is_(None),
        play.c.unwatched_at.is_(None),
    )
    .limit(1)
)


def find_echo(context: Context, event: Event) -> int | None:
    """The delivery that this event is an echo of, or None."""
    if sets_positions(context, event) and not is_played(context.connection, context, event):
        found = expectations.find_position_echo(context.connection, context.person_id, event, context.now)
        if found is not None:
            return found
    if event.action is Action.WATCHED and not event.manual and is_played(context.connection, context, event):
        return None
    return expectations.find_echo(context.connection, context.person_id, event, context.now)


def sets_positions(context: Context, event: Event) -> bool:
    """True if positions are set on the server of this event."""
    return event.action in expectations.LEFT and any(
        target.server == event.server and Action.PROGRESS in target.tells for target in context.targets
    )


def is_played(connection: Connection, context: Context, event: Event) -> bool:
    """True if the person plays the item on this server, so that it is watched by playback."""
    known = list(play_keys(event.item, event.server, event.item_key, event.show_key))
    wanted = {"person": context.person_id, "keys": known, "at_server": event.server}
    return event.server is not None and OPEN_HERE.scalar(connection, wanted) is not None


def echo_reason(delivery_id: int) -> str:
    """The reason why nothing came of an echo, as the trace has it."""
    return f"it is the echo of delivery {delivery_id}: the server reports our own mark"
