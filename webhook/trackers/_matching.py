"""Matching: compare two descriptions of an item, and cache the results of searches."""

from __future__ import annotations

import time
from enum import StrEnum

from webhook.domain.items import fold_title
from webhook.trackers._json import JsonObject


class Match(StrEnum):
    """`OPEN`: the titles differ and nothing else decides; a search knows titles in other languages."""

    RIGHT = "right"
    WRONG = "wrong"
    OPEN = "open"


def is_same_title(mine: str | None, theirs: str | None) -> bool | None:
    """True if two titles are the same; None where one is not known."""
    return fold_title(mine) == fold_title(theirs) if mine and theirs else None


def is_same_year(mine: int | None, theirs: int | None) -> bool | None:
    """True if two years are the same, but for one that a festival or a later release makes."""
    return abs(mine - theirs) <= 1 if mine and theirs else None


class SearchCache:
    """Recent answers of a service's search: an evening's starts, pauses and stops are about one item.

    It holds `size` answers; an empty one for `empty_for` seconds only, since what is not known yet may be tomorrow.
    """

    def __init__(self, size: int = 500, empty_for: float = 600.0) -> None:
        self.size, self.empty_for = size, empty_for
        self.answers: dict[str, tuple[list[JsonObject], float]] = {}

    def recall(self, question: str) -> list[JsonObject] | None:
        """The answer; None where it has to be asked."""
        answer, until = self.answers.get(question, ([], 0.0))
        return answer if answer or time.monotonic() < until else None

    def store(self, question: str, answer: list[JsonObject]) -> list[JsonObject]:
        self.answers[question] = (answer, time.monotonic() + self.empty_for)
        if len(self.answers) > self.size:
            del self.answers[next(iter(self.answers))]
        return answer
