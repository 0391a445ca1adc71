"""Resolutions: the results of lookups, stored for ever under all keys of an item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Show, item_to_json
from webhook.domain.items import fold_title
from webhook.domain.json_shapes import IdsJson
from webhook.storage.db import fresh_ids
from webhook.storage.tables import item as item_table
from webhook.storage.tables import item_id, item_key

CONFIDENCE = {"own": 1.0, "title": 0.9}
TEXT_NAMESPACES = frozenset({"imdb", "slug", "plex", "musicbrainz", "tvtime"})


@dataclass(frozen=True, slots=True)
class KnownItem:
    """The ids and the place of an item that lookups add to those from a webhook."""

    ids: Ids = field(default_factory=Ids)
    show_ids: Ids = field(default_factory=Ids)
    season: int | None = None
    number: int | None = None

    def complete(self, item: Item) -> Item | None:
        """The item with this; None where the webhook contradicts it, so that it is asked again."""
        if item.ids.contradicts(self.ids):
            return None
        ids = item.ids.merge(self.ids)
        if not isinstance(item, Episode):
            return replace(item, ids=ids)
        if item.show_ids.contradicts(self.show_ids):
            return None
        known = replace(item, ids=ids, show_ids=item.show_ids.merge(self.show_ids))
        if self.season is None or self.number is None:
            return known
        return replace(known, season=self.season, number=self.number, numbering="aired")


def item_keys(item: Item) -> tuple[str, ...]:
    """The keys that identify an item: its ids, its show's ids and its place, title and year."""
    return tuple(key[:300] for key in (*own_id_keys(item), *place_keys(item), *title_year_keys(item)))


def own_id_keys(item: Item) -> Iterator[str]:
    # HAMA writes the anime's id where others write the episode's: not enough for an episode.
    vague = ("anidb", "mal") if isinstance(item, Episode) else ()
    return (
        f"{item.kind.value}:{name}:{value}"
        for name, value in item.ids.by_namespace().items()
        if name not in vague
    )


def place_keys(item: Item) -> Iterator[str]:
    if isinstance(item, Episode) and item.number is not None and item.numbering in ("aired", "absolute"):
        order = "" if item.numbering == "aired" else "absolute:"
        for name, value in item.show_ids.by_namespace().items():
            yield f"episode:of:{name}:{value}:{order}{item.season}x{item.number}"


def title_year_keys(item: Item) -> Iterator[str]:
    """By title only where nothing says more, and never without the year: remakes share a title."""
    if item.year is None or item.ids or getattr(item, "show_ids", None):
        return
    match item:
        case Episode(show=str(show), season=int(season), number=int(number), numbering="aired"):
            yield f"episode:title:{fold_title(show)}:{item.year}:{season}x{number}:{fold_title(item.title or '')}"
        case Movie(title=str(title)) | Show(title=str(title)):
            yield f"{item.kind.value}:title:{fold_title(title)}:{item.year}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """An item as requested and as found, with the lookups that found it."""

    asked: Item
    found: Item
    via: tuple[str, ...]
    at: datetime

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*item_keys(self.asked), *(key[:300] for key in own_id_keys(self.found)))))

    @property
    def result(self) -> KnownItem:
        found = self.found
        if isinstance(found, Episode):
            placed = found.numbering == "aired"
            place = (found.season, found.number) if placed else (None, None)
            return KnownItem(found.ids, found.show_ids, *place)
        return KnownItem(found.ids)


def find_item_ids(connection: Connection, under: Sequence[str]) -> KnownItem | None:
    """The stored resolution of an item with one of these keys; the first key that is known decides."""
    if not under:
        return None
    wanted = select(item_key.c.key, item_key.c.item_id).where(item_key.c.key.in_(under))
    there = {row.key: row.item_id for row in connection.execute(wanted)}
    known = next((there[key] for key in under if key in there), None)
    if known is None:
        return None
    row = connection.execute(select(item_table).where(item_table.c.id == known)).one()
    ids: dict[str, IdsJson] = {"own": {}, "show": {}}
    for one in connection.execute(select(item_id).where(item_id.c.item_id == known)):
        ids[one.whose][one.namespace] = one.value if one.namespace in TEXT_NAMESPACES else int(one.value)
    return KnownItem(Ids.from_json(ids["own"]), Ids.from_json(ids["show"]), row.season, row.number)


def plex_show_key(plex: str) -> str:
    """The key of a show that Plex names by its own id."""
    return f"show:plex:{plex}"


def find_show_ids(connection: Connection, plex: str) -> Ids | None:
    """The other ids of a show that Plex names by its own."""
    known = find_item_ids(connection, (plex_show_key(plex),))
    return None if known is None else known.ids


def store_show_ids(connection: Connection, plex: str, ids: Ids, via: str, at: datetime) -> None:
    """Store them for ever, in place of those known before."""
    key = plex_show_key(plex)
    stale = list(connection.execute(select(item_key.c.item_id).where(item_key.c.key == key)).scalars())
    forget(connection, stale)
    (made,) = fresh_ids(connection, item_table, 1)
    connection.execute(insert(item_table), {"id": made, "kind": Kind.SHOW.value, "learned_at": at})
    connection.execute(insert(item_key), {"key": key, "item_id": made})
    told = {"item_id": made, "whose": "own", "via": via, "sure": CONFIDENCE["own"], "learned_at": at}
    rows = [{**told, "namespace": name, "value": str(value)} for name, value in ids.by_namespace().items()]
    connection.execute(insert(item_id), rows)


def forget(connection: Connection, item_ids: Sequence[int]) -> None:
    for table_, column in ((item_key, item_key.c.item_id), (item_id, item_id.c.item_id)):
        connection.execute(delete(table_).where(column.in_(item_ids)))
    connection.execute(delete(item_table).where(item_table.c.id.in_(item_ids)))


def store_resolutions(connection: Connection, waiting: list[Resolution]) -> list[int]:
    """Store for ever; entries under the same keys that it contradicts are replaced."""
    return [store_resolution(connection, resolution) for resolution in waiting]


def store_resolution(connection: Connection, resolution: Resolution) -> int:
    under, known = resolution.keys, resolution.result
    stale = list(connection.execute(select(item_key.c.item_id).where(item_key.c.key.in_(under))).scalars())
    if stale:
        forget(connection, stale)
    (made,) = fresh_ids(connection, item_table, 1)
    about = {"id": made, "kind": resolution.found.kind.value, "season": known.season, "number": known.number}
    connection.execute(insert(item_table), {**about, "learned_at": resolution.at})
    connection.execute(insert(item_key), [{"key": key, "item_id": made} for key in under])
    entries = [*id_rows(resolution, "own", known.ids), *id_rows(resolution, "show", known.show_ids)]
    if entries:
        connection.execute(insert(item_id), [{"item_id": made, **entry} for entry in entries])
    return made


def id_rows(resolution: Resolution, whose: str, ids: Ids) -> Iterator[dict[str, object]]:
    """Each id with where it came from: the webhook itself, or the lookups."""
    asked = item_to_json(resolution.asked)
    said = (asked.get("ids") if whose == "own" else asked.get("show_ids")) or {}
    via = "+".join(resolution.via)[:32] or "webhook"
    sure = CONFIDENCE["title"] if "title" in resolution.via else CONFIDENCE["own"]
    for name, value in ids.by_namespace().items():
        mine = said.get(name) == value
        yield {
            "whose": whose,
            "namespace": name,
            "value": str(value),
            "via": "webhook" if mine else via,
            "sure": 1.0 if mine else sure,
            "learned_at": resolution.at,
        }
