"""API of what is on now: how things stand in one flat object, for the widgets of dashboards."""

from __future__ import annotations

from datetime import datetime, time, timedelta, tzinfo
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select
from typing_extensions import TypedDict

from webhook import clock
from webhook.domain.event import Kind
from webhook.domain.states import NEEDS_PERSON, DeliveryState
from webhook.history.stats_span import zone_for, zone_of
from webhook.people.scopes import Scope
from webhook.queries.plays import play_json
from webhook.storage.json_fields import Count, ItemFields, Time
from webhook.storage.rows import fetch_all
from webhook.storage.tables import PlayRow, person, play
from webhook.web import visible
from webhook.web.http.operations import Call, Operation
from webhook.web.needs_you import queries as needs
from webhook.web.visible import Visitor


class Summary(TypedDict):
    """How things stand: of everybody for the owner, else of the token's person."""

    needs_you: Count
    waiting: Count
    failed: Count
    playing: Count
    now_playing: str | None
    watched_today: Count
    watched_7_days: Count
    watched_30_days: Count
    last_watched: str | None
    last_watched_at: Time | None
    last_webhook_at: Time | None


async def get_summary(call: Call[None, None]) -> Summary:
    """How things stand in one flat object, for a dashboard's widget."""
    now, days = clock.now(), call.service.settings.silence_days
    return await call.read(lambda connection: summarize(connection, call.visitor, now, days))


def summarize(connection: Connection, visitor: Visitor, now: datetime, silence_days: int) -> Summary:
    counts = visible.counts(connection, visitor)
    playing = visible.current_plays(connection, visitor)
    newest = find_last_play(connection, visitor)
    zone = zone_of(None) if visitor.person_id is None else zone_for(connection, visitor.person_id)
    return {
        "needs_you": needs.count(connection, visitor, now, silence_days),
        "waiting": counts.get(DeliveryState.WAITING, 0),
        "failed": sum(counts.get(state, 0) for state in NEEDS_PERSON),
        "playing": len(playing),
        "now_playing": ", ".join(item_name(one, one["artist"]) for one in playing) or None,
        "watched_today": count_plays(connection, visitor, midnight(now, zone)),
        "watched_7_days": count_plays(connection, visitor, now - timedelta(days=7)),
        "watched_30_days": count_plays(connection, visitor, now - timedelta(days=30)),
        "last_watched": None if newest is None else name_play(newest, now),
        "last_watched_at": None if newest is None else clock.stamp(newest.watched_at),
        "last_webhook_at": visible.last_webhook(connection, visitor),
    }


def midnight(now: datetime, zone: tzinfo) -> datetime:
    return datetime.combine(now.astimezone(zone).date(), time(), zone)


def person_ids(connection: Connection, visitor: Visitor) -> list[int]:
    """The people whose plays the visitor sees."""
    if not visitor.is_admin:
        return [] if visitor.person_id is None else [visitor.person_id]
    return list(connection.execute(select(person.c.id)).scalars())


def is_watched() -> tuple[ColumnElement[bool], ...]:
    return (play.c.watched_at.is_not(None), play.c.unwatched_at.is_(None), play.c.removed_at.is_(None))


def count_plays(connection: Connection, visitor: Visitor, since: datetime) -> int:
    wanted = select(func.count()).where(
        play.c.person_id.in_(person_ids(connection, visitor)),
        play.c.watched_at >= since,
        *is_watched(),
    )
    return connection.execute(wanted).scalar_one()


def find_last_play(connection: Connection, visitor: Visitor) -> PlayRow | None:
    """The play that was watched last, found by each person's index."""
    found: list[PlayRow] = []
    for person_id in person_ids(connection, visitor):
        wanted = select(play).where(play.c.person_id == person_id, *is_watched())
        found += fetch_all(connection, wanted.order_by(play.c.watched_at.desc()).limit(1), PlayRow)
    return max(found, key=lambda row: row.watched_at or clock.now(), default=None)


def name_play(row: PlayRow, now: datetime) -> str:
    shown = play_json(row, now)
    return item_name(shown, shown["artist"])


def item_name(entry: ItemFields, artist: str | None = None) -> str:
    """An item in one line: Show S03E09, Title (2013), Artist - Title."""
    if entry["kind"] == Kind.EPISODE and entry["season"] is not None and entry["number"] is not None:
        return f"{entry['show'] or 'unknown show'} S{entry['season']:02}E{entry['number']:02}"
    named = " \N{EN DASH} ".join(part for part in (artist or entry["show"], entry["title"]) if part)
    return f"{named or 'untitled'} ({entry['year']})" if entry["year"] else named or "untitled"


OPERATIONS: tuple[Operation[Any, Any], ...] = (Operation("GET", "/summary", get_summary, Scope.READ),)
