"""Resolving: items of imported plays that came without an id are looked up, a few at a time.

What a lookup finds is written into every play of the item; what it does not find waits for a person,
with the candidates there are. Once a person has chosen, it is remembered for that item like any match.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Row, delete, insert, or_, select, union, update

from webhook import clock
from webhook.clock import stamp
from webhook.domain.event import Episode, Ids, Item, item_from_json, item_to_json
from webhook.domain.items import keys
from webhook.domain.outcome import Retry, Snooze, Undelivered, Unmatched
from webhook.domain.states import DeliveryState
from webhook.history.play_store import store_keys
from webhook.history.shows import NOWHERE
from webhook.identity import matches
from webhook.identity.resolver import NO_LOOKUPS, Identity
from webhook.queues import parking
from webhook.storage.db import Database, Unavailable
from webhook.storage.tables import delivery, episode_list, note, person, play, play_key, unresolved
from webhook.transfer import show_merge
from webhook.transfer.show_ids import KIND

log = structlog.get_logger()

NEEDS = ("tvdb", "tmdb", "imdb")
FEW = 10
PAUSE = 2.0
AGAIN = timedelta(hours=1)
CHUNK = 500  # how many ids go into one statement
OF_PLEX = "show:plex:"


class Resolver:
    """Looks up what imports brought without an id, in the service's own time."""

    def __init__(self, database: Database, identity: Identity) -> None:
        self.database = database
        self.identity = identity

    async def run(self, stop: asyncio.Event) -> None:
        never = asyncio.Event()
        while not stop.is_set():
            try:
                busy = await self.once()
            except Unavailable as error:
                log.warning("The database cannot be used now; looking up waits.", why=str(error))
                busy = 0
            await clock.awaken(never, stop, 0.01 if busy else PAUSE)

    async def once(self) -> int:
        """Look up the next few; how many that were."""
        lookups = bool(self.identity.lookups)
        rows = await self.database.read(lambda connection: due(connection, clock.now(), lookups))
        for row in rows:
            outcome = await self.looked_up(row)
            await self.database.write(settle, (row.key, outcome))
        return len(rows)

    async def looked_up(self, row: Row[Any]) -> Item | Undelivered:
        item = item_from_json(row.item)
        if not self.identity.lookups:
            return Unmatched(NO_LOOKUPS)
        try:
            return await self.identity.resolve(item, NEEDS)
        except Unmatched as decision:
            return await self.identity.with_candidates(item, decision)
        except Undelivered as decision:
            return decision


def due(connection: Connection, now: datetime, lookups: bool) -> list[Row[Any]]:
    """What is to be looked up now; with lookups also what waits only because there were none."""
    waiting = (unresolved.c.state == "waiting") & (unresolved.c.due_at <= now)
    alone = (unresolved.c.state == "unmatched") & (unresolved.c.reason == NO_LOOKUPS)
    wanted = select(unresolved).where(or_(waiting, alone) if lookups else waiting, unresolved.c.kind != KIND)
    return list(connection.execute(wanted.order_by(unresolved.c.due_at).limit(FEW)))


def settle(connection: Connection, waiting: list[tuple[str, Item | Undelivered]]) -> list[None]:
    for key, outcome in waiting:
        if isinstance(outcome, Undelivered):
            put_off(connection, key, outcome, clock.now())
        else:
            learn(connection, key, outcome)
    return [None] * len(waiting)


def put_off(connection: Connection, key: str, why: Undelivered, now: datetime) -> None:
    values: dict[str, Any] = {"reason": why.reason}
    if isinstance(why, Retry | Snooze):
        values["due_at"] = now + max(why.after or AGAIN, AGAIN)
    else:
        candidates = why.candidates if isinstance(why, Unmatched) else None
        values |= {"state": "unmatched", "candidates": candidates or None}
    connection.execute(update(unresolved).where(unresolved.c.key == key).values(values))


# --- a lookup that is new


KNOWN_LOOKUPS = "lookups"
"""The name of the note of which lookups there were, each with a digest of its settings."""


def retry_unknown(connection: Connection, lookups: Mapping[str, str], now: datetime) -> int:
    """Try again, once, what no lookup could tell, where one of these is new or set up anew; how much that is.

    What a person has dismissed stays as it is.
    """
    here = note.c.name == KNOWN_LOOKUPS
    before = connection.execute(select(note.c.value).where(here)).scalar()
    if before == lookups:
        return 0
    connection.execute(delete(note).where(here))
    connection.execute(insert(note), {"name": KNOWN_LOOKUPS, "value": dict(lookups)})
    if lookups.items() <= (before or {}).items():
        return 0
    connection.execute(delete(episode_list).where(episode_list.c.via == NOWHERE))
    asked = update(unresolved).where(unresolved.c.state == "unmatched")
    count = connection.execute(asked.values(state="waiting", due_at=now)).rowcount
    undone = (delivery.c.state == DeliveryState.UNMATCHED, delivery.c.settled_at.is_(None))
    ids = connection.execute(select(delivery.c.id).where(*undone)).scalars().all()
    for start in range(0, len(ids), CHUNK):
        parking.revive(connection, ids[start : start + CHUNK], now)
    return count + len(ids)


# --- what is learned


def learn(connection: Connection, key: str, found: Item) -> int:
    """Write what was found into every play of the item; how many plays that were."""
    rows = plays_of(connection, key)
    for row in rows:
        item = taught(item_from_json(row.item), found)
        connection.execute(update(play).where(play.c.id == row.id).values(item=item_to_json(item)))
        store_keys(connection, row.person_id, row.id, keys(item))
    connection.execute(delete(unresolved).where(unresolved.c.key == key))
    return len(rows)


def taught(item: Item, found: Item) -> Item:
    """The item with the ids that were found: of an episode its show's, its own only if it is that very one."""
    if isinstance(item, Episode) and isinstance(found, Episode):
        shown = replace(item, show_ids=item.show_ids.merge(found.show_ids))
        same = (item.season, item.number) == (found.season, found.number)
        return replace(shown, ids=item.ids.merge(found.ids)) if same else shown
    return replace(item, ids=item.ids.merge(found.ids))


def plays_of(connection: Connection, key: str) -> list[Row[Any]]:
    """Every play that a question is about: of a show all its episodes, with numbers or without."""
    if key.startswith(OF_PLEX):
        return list(show_merge.plays_of(connection, key.removeprefix(OF_PLEX)))
    kind, _, rest = key.partition(":title:")
    # The keys are sorted by person.
    theirs = play_key.c.person_id.in_(select(person.c.id))
    found = [select(play_key.c.play_id).where(theirs, play_key.c.key == key)]
    if kind == "show":
        prefix = f"episode:title:{rest.removesuffix(':mapped')}:"
        of_show = play_key.c.key.startswith(prefix, autoescape=True)
        # What follows begins with a figure, which every order has before a letter: so the index finds it.
        between = (play_key.c.key >= prefix, play_key.c.key <= f"{prefix}z")
        found.append(select(play_key.c.play_id).where(theirs, of_show, *between))
    return list(connection.execute(select(play).where(play.c.id.in_(union(*found))).order_by(play.c.id)))


def choose(
    connection: Connection,
    key: str,
    ids: Ids,
    now: datetime,
    *,
    title: str | None = None,
    season_offset: int = 0,
) -> int:
    """What a person chose for an item without ids, remembered and written into its plays; how many those are.

    Raises NoMatch.
    """
    row = connection.execute(select(unresolved).where(unresolved.c.key == key)).first()
    if row is None:
        raise matches.NoMatch(f"Nothing waits under {key}.")
    matches.choose(connection, now, ids, key=key, title=title, season_offset=season_offset)
    choice = matches.Choice(ids=ids, title=title, season_offset=season_offset)
    rows = plays_of(connection, key)
    for one in rows:
        item = matches.apply_choice(item_from_json(one.item), choice)
        connection.execute(update(play).where(play.c.id == one.id).values(item=item_to_json(item)))
        store_keys(connection, one.person_id, one.id, keys(item))
    if row.kind == KIND:  # what else is kept of the show is merged, by whoever learns its ids
        values = {"state": "waiting", "reason": None, "candidates": None, "due_at": now}
        connection.execute(update(unresolved).where(unresolved.c.key == key).values(values))
    else:
        connection.execute(delete(unresolved).where(unresolved.c.key == key))
    return len(rows)


def candidate(connection: Connection, key: str, number: int) -> tuple[Ids, str | None]:
    """Ids and title of the candidate of this number, counted from one. Raises NoMatch."""
    row = connection.execute(select(unresolved.c.candidates).where(unresolved.c.key == key)).first()
    there = (row.candidates or []) if row else []
    if not 1 <= number <= len(there):
        raise matches.NoMatch(f"{key} has {len(there)} candidates, counted from 1.")
    return Ids.from_json(there[number - 1].get("ids")), there[number - 1].get("title")


# --- what waits


def list_open_choices(
    connection: Connection, person_id: int | None = None, *, limit: int = 50, after: str | None = None
) -> dict[str, Any]:
    """What waits for a person's choice, of everybody's plays or of one's, as the API gives it."""
    wanted = select(unresolved).where(unresolved.c.state == "unmatched").order_by(unresolved.c.key)
    if after is not None:
        wanted = wanted.where(unresolved.c.key > after)
    shown: list[dict[str, Any]] = []
    for row in connection.execute(wanted).all():
        plays = [one for one in plays_of(connection, row.key) if person_id in (None, one.person_id)]
        if plays:
            shown.append(unmatched_item(row, len(plays)))
        if len(shown) > limit:
            return {"items": shown[:limit], "next": shown[limit - 1]["key"]}
    return {"items": shown, "next": None}


def unmatched_item(row: Row[Any], plays: int) -> dict[str, Any]:
    item = row.item
    return {
        "key": row.key,
        **{name: item.get(name) for name in ("kind", "title", "show", "season", "number", "year")},
        "reason": row.reason,
        "candidates": row.candidates or [],
        "plays": plays,
        "since": stamp(row.created_at),
    }


def question(item: Item) -> str | None:
    """What is asked once for all plays of the item: of an episode, for its whole show."""
    return next(iter(matches.match_keys(item)), None)
