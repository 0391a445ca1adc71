"""The unmatched inbox: items that wait for a person's choice, and the choices, kept for ever."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Season, Show, Track, item_from_json
from webhook.domain.items import fold_title
from webhook.domain.json_shapes import IdsJson
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
from webhook.storage.tables import delivery, match, webhook

CHOOSABLE = ("tvdb", "tmdb", "imdb", "trakt", "simkl", "slug", "mal")
AMBIGUOUS_NAMESPACES = frozenset({"anidb"})  # of an episode it may be the anime's or the episode's
SERVER_NAMESPACES = frozenset({"plex"})  # the media server's own; says nothing to a tracker
RELEASE_BATCH = 500
CHOICE_DELAY = timedelta(seconds=3)
"""The time until every worker has read a new choice."""


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
    """A person's choice: the ids of the film, or of the show with how many seasons its numbers are off."""

    ids: Ids
    title: str | None = None
    season_offset: int = 0
    distrusts: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The result of a choice: the keys it is stored under, and the deliveries that go out."""

    keys: tuple[str, ...]
    deliveries: tuple[int, ...]


# --- keys of a choice


def match_keys(item: Item) -> tuple[str, ...]:
    """The keys of an item's match, for an episode its show's. The title is a key only without ids."""
    found = list(match_id_keys(item)) or list(match_title_keys(item))
    return tuple(dict.fromkeys(key[:300] for key in found))


def match_id_keys(item: Item) -> Iterator[str]:
    match item:
        case Episode() | Season():
            order = "" if getattr(item, "numbering", "aired") == "aired" else ":mapped"
            for name, value in item.show_ids.by_namespace().items():
                yield f"show:{name}:{value}{order}"
        case _:
            for name, value in item.ids.by_namespace().items():
                yield f"{item.kind}:{name}:{value}"


def match_title_keys(item: Item) -> Iterator[str]:
    match item:
        case Episode(show=str(show)) | Season(show=str(show)):
            order = "" if getattr(item, "numbering", "aired") == "aired" else ":mapped"
            yield f"show:title:{fold_title(show)}{order}"
        case Movie(title=str(title)) | Show(title=str(title)):
            yield f"{item.kind}:title:{fold_title(title)}:{item.year or ''}"
        case Track(title=str(title), artist=str(artist)):
            yield f"track:title:{fold_title(artist)}:{fold_title(title)}"


def all_choices(connection: Connection) -> dict[str, Choice]:
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


def apply_choices(item: Item, choices: Mapping[str, Choice]) -> Item:
    """The item as the person said it is, where they did."""
    if not choices:
        return item
    choice = next((choices[key] for key in match_keys(item) if key in choices), None)
    return item if choice is None else apply_choice(item, choice)


def apply_choice(item: Item, choice: Choice) -> Item:
    match item:
        case Episode():
            own = only_of(item.ids, SERVER_NAMESPACES) if choice.distrusts else item.ids
            season = None if item.season is None else item.season + choice.season_offset
            shown = choice.ids.merge(only_of(item.show_ids, SERVER_NAMESPACES))
            return replace(item, ids=own, show_ids=shown, season=season, numbering="aired")
        case Season():
            season = None if item.season is None else item.season + choice.season_offset
            return replace(
                item, show_ids=choice.ids.merge(only_of(item.show_ids, SERVER_NAMESPACES)), season=season
            )
        case _:
            return replace(item, ids=choice.ids.merge(only_of(item.ids, SERVER_NAMESPACES)))


def only_of(ids: Ids, names: Collection[str]) -> Ids:
    return Ids.from_json({name: value for name, value in ids.by_namespace().items() if name in names})


# --- items that wait


def list_unmatched_deliveries(
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
    return {"items": [unmatched_delivery_json(row, came.get(row.webhook_id)) for row in rows], "next": cursor}


def unmatched_delivery_json(row: DeliveryDetail, source: str | None) -> UnmatchedJson:
    """A delivery that waits for a match, as the API gives it."""
    item = item_from_json(row.item)
    show_ids = item.show_ids if isinstance(item, Episode | Season) else Ids()
    return {
        **delivery_json(row),
        "candidates": row.candidates or [],
        "ids": item.ids.by_namespace(),
        "show_ids": show_ids.by_namespace(),
        "source": source,
        "key": next(iter(match_keys(item)), None),
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
    """Store a person's choice for a delivery's item or a key, and release the deliveries that waited for it."""
    if not only_of(ids, CHOOSABLE):
        raise NoMatch("Say what it is: an id of TheTVDB, TMDB, IMDb or Trakt.")
    if delivery_id is not None:
        item = delivery_item(connection, delivery_id)
        under, kind, distrusts = match_keys(item), match_kind(item), bool(misleading_ids(item))
    else:
        under, kind, distrusts = ((key,) if key else ()), str(key).partition(":")[0], False
    if not under:
        raise NoMatch("It has neither an id nor a title by which a choice could be remembered.")
    if season_offset and kind != Kind.SHOW:
        raise NoMatch("Only a show's seasons can be off; leave the season offset out.")
    connection.execute(delete(match).where(match.c.key.in_(under)))
    kept_as = {
        "kind": kind,
        "ids": ids.by_namespace(),
        "title": title,
        "season_offset": season_offset,
        "distrusts": distrusts,
        "chosen_at": now,
    }
    connection.execute(insert(match), [{"key": one, **kept_as} for one in under])
    return Chosen(keys=under, deliveries=tuple(release_deliveries(connection, {*under}, now)))


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


def delivery_item(connection: Connection, delivery_id: int) -> Item:
    row = connection.execute(select(delivery.c.item).where(delivery.c.id == delivery_id)).first()
    if row is None:
        raise NoMatch(f"There is no delivery {delivery_id}.")
    return item_from_json(row.item)


def match_kind(item: Item) -> str:
    return Kind.SHOW.value if isinstance(item, Episode | Season) else item.kind.value


def misleading_ids(item: Item) -> Ids:
    """The ids that were sent and did not help."""
    return only_of(item.ids, set(item.ids.by_namespace()) - SERVER_NAMESPACES - AMBIGUOUS_NAMESPACES)


def release_deliveries(connection: Connection, under: set[str], now: datetime) -> list[int]:
    """Everything that waits for this item goes out, once every worker has heard of the choice."""
    wanted = select(delivery.c.id, delivery.c.item).where(delivery.c.state == DeliveryState.UNMATCHED)
    found = [row.id for row in connection.execute(wanted) if under & {*match_keys(item_from_json(row.item))}]
    for start in range(0, len(found), RELEASE_BATCH):
        part = found[start : start + RELEASE_BATCH]
        parking.revive(connection, part, now)
        connection.execute(update(delivery).where(delivery.c.id.in_(part)).values(due_at=now + CHOICE_DELAY))
    return found
