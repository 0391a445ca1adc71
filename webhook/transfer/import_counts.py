"""The counts of an import: what became of the entries of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import TypedDict

from webhook.storage.json_fields import Count


class ImportCountsJson(TypedDict):
    """The numbers of entries of a file by outcome."""

    added: Count
    known: Count
    completed: Count
    library: Count
    bad: Count
    without_ids: Count
    left_out: Count


@dataclass(slots=True)
class Counts:
    added: int = 0
    known: int = 0
    completed: int = 0
    library: int = 0
    bad: int = 0
    without_ids: int = 0
    left_out: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def to_json(self) -> ImportCountsJson:
        return {
            "added": self.added,
            "known": self.known,
            "completed": self.completed,
            "library": self.library,
            "bad": self.bad,
            "without_ids": self.without_ids,
            "left_out": self.left_out,
        }


COUNT_WORDS = {
    "added": ("play added", "plays added"),
    "known": ("known already", "known already"),
    "completed": ("unfinished one now watched", "unfinished ones now watched"),
    "library": ("library entry", "library entries"),
    "without_ids": ("without an id", "without an id"),
    "bad": ("row that cannot be read", "rows that cannot be read"),
    "left_out": ("entry left out", "entries left out"),
}
"""The words for each count: of one, and of any other number."""


def describe_counts(counts: Mapping[str, int]) -> str:
    """The counts as a sentence."""
    said = (
        f"{count:,} {one if count == 1 else many}"
        for name, (one, many) in COUNT_WORDS.items()
        if (count := counts.get(name, 0))
    )
    return ", ".join(said) or "nothing"
