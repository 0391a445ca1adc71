"""Values that exports are given, and functions that several exports share. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo

from webhook.domain.event import Episode, Item, Kind, Movie, Season
from webhook.domain.items import fold_title, id_keys
from webhook.domain.play import Dated, Play


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A play to export. `rewatch`: the item was watched before; `rating` is the person's own, 0-10."""

    play: Play
    foreign_key: str | None = None
    rewatch: bool = False
    rating: float | None = None


def watched_plays(plays: Iterable[Exported], kinds: frozenset[Kind]) -> Iterator[tuple[Exported, datetime]]:
    """The plays of these kinds that are marked watched, each with the time of its mark."""
    for entry in plays:
        at = entry.play.watched_at
        if at is not None and entry.play.unwatched_at is None and entry.play.item.kind in kinds:
            yield entry, at


def stamp(at: datetime) -> str:
    """A time in ISO 8601, UTC, to the millisecond, as plays are stored."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def day(at: datetime, dated: Dated, zone: tzinfo) -> date:
    """The day in the person's time zone. A date without a time is stored as noon UTC and stays that day."""
    return at.astimezone(UTC if dated is Dated.DAY else zone).date()


def numbers(item: Episode) -> tuple[int, int] | None:
    """Season and number in aired order; None if unknown or in another order."""
    if item.numbering != "aired" or item.season is None or item.number is None:
        return None
    return item.season, item.number


class Groups:
    """Numbers things by their keys: things that share a key have one number."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.count = 0

    def number_of(self, keys: Iterable[str]) -> int:
        """The number of the thing with these keys; a new one if none is known."""
        named = list(keys)
        found = next((self.known[key] for key in named if key in self.known), None)
        if found is None:
            found = self.count
            self.count += 1
        for key in named:
            self.known.setdefault(key, found)
        return found


def identifying_keys(item: Item) -> tuple[str, ...]:
    """The keys that identify an item: its ids, else its title; empty without either."""
    return tuple(id_keys(item)) or by_title(item)


def by_title(item: Item) -> tuple[str, ...]:
    if item.title is None:
        return ()
    year = f":{item.year}" if isinstance(item, Movie) else ""
    return (f"{item.kind}:title:{fold_title(item.title)}{year}",)


def show_known_by(item: Episode | Season) -> tuple[str, ...]:
    """The keys of an episode's show. The title is a key only without ids, since two shows may share one."""
    ids = tuple(f"show:{name}:{value}" for name, value in item.show_ids.by_namespace().items())
    return ids or (() if item.show is None else (f"show:title:{fold_title(item.show)}",))
