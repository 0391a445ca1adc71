"""Marks and ratings that a person sets by hand in Plex, which no webhook tells of and no alert names. Pure.

Each library is read newest first, up to where it was read before; and now and then as a whole, since what is no longer
watched has no date. What a person's own token shows are that person's marks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from typing_extensions import TypedDict

from webhook.domain import values
from webhook.servers.plex.api import Json


class KnownJson(TypedDict):
    """`Known`, as a listener keeps it."""

    viewed_until: int
    rated_until: int
    counts: dict[str, int]
    ratings: dict[str, float]


@dataclass(kw_only=True, slots=True)
class Known:
    """What is known of the marks in one library: counts of viewings and ratings by item, and how far they were read."""

    viewed_until: int = 0
    rated_until: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    ratings: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> KnownJson:
        return {
            "viewed_until": self.viewed_until,
            "rated_until": self.rated_until,
            "counts": self.counts,
            "ratings": self.ratings,
        }

    @classmethod
    def from_json(cls, found: KnownJson) -> Known:
        return cls(
            viewed_until=found["viewed_until"],
            rated_until=found["rated_until"],
            counts=dict(found["counts"]),
            ratings=dict(found["ratings"]),
        )

    def learn(self, rows: Iterable[Json]) -> None:
        """Take what these items are marked with for known."""
        for row in rows:
            self.learn_view(row)
            self.learn_rating(row)

    def learn_view(self, row: Json) -> None:
        key = values.text(row.get("ratingKey"))
        if key is not None:
            self.counts[key] = count(row)
            self.viewed_until = max(self.viewed_until, second_of(row, "lastViewedAt") or 0)

    def learn_rating(self, row: Json) -> None:
        key, rating = values.text(row.get("ratingKey")), values.rating(row.get("userRating"))
        if key is not None and rating is not None:
            self.ratings[key] = rating
            self.rated_until = max(self.rated_until, second_of(row, "lastRatedAt") or 0)

    def find_marks(self, rows: Iterable[Json]) -> list[Json]:
        """Those of the items that were watched more often than is known."""
        return [row for row in rows if (values.ordinal(row.get("viewCount")) or 0) > self.count_of(row)]

    def count_of(self, row: Json) -> int:
        return self.counts.get(values.text(row.get("ratingKey")) or "", 0)

    def has_view(self, row: Json) -> bool:
        """True if an item is known to be watched as often as this."""
        return self.count_of(row) == count(row)

    def find_ratings(self, rows: Iterable[Json]) -> list[Json]:
        """Those of the items whose rating is newer and another than is known."""
        return [
            row
            for row in rows
            if (second_of(row, "lastRatedAt") or 0) > self.rated_until
            and (rating := values.rating(row.get("userRating"))) is not None
            and rating != self.ratings.get(values.text(row.get("ratingKey")) or "")
        ]

    def is_news(self, row: Json) -> bool:
        """True if an item that is watched has another count, rating or a newer date than is known."""
        is_newer = (second_of(row, "lastViewedAt") or 0) > self.viewed_until
        rating = self.ratings.get(values.text(row.get("ratingKey")) or "")
        return is_newer or rating != values.rating(row.get("userRating")) or not self.has_view(row)

    def find_unmarks(self, there: Collection[str]) -> list[str]:
        """The keys of the items that are known as watched and are not among those of all that are."""
        return [key for key in self.counts if key not in there]

    def find_unrates(self, whole: Iterable[Json]) -> list[Json]:
        """The watched items whose rating was taken back."""
        return [
            row
            for row in whole
            if values.text(row.get("ratingKey")) in self.ratings and row.get("userRating") is None
        ]

    def forget(self, key: str) -> None:
        self.counts.pop(key, None)
        self.ratings.pop(key, None)


def count(row: Json) -> int:
    """How often an item that is watched was."""
    return values.ordinal(row.get("viewCount")) or 1


def second_of(row: Json, name: str) -> int | None:
    return values.whole(row.get(name))


@dataclass(frozen=True, slots=True)
class Newest:
    """The items of a page that are newer than the cursor; `goes_on` if older ones may follow on the next page."""

    rows: Sequence[Json]
    goes_on: bool
    is_sorted: bool = True


def take_newest(page: Sequence[Json], name: str, until: int) -> Newest:
    """The part of a page, which is sorted by this date, that is not older than the cursor.

    What has no date does not end it; a page that is in no order proves nothing, and the whole is read instead.
    """
    dates = [at for row in page if (at := second_of(row, name)) is not None]
    if any(later > earlier for earlier, later in pairwise(dates)):
        return Newest([], goes_on=False, is_sorted=False)
    kept = [row for row in page if (second_of(row, name) or until) >= until]
    return Newest(kept, goes_on=bool(page) and len(kept) == len(page))
