"""Values that the readers of all TV Time exports share: entries of marks, and duplicates across files."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from webhook.domain.event import Episode, Ids, Item, Movie, Show
from webhook.domain.play import Dated, Play, State
from webhook.transfer.imports._archive import Bundle, Row
from webhook.transfer.imports._dates import NoDate, moment
from webhook.transfer.records import MAX_TEXT, Bad, Entry, Kept, Relation, Viewing

SOURCE = "tvtime"
LOOK = "Nothing of this row was taken; the rest of the file was."
YEAR = re.compile(r"(.*\S)\s*\(((?:18|19|20)\d\d)\)")
IMDB = re.compile(r"tt\d{5,10}", re.ASCII)
"""The most characters of a title that are kept."""

NUMBER = re.compile(r"\d{1,18}", re.ASCII)


class Wrong(ValueError):
    """A row that cannot be imported; the message is the reason."""


# --- single values


def whole(value: object) -> int | None:
    """A number from a CSV field or from JSON; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    return int(value) if isinstance(value, str) and NUMBER.fullmatch(value) else None


def tvdb(value: object) -> int | None:
    return whole(value) or None


def imdb(value: object) -> str | None:
    """An IMDb id; exports write -1 or nothing if there is none."""
    return value if isinstance(value, str) and IMDB.fullmatch(value) else None


def words(value: object) -> str | None:
    return value.strip()[:MAX_TEXT] or None if isinstance(value, str) else None


def true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() in ("true", "1"))


def false(value: object) -> bool:
    """True if the value says false; a missing value does not."""
    return value is False or (isinstance(value, str) and value.lower() in ("false", "0"))


def split_year(name: str | None) -> tuple[str | None, int | None]:
    """A show's title without the year that TV Time adds to namesakes, and that year."""
    name = words(name)
    split = YEAR.fullmatch(name) if name else None
    return (split[1], int(split[2])) if split else (name, None)


def when(value: object) -> datetime | None:
    """The date, or None without one; raises NoDate for an invalid one."""
    text = words(value)
    return moment(text) if text else None


def perhaps(value: object) -> datetime | None:
    """The date; None if it is missing or invalid."""
    try:
        return when(value)
    except NoDate:
        return None


# --- entries


def show(name: str | None, show_id: int | None, imdb_id: str | None = None, uuid: str | None = None) -> Show:
    title, year = split_year(name)
    return Show(title=title, year=year, ids=Ids(tvdb=show_id, imdb=imdb_id, tvtime=uuid))


def episode(
    series: Show, *, season: int | None, number: int | None, ids: Ids | None = None, title: str | None = None
) -> Episode:
    """An episode of the show; raises Wrong if it has neither ids nor numbers."""
    ids = ids or Ids()
    if not ids and (season is None or number is None):
        raise Wrong("it has neither an episode id nor season and number")
    if not ids and not series.ids and series.title is None:
        raise Wrong("nothing says which show it belongs to")
    return Episode(
        title=title,
        show=series.title,
        season=season,
        number=number,
        ids=ids,
        show_ids=series.ids,
    )


def viewing(item: Item, at: datetime, *, ticked: bool = False, seconds: int | None = None) -> Viewing:
    """A viewing from a mark. Everything in TV Time was marked by hand; a bulk mark has no date of its own."""
    watched = Play(
        item=item,
        state=State.STOPPED,
        started_at=at,
        last_at=at,
        watched_at=at,
        source=SOURCE,
        manual=True,
        duration_ms=seconds * 1000 if seconds else None,
        dated=Dated.TICKED if ticked else Dated.EXACT,
    )
    return Viewing(play=watched, foreign_key=f"tvtime:{item_name(item)}:{int(at.timestamp())}"[:200])


def item_name(item: Item) -> str:
    """The key of an item in TV Time's exports, the same in all that give the same data."""
    match item:
        case Episode(ids=Ids(tvdb=int(number))):
            return f"episode:{number}"
        case Episode(show_ids=Ids(tvdb=int(number))):
            return f"episode:{number}:{item.season}x{item.number}"
        case Episode():
            return f"episode:{item.show}:{item.season}x{item.number}"
        case Movie(ids=Ids(tvtime=str(uuid))):
            return f"movie:{uuid}"
        case Movie(ids=Ids(tvdb=int(number))):
            return f"movie:tvdb-{number}"
        case Movie():
            return f"movie:{item.ids.imdb or item.title}"
    return f"{item.kind}:{item.ids.tvdb or item.title}"


@dataclass(slots=True)
class Given:
    """The entries of earlier files of the bundle, so that the same mark in another layout is skipped.

    A file is compared with the files before it, never with itself: two rows of one file are two viewings. An
    episode matches by id, and by show and numbers only if one of the two rows has no id.
    """

    known: set[Hashable] = field(default_factory=set)
    kept: set[tuple[Relation, Hashable]] = field(default_factory=set)
    fresh: set[Hashable] = field(default_factory=set)
    undated: int = 0

    def has(self, item: Item) -> bool:
        return any(key in self.known for key in keys_to_find(item))

    def note(self, item: Item) -> None:
        self.fresh.update(keys_to_note(item))

    def finish(self) -> None:
        """End a file: its entries are known to the next one."""
        self.known |= self.fresh
        self.fresh.clear()
        self.undated = 0

    def first(self, relation: Relation, item: Item) -> bool:
        """True for the first entry of this relation for this item."""
        ids = [("tvtime", item.ids.tvtime), ("tvdb", item.ids.tvdb), ("imdb", item.ids.imdb)]
        own: list[Hashable] = [(item.kind, *pair) for pair in ids if pair[1]] or [item_name(item)]
        new = not any((relation, key) in self.kept for key in own)
        self.kept.update((relation, key) for key in own)
        return new


def number_keys(item: Episode, what: str = "numbered") -> list[Hashable]:
    of = item.show_ids.tvdb or item.show
    return [] if None in (of, item.season, item.number) else [(what, of, item.season, item.number)]


def keys_to_find(item: Item) -> list[Hashable]:
    """The keys by which an earlier file may know an item."""
    if not isinstance(item, Episode):
        return keys_to_note(item)
    return [item.ids.tvdb, *number_keys(item, "bare")] if item.ids.tvdb else number_keys(item)


def keys_to_note(item: Item) -> list[Hashable]:
    """The keys by which a later file may know an item."""
    if isinstance(item, Episode):
        return [*number_keys(item), *([item.ids.tvdb] if item.ids.tvdb else number_keys(item, "bare"))]
    return [item_name(item), *([f"{item.kind}:tvdb-{item.ids.tvdb}"] if item.ids.tvdb else [])]


def relation_entry(
    given: Given,
    relation: Relation,
    item: Item,
    at: datetime | None = None,
    value: float | None = None,
    state: str | None = None,
) -> Iterator[Kept]:
    """The library entry, unless an earlier row or file already gave one."""
    if given.first(relation, item):
        yield Kept(relation=relation, item=item, at=at, value=value, state=state)


def without_date(name: str, given: Given) -> Iterator[Bad]:
    """A Bad entry about rewatches that a file only counts: without a date they are no plays."""
    if given.undated:
        yield Bad(
            file=name,
            line=None,
            why=f"rewatches that are only counted, not dated, are no plays: {given.undated} of them were left",
            do="Nothing, unless you know when it was: then add them by hand (History, Add a play).",
        )


# --- rows


Make = Callable[[Row], Iterable[Entry]]


def read_rows(bundle: Bundle, name: str, make: Make, required: Collection[str] = ()) -> Iterator[Entry]:
    """The entries that `make` gives for each row; Bad for a row that cannot be imported."""
    for row in bundle.rows(name, required=required):
        if isinstance(row, Bad):
            yield row
            continue
        try:
            yield from make(row)
        except (Wrong, NoDate) as wrong:
            yield Bad(file=name, line=row.line, why=str(wrong), do=LOOK)


def duplicate_seconds(
    bundle: Bundle, name: str, of: Callable[[Row], tuple[str, str] | None]
) -> frozenset[tuple[str, str]]:
    """The pairs of show and second that several rows share: they were ticked together."""
    once: set[tuple[str, str]] = set()
    more: set[tuple[str, str]] = set()
    for row in bundle.rows(name):
        pair = None if isinstance(row, Bad) else of(row)
        if pair is not None:
            (more if pair in once else once).add(pair)
    return frozenset(more)


def second(show_name: str | None, date: str | None) -> tuple[str, str] | None:
    """The show and the second that `twice` compares."""
    return (show_name, date[:19].replace("T", " ")) if show_name and date else None
