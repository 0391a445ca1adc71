"""Seasons and shows ticked as a whole, and the episodes they stand for.

Jellyfin also reports each episode by itself, Emby only the whole. A show's episodes are known where a lookup has
listed them; one that nobody has listed yet is asked about, and the tick is read again then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from sqlalchemy import Connection, insert, select

from webhook.domain.event import Action, Episode, Event, Ids, Item, Kind, Season, Show, item_from_json
from webhook.domain.items import fold_title
from webhook.domain.json_shapes import ListedEpisodeJson
from webhook.history import shows
from webhook.history.library import show_key
from webhook.queues import inbox
from webhook.storage.json_shapes import EventJson
from webhook.storage.tables import WebhookRow, episode_list, follow, play, play_key

TICKS = frozenset({Action.WATCHED, Action.UNWATCHED})
WHOLES = frozenset({Kind.SEASON, Kind.SHOW})
BY = "season"
"""The marker of an episode's event that stems from a season's tick."""

NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def is_whole(event: Event) -> bool:
    """True if the event is a tick of a season or a show."""
    return event.action in TICKS and event.item.kind in WHOLES


def keep_episodes(connection: Connection, person_id: int, event: Event, webhook: WebhookRow) -> EventJson:
    """Store an event for each episode of a tick, processed like every webhook; returns the reason text.

    A tick that was read before stores nothing again.
    """
    before = next((count for entry in webhook.events or [] if (count := entry.get("episodes"))), None)
    if before is not None:
        return {"episodes": before}
    found = episodes_of(connection, person_id, event)
    if found is None:
        return {"waits_for": want_list(connection, event.item)}
    told = [replace(event, item=episode, item_key=None, manual=True) for episode in found]
    kept = [
        inbox.event_webhook(webhook.source, one, webhook.received_at, BY, token_id=webhook.token_id)
        for one in told
    ]
    if kept:
        inbox.store_webhooks(connection, kept)
    return {"episodes": len(kept)}


def episodes_of(connection: Connection, person_id: int, event: Event) -> Sequence[Episode] | None:
    """The episodes that a tick stands for; None if no lookup has listed the show."""
    listed = list_of(connection, person_id, event.item)
    if event.action is Action.UNWATCHED:
        return list(watched_episodes(connection, person_id, event.item))
    if listed is None:
        return None
    return list(aired_episodes(event.item, listed, event.at.date()))


def of_show(item: Item) -> tuple[str | None, Ids]:
    """The title and the ids of the show that the item is, or is a season of."""
    match item:
        case Season():
            return item.show, item.show_ids
        case Show():
            return item.title, item.ids
    return None, Ids()


def list_of(connection: Connection, person_id: int, item: Item) -> list[ListedEpisodeJson] | None:
    title, ids = of_show(item)
    wanted = {key for key in (show_key(title, ids), show_key(title, Ids())) if key is not None}
    if title is not None:
        named = select(follow.c.show_key, follow.c.ids).where(
            follow.c.person_id == person_id, follow.c.show == title
        )
        wanted |= {
            row.show_key for row in connection.execute(named) if not Ids.from_json(row.ids).contradicts(ids)
        }
    rows = select(episode_list.c.episodes).where(episode_list.c.show_key.in_(sorted(wanted)))
    return next((episodes for episodes in connection.execute(rows).scalars() if episodes), None)


def aired_episodes(item: Item, listed: Sequence[ListedEpisodeJson], day: date) -> Iterator[Episode]:
    """The episodes of the season, or of all regular seasons of the show, that have aired by then."""
    title, ids = of_show(item)
    season = item.season if isinstance(item, Season) else None
    for one in shows.read_episodes(listed) or ():
        meant = one.season == season if season is not None else one.season > 0
        if meant and one.is_aired_by(day):
            yield Episode(
                show=title, show_ids=ids, season=one.season, number=one.number, title=one.title, ids=one.ids
            )


def watched_episodes(connection: Connection, person_id: int, item: Item) -> Iterator[Episode]:
    """The episodes of the season or the show that the person has watched."""
    title, ids = of_show(item)
    openings = [f"episode:of:{name}:{value}:" for name, value in ids.by_namespace().items()]
    openings += [f"episode:title:{fold_title(title)}:"] if title else []
    season = item.season if isinstance(item, Season) else None
    for opening in openings:
        within = (
            play_key.c.person_id == person_id, play_key.c.key >= opening, play_key.c.key < opening[:-1] + ";"
        )  # fmt: skip
        wanted = select(play.c.item).where(
            play.c.id.in_(select(play_key.c.play_id).where(*within)), shows.counts_as_viewing(person_id)
        )
        for described in connection.execute(wanted.distinct()).scalars():
            episode = item_from_json(described)
            if isinstance(episode, Episode) and season in (None, episode.season) and is_of_show(episode, ids):
                yield episode


def is_of_show(episode: Episode, ids: Ids) -> bool:
    return not episode.show_ids.contradicts(ids)


def want_list(connection: Connection, item: Item) -> str | None:
    """Request a show's episode list from the lookups; returns its key, or None if it has no id to ask by."""
    title, ids = of_show(item)
    key = show_key(title, ids)
    if key is None or ids.tvdb is None:
        return None
    there = select(episode_list.c.show_key).where(episode_list.c.show_key == key)
    if connection.execute(there).first() is None:
        values = {"show_key": key, "via": shows.REQUESTED, "episodes": [], "asked_at": NEVER}
        connection.execute(insert(episode_list), values)
    return key
