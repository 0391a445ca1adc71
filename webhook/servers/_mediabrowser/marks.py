"""Marks, favourites and ratings that users set by hand, which show in their items alone. Pure.

What is played is read newest first, up to where it was read before; and now and then as a whole, since what is no longer
played has no date, and what is marked with an old one lies far down.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from typing_extensions import TypedDict

from webhook.domain import values
from webhook.servers._http import JsonRow

SLACK = 1000
"""Milliseconds by which a date may differ and still be the same."""


class UserMarksJson(TypedDict):
    """`UserMarks`, as a listener keeps them."""

    until: int
    played: dict[str, int]
    ratings: dict[str, float]
    favourites: list[str]


@dataclass(kw_only=True, slots=True)
class UserMarks:
    """The marks of one user as they were read last: what is played, with the date in ms or 0, ratings and favourites."""

    until: int = 0
    played: dict[str, int] = field(default_factory=dict)
    ratings: dict[str, float] = field(default_factory=dict)
    favourites: list[str] = field(default_factory=list)

    def to_json(self) -> UserMarksJson:
        return {
            "until": self.until,
            "played": self.played,
            "ratings": self.ratings,
            "favourites": self.favourites,
        }

    @classmethod
    def from_json(cls, found: UserMarksJson) -> UserMarks:
        return cls(
            until=found["until"],
            played=dict(found["played"]),
            ratings=dict(found["ratings"]),
            favourites=list(found["favourites"]),
        )

    def learn(self, rows: Iterable[JsonRow]) -> None:
        for row in rows:
            if is_played(row) and (key := item_key(row)) is not None:
                self.played[key] = played_ms(row)
                self.until = max(self.until, self.played[key])

    def learn_ratings(self, rows: Iterable[JsonRow]) -> None:
        for row in rows:
            key, rating = item_key(row), rating_of(row)
            if key is not None and rating is not None:
                self.ratings[key] = rating
            elif key is not None:
                self.ratings.pop(key, None)

    def forget_ratings(self, there: Collection[str]) -> None:
        """Forget the ratings of what is not among these keys."""
        self.ratings = {key: rating for key, rating in self.ratings.items() if key in there}

    def has_play(self, row: JsonRow) -> bool:
        """True if an item is known to be played with this date."""
        return self.played.get(item_key(row) or "") == played_ms(row)

    def is_news(self, row: JsonRow) -> bool:
        """True if an item that is played has another mark, date or rating than is known."""
        return not self.has_play(row) or self.ratings.get(item_key(row) or "") != rating_of(row)

    def find_marks(self, rows: Iterable[JsonRow]) -> list[JsonRow]:
        """The items that are played now and were not; one that was played again was heard, or is caught up with."""
        return [row for row in rows if is_played(row) and item_key(row) not in self.played]

    def find_unmarks(self, there: Collection[str]) -> list[str]:
        """The keys of what was played and is not among those of all that is."""
        return [key for key in self.played if key not in there]

    def find_ratings(self, rows: Iterable[JsonRow]) -> list[JsonRow]:
        return [
            row
            for row in rows
            if (rating := rating_of(row)) is not None and rating != self.ratings.get(item_key(row) or "")
        ]

    def find_unrates(self, rows: Iterable[JsonRow]) -> list[JsonRow]:
        return [row for row in rows if rating_of(row) is None and item_key(row) in self.ratings]

    def is_taken_back(self, row: JsonRow) -> bool:
        """True if an item was played and its mark was taken back; not if it was only begun anew."""
        begun = values.position(data_of(row).get("PlaybackPositionTicks"))
        newer = played_ms(row) > self.played.get(item_key(row) or "", 0) + SLACK
        return not is_played(row) and not begun and not newer


@dataclass(frozen=True, slots=True)
class NewestRows:
    """The rows of a page that are no older than the cursor; `goes_on` if such may follow on the next page."""

    rows: Sequence[JsonRow]
    goes_on: bool
    is_sorted: bool = True


def take_newest_rows(page: Sequence[JsonRow], until: int) -> NewestRows:
    """The newest of a page. What has no date does not end it; a page without order proves nothing."""
    dates = [at for row in page if (at := played_ms(row))]
    if any(later > earlier for earlier, later in pairwise(dates)):
        return NewestRows([], goes_on=False, is_sorted=False)
    kept = [row for row in page if (played_ms(row) or until) >= until]
    return NewestRows(kept, goes_on=bool(page) and len(kept) == len(page))


def find_leavers(known: Collection[str], rows: Iterable[JsonRow]) -> list[str]:
    """The known keys that are not among these rows."""
    there = {item_key(row) for row in rows}
    return [key for key in known if key not in there]


def data_of(row: JsonRow) -> JsonRow:
    return values.mapping(row.get("UserData"))


def item_key(row: JsonRow) -> str | None:
    return values.hex_id(row.get("Id"))


def is_played(row: JsonRow) -> bool:
    return values.flag(data_of(row).get("Played")) is True


def is_favourite(row: JsonRow) -> bool:
    return values.flag(data_of(row).get("IsFavorite")) is True


def rating_of(row: JsonRow) -> float | None:
    return values.rating(data_of(row).get("Rating")) or None


def played_ms(row: JsonRow) -> int:
    """The date of the latest play in ms; 0 where the server keeps none."""
    at = values.moment(data_of(row).get("LastPlayedDate"), naive_is_utc=True)
    return 0 if at is None else int(1000 * at.timestamp())
