"""Lookup queue: items of imported plays without an id are looked up, a few at a time.

An answer is written into every play of the item; an item that no lookup knows waits for a person, with the
candidates found. A person's choice is remembered for the item like any match.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, delete, insert, or_, select, union, update

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
from webhook.queries.paging import TextPage
from webhook.queues import parking
from webhook.storage.db import Database, Unavailable
from webhook.storage.json_fields import Count, ItemFields, Time
from webhook.storage.json_shapes import CandidateJson
from webhook.storage.rows import fetch_all, fetch_first
from webhook.storage.tables import (
    PlayRow,
    UnresolvedRow,
    delivery,
    episode_list,
    note,
    person,
    play,
    play_key,
    unresolved,
)
from webhook.transfer import show_merge
from webhook.transfer.show_ids import KIND
from webhook.transfer.text_lookup import TextAnswer, TextLookup
from webhook.transfer.text_settle import open_plays, store_answers

log = structlog.get_logger()

NEEDS = ("tvdb", "tmdb", "imdb")
FEW = 10
POLL_SECONDS = 2.0
AGAIN = timedelta(hours=1)
CHUNK = 500  # how many ids go into one statement
OF_PLEX = "show:plex:"


class Resolver:
    """Looks up imported items without an id, in the background."""

    def __init__(self, database: Database, identity: Identity) -> None:
        self.database = database
        self.identity = identity

    async def run(self, stop: asyncio.Event) -> None:
        never = asyncio.Event()
        while not stop.is_set():
            try:
                busy = await self.run_once()
            except Unavailable as error:
                log.warning("The database is unavailable; lookups wait.", why=str(error))
                busy = 0
            await clock.awaken(never, stop, 0.01 if busy else POLL_SECONDS)

    async def run_once(self) -> int:
        """Look up the next few items; returns how many."""
        lookups = bool(self.identity.lookups)
        rows = await self.database.read(lambda connection: due(connection, clock.now(), lookups))
        for row in rows:
            outcome = await self.look_up(row)
            await self.database.write(settle, (row.key, outcome))
        return len(rows)

    async def look_up(self, row: UnresolvedRow) -> Item | TextAnswer | Undelivered:
        item = item_from_json(row.item)
        if not self.identity.lookups:
            return Unmatched(NO_LOOKUPS)
        plays = await self.database.read(lambda connection: open_plays(plays_of(connection, row.key)))
        try:
            if plays:
                return await TextLookup(self.identity.lookups).find(plays, row.language)
            return await self.identity.resolve(item, NEEDS)
        except Unmatched as decision:
            return await self.identity.with_candidates(item, decision)
        except Undelivered as decision:
            return decision


def due(connection: Connection, now: datetime, lookups: bool) -> list[UnresolvedRow]:
    """The items due for a lookup now; with lookups, also those that had none to ask."""
    waiting = (unresolved.c.state == "waiting") & (unresolved.c.due_at <= now)
    alone = (unresolved.c.state == "unmatched") & (unresolved.c.reason == NO_LOOKUPS)
    wanted = select(unresolved).where(or_(waiting, alone) if lookups else waiting, unresolved.c.kind != KIND)
    return fetch_all(connection, wanted.order_by(unresolved.c.due_at).limit(FEW), UnresolvedRow)


def settle(connection: Connection, waiting: list[tuple[str, Item | TextAnswer | Undelivered]]) -> list[None]:
    for key, outcome in waiting:
        if isinstance(outcome, Undelivered):
            postpone(connection, key, outcome, clock.now())
        elif isinstance(outcome, TextAnswer):
            settle_titles(connection, key, outcome, clock.now())
        else:
            learn(connection, key, outcome)
    return [None] * len(waiting)


def settle_titles(connection: Connection, key: str, answer: TextAnswer, now: datetime) -> None:
    """Write what is sure into the plays; the rest waits for a person, or for the next round where it came since."""
    store_answers(connection, plays_of(connection, key), answer.found, now)
    left = open_plays(plays_of(connection, key))
    if answer.open is not None and answer.asked.issuperset(one.id for one in left):
        postpone(connection, key, answer.open, now)
    elif left:
        connection.execute(update(unresolved).where(unresolved.c.key == key).values(due_at=now))
    else:
        connection.execute(delete(unresolved).where(unresolved.c.key == key))


def postpone(connection: Connection, key: str, why: Undelivered, now: datetime) -> None:
    values: dict[str, object] = {"reason": why.reason}
    if isinstance(why, Retry | Snooze):
        values["due_at"] = now + max(why.after or AGAIN, AGAIN)
    else:
        candidates = why.candidates if isinstance(why, Unmatched) else None
        values |= {"state": "unmatched", "candidates": candidates or None}
    connection.execute(update(unresolved).where(unresolved.c.key == key).values(values))


# --- a new lookup


KNOWN_LOOKUPS = "lookups"
"""The name of the note that lists the known lookups, each with a digest of its settings."""


def retry_unknown(connection: Connection, lookups: Mapping[str, str], now: datetime) -> int:
    """Retry unmatched items and deliveries once after a lookup was added or changed; returns how many.

    Items that a person has dismissed stay as they are.
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


# --- results


def learn(connection: Connection, key: str, found: Item) -> int:
    """Write the ids found into every play of the item; returns how many plays."""
    rows = plays_of(connection, key)
    for row in rows:
        item = add_ids(item_from_json(row.item), found)
        connection.execute(update(play).where(play.c.id == row.id).values(item=item_to_json(item)))
        store_keys(connection, row.person_id, row.id, keys(item))
    connection.execute(delete(unresolved).where(unresolved.c.key == key))
    return len(rows)


def add_ids(item: Item, found: Item) -> Item:
    """The item with the ids found: an episode gets its show's, and its own only if the episode is the same."""
    if isinstance(item, Episode) and isinstance(found, Episode):
        shown = replace(item, show_ids=item.show_ids.merge(found.show_ids))
        same = (item.season, item.number) == (found.season, found.number)
        return replace(shown, ids=item.ids.merge(found.ids)) if same else shown
    return replace(item, ids=item.ids.merge(found.ids))


def plays_of(connection: Connection, key: str) -> list[PlayRow]:
    """Every play of a queued item; for a show, the plays of all its episodes."""
    if key.startswith(OF_PLEX):
        return show_merge.plays_of(connection, key.removeprefix(OF_PLEX))
    kind, _, rest = key.partition(":title:")
    # The keys are sorted by person.
    theirs = play_key.c.person_id.in_(select(person.c.id))
    found = [select(play_key.c.play_id).where(theirs, play_key.c.key == key)]
    if kind == "show":
        prefix = f"episode:title:{rest.removesuffix(':mapped')}:"
        of_show = play_key.c.key.startswith(prefix, autoescape=True)
        # A figure follows the prefix, which sorts before a letter in every collation: the index is used.
        between = (play_key.c.key >= prefix, play_key.c.key <= f"{prefix}z")
        found.append(select(play_key.c.play_id).where(theirs, of_show, *between))
    wanted = select(play).where(play.c.id.in_(union(*found))).order_by(play.c.id)
    return fetch_all(connection, wanted, PlayRow)


def choose(
    connection: Connection,
    key: str,
    ids: Ids,
    now: datetime,
    *,
    title: str | None = None,
    season_offset: int = 0,
) -> int:
    """Store a person's choice for an item without ids and write it into the plays; returns how many.

    Raises NoMatch.
    """
    row = fetch_first(connection, select(unresolved).where(unresolved.c.key == key), UnresolvedRow)
    if row is None:
        raise matches.NoMatch(f"Nothing waits under {key}.")
    matches.choose(connection, now, ids, key=key, title=title, season_offset=season_offset)
    choice = matches.Choice(ids=ids, title=title, season_offset=season_offset)
    rows = plays_of(connection, key)
    by_title = {one.id for one in open_plays(rows)}
    if by_title:  # those that have their place already keep it
        rows = [one for one in rows if one.id in by_title]
    for one in rows:
        item = matches.apply_choice(item_from_json(one.item), choice)
        connection.execute(update(play).where(play.c.id == one.id).values(item=item_to_json(item)))
        store_keys(connection, one.person_id, one.id, keys(item))
    if row.kind == KIND or open_plays(plays_of(connection, key)):
        # The search for shows' ids merges its library entries, and that for titles finds the episodes of the show.
        values = {"state": "waiting", "reason": None, "candidates": None, "due_at": now}
        connection.execute(update(unresolved).where(unresolved.c.key == key).values(values))
    else:
        connection.execute(delete(unresolved).where(unresolved.c.key == key))
    return len(rows)


def candidate(connection: Connection, key: str, number: int) -> tuple[Ids, str | None]:
    """The ids and title of a candidate by its number, counted from 1. Raises NoMatch."""
    row = connection.execute(select(unresolved.c.candidates).where(unresolved.c.key == key)).first()
    there = (row.candidates or []) if row else []
    if not 1 <= number <= len(there):
        raise matches.NoMatch(f"{key} has {len(there)} candidates, counted from 1.")
    return Ids.from_json(there[number - 1].get("ids")), there[number - 1].get("title")


# --- open choices


class UnresolvedJson(ItemFields):
    """An imported item that waits for a choice, as the API gives it."""

    key: str
    reason: str | None
    candidates: list[CandidateJson]
    plays: Count
    since: Time | None


def list_open_choices(
    connection: Connection, person_id: int | None = None, *, limit: int = 50, after: str | None = None
) -> TextPage[UnresolvedJson]:
    """The items that wait for a choice, of all people or of one, as the API gives them."""
    wanted = select(unresolved).where(unresolved.c.state == "unmatched").order_by(unresolved.c.key)
    if after is not None:
        wanted = wanted.where(unresolved.c.key > after)
    shown: list[UnresolvedJson] = []
    for row in fetch_all(connection, wanted, UnresolvedRow):
        plays = [one for one in plays_of(connection, row.key) if person_id in (None, one.person_id)]
        if plays:
            shown.append(unmatched_item(row, len(plays)))
        if len(shown) > limit:
            return {"items": shown[:limit], "next": shown[limit - 1]["key"]}
    return {"items": shown, "next": None}


def unmatched_item(row: UnresolvedRow, plays: int) -> UnresolvedJson:
    item = row.item
    return {
        "key": row.key,
        "kind": item["kind"],
        "title": item.get("title"),
        "show": item.get("show"),
        "season": item.get("season"),
        "number": item.get("number"),
        "year": item.get("year"),
        "reason": row.reason,
        "candidates": row.candidates or [],
        "plays": plays,
        "since": stamp(row.created_at),
    }
