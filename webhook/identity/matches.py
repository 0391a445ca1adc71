"""The unmatched inbox: what waits for a person's choice, and what was chosen, for ever."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Season, Show, Track, item_from_json
from webhook.domain.items import folded
from webhook.domain.states import DeliveryState
from webhook.queries.deliveries import (
    DeliveryDetail,
    DeliveryJson,
    delivery_json,
    filter_deliveries,
    select_deliveries,
)
from webhook.queries.paging import PAGE_SIZE, Page, fetch_page
from webhook.queues import parking
from webhook.storage.json_shapes import IdsJson
from webhook.storage.tables import delivery, match, webhook

CHOOSABLE = ("tvdb", "tmdb", "imdb", "trakt", "simkl", "slug", "mal")
SHARED = frozenset({"anidb"})  # of an episode it may be the anime's or the episode's
SERVERS = frozenset({"plex"})  # the media server's own; says nothing to a tracker
CHUNK = 500
HEARD = timedelta(seconds=3)
"""How long a choice takes to be heard of by a worker that read them a moment before."""


class UnmatchedJson(DeliveryJson):
    """A delivery that waits for a match: its source, its item's ids, and the key that a choice is kept under."""

    ids: IdsJson
    show_ids: IdsJson
    source: str | None
    key: str | None


class NoMatch(Exception):
    """It cannot be matched so; the message is for the person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What a person chose: the ids of the film, or of the show with how many seasons its numbers are off."""

    ids: Ids
    title: str | None = None
    season_offset: int = 0
    distrusts: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """What came of a choice: for which keys it is kept, and which deliveries go out."""

    keys: tuple[str, ...]
    deliveries: tuple[int, ...]


# --- keys: what a choice is kept under


def keys(item: Item) -> tuple[str, ...]:
    """What an item's match is found by: of an episode, its show's. The title only where there is no id."""
    found = list(id_keys(item)) or list(title_keys(item))
    return tuple(dict.fromkeys(key[:300] for key in found))


def id_keys(item: Item) -> Iterator[str]:
    match item:
        case Episode() | Season():
            order = "" if getattr(item, "numbering", "aired") == "aired" else ":mapped"
            for name, value in item.show_ids.known().items():
                yield f"show:{name}:{value}{order}"
        case _:
            for name, value in item.ids.known().items():
                yield f"{item.kind}:{name}:{value}"


def title_keys(item: Item) -> Iterator[str]:
    match item:
        case Episode(show=str(show)) | Season(show=str(show)):
            order = "" if getattr(item, "numbering", "aired") == "aired" else ":mapped"
            yield f"show:title:{folded(show)}{order}"
        case Movie(title=str(title)) | Show(title=str(title)):
            yield f"{item.kind}:title:{folded(title)}:{item.year or ''}"
        case Track(title=str(title), artist=str(artist)):
            yield f"track:title:{folded(artist)}:{folded(title)}"


def every(connection: Connection) -> dict[str, Choice]:
    """Everything that was ever chosen, by key."""
    return {
        row.key: Choice(
            ids=Ids.from_json(row.ids),
            title=row.title,
            season_offset=row.season_offset,
            distrusts=row.distrusts,
        )
        for row in connection.execute(select(match))
    }


def applied(item: Item, choices: Mapping[str, Choice]) -> Item:
    """The item as the person said it is, where they did."""
    if not choices:
        return item
    choice = next((choices[key] for key in keys(item) if key in choices), None)
    return item if choice is None else as_chosen(item, choice)


def as_chosen(item: Item, choice: Choice) -> Item:
    match item:
        case Episode():
            own = kept(item.ids, SERVERS) if choice.distrusts else item.ids
            season = None if item.season is None else item.season + choice.season_offset
            shown = choice.ids.merged(kept(item.show_ids, SERVERS))
            return replace(item, ids=own, show_ids=shown, season=season, numbering="aired")
        case Season():
            season = None if item.season is None else item.season + choice.season_offset
            return replace(item, show_ids=choice.ids.merged(kept(item.show_ids, SERVERS)), season=season)
        case _:
            return replace(item, ids=choice.ids.merged(kept(item.ids, SERVERS)))


def kept(ids: Ids, names: Collection[str]) -> Ids:
    return Ids.from_json({name: value for name, value in ids.known().items() if name in names})


# --- what waits


def waiting(
    connection: Connection,
    *,
    person_name: str | None = None,
    limit: int = PAGE_SIZE,
    after: int | None = None,
) -> Page[UnmatchedJson]:
    """The deliveries that wait for a match, newest first, each with its candidates."""
    wanted = filter_deliveries(select_deliveries(), "unmatched", None, person_name)
    rows, cursor = fetch_page(connection, wanted, DeliveryDetail, delivery.c.id, limit, after)
    sources = {row.webhook_id for row in rows if row.webhook_id is not None}
    told = select(webhook.c.id, webhook.c.source).where(webhook.c.id.in_(sources))
    came = {row.id: row.source for row in connection.execute(told)}
    return {"items": [one_waiting(row, came.get(row.webhook_id)) for row in rows], "next": cursor}


def one_waiting(row: DeliveryDetail, source: str | None) -> UnmatchedJson:
    """A delivery that waits for a match, as the API gives it."""
    item = item_from_json(row.item)
    show_ids = item.show_ids if isinstance(item, Episode | Season) else Ids()
    return {
        **delivery_json(row),
        "candidates": row.candidates or [],
        "ids": item.ids.known(),
        "show_ids": show_ids.known(),
        "source": source,
        "key": next(iter(keys(item)), None),
    }


# --- the choice


def choose(
    connection: Connection,
    now: datetime,
    ids: Ids,
    *,
    delivery_id: int | None = None,
    key: str | None = None,
    season_offset: int = 0,
    title: str | None = None,
) -> Chosen:
    """Keep what a person chose for a delivery's item, or under a key, and let go out what waited for it."""
    if not kept(ids, CHOOSABLE):
        raise NoMatch("Say what it is: an id of TheTVDB, TMDB, IMDb or Trakt.")
    if delivery_id is not None:
        item = item_of(connection, delivery_id)
        under, kind, distrusts = keys(item), matched_kind(item), bool(foreign(item))
    else:
        under, kind, distrusts = ((key,) if key else ()), str(key).partition(":")[0], False
    if not under:
        raise NoMatch("It has neither an id nor a title by which a choice could be remembered.")
    if season_offset and kind != Kind.SHOW:
        raise NoMatch("Only a show's seasons can be off; leave the season offset out.")
    connection.execute(delete(match).where(match.c.key.in_(under)))
    kept_as = {
        "kind": kind,
        "ids": ids.known(),
        "title": title,
        "season_offset": season_offset,
        "distrusts": distrusts,
        "chosen_at": now,
    }
    connection.execute(insert(match), [{"key": one, **kept_as} for one in under])
    return Chosen(keys=under, deliveries=tuple(release(connection, {*under}, now)))


def choose_candidate(
    connection: Connection, now: datetime, delivery_id: int, number: int, *, season_offset: int = 0
) -> Chosen:
    """Choose the candidate of this number, counted from one."""
    row = connection.execute(select(delivery.c.candidates).where(delivery.c.id == delivery_id)).first()
    if row is None:
        raise NoMatch(f"There is no delivery {delivery_id}.")
    there = row.candidates or []
    if not 1 <= number <= len(there):
        raise NoMatch(f"Delivery {delivery_id} has {len(there)} candidates, counted from 1.")
    one = there[number - 1]
    ids, title = Ids.from_json(one.get("ids")), one.get("title")
    return choose(connection, now, ids, delivery_id=delivery_id, season_offset=season_offset, title=title)


def item_of(connection: Connection, delivery_id: int) -> Item:
    row = connection.execute(select(delivery.c.item).where(delivery.c.id == delivery_id)).first()
    if row is None:
        raise NoMatch(f"There is no delivery {delivery_id}.")
    return item_from_json(row.item)


def matched_kind(item: Item) -> str:
    return Kind.SHOW.value if isinstance(item, Episode | Season) else item.kind.value


def foreign(item: Item) -> Ids:
    """The ids that were sent and did not help."""
    return kept(item.ids, set(item.ids.known()) - SERVERS - SHARED)


def release(connection: Connection, under: set[str], now: datetime) -> list[int]:
    """Everything that waits for this item goes out, once every worker has heard of the choice."""
    wanted = select(delivery.c.id, delivery.c.item).where(delivery.c.state == DeliveryState.UNMATCHED)
    found = [row.id for row in connection.execute(wanted) if under & {*keys(item_from_json(row.item))}]
    for start in range(0, len(found), CHUNK):
        part = found[start : start + CHUNK]
        parking.revive(connection, part, now)
        connection.execute(update(delivery).where(delivery.c.id.in_(part)).values(due_at=now + HEARD))
    return found
