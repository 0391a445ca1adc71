"""The order of day and month in the dates of a file, decided for the file as a whole.

A row such as `3/4/26` does not say which number is the day. A first number above 12 in any row says that the day
comes first, a second one above 12 that the month does; an order that puts rows into the future is wrong; and of a
file that is sorted from the newest row on, the order that keeps it sorted is right. What is then still open, its
owner is asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from webhook import clock
from webhook.texts import texts
from webhook.transfer.imports._dates import EARLIEST, NoDate
from webhook.transfer.records import Question


class DayOrder(StrEnum):
    """The order of the numbers in a date with slashes or dashes."""

    DAY_FIRST = "day-first"
    MONTH_FIRST = "month-first"


QUESTION = "dates"
ORDERS = texts({DayOrder.DAY_FIRST: "day first (28/2)", DayOrder.MONTH_FIRST: "month first (2/28)"})

NUMBERS = re.compile(r"(\d{1,4})(?P<mark>[./-])\s?(\d{1,2})(?P=mark)\s?(\d{1,4})\.?", re.ASCII)


@dataclass(slots=True)
class OrderEvidence:
    """What the rows of a file say about the order of day and month, noted row by row.

    `newest_first` is true for a file that its service writes from the newest row on.
    """

    newest_first: bool = False
    wrong: set[DayOrder] = field(default_factory=set)
    unsorted: set[DayOrder] = field(default_factory=set)
    before: dict[DayOrder, date] = field(default_factory=dict)
    rows: int = 0

    def note(self, text: str) -> None:
        """Note the date of the next row; one that is no date, or is clear by itself, says nothing."""
        numbers = ambiguous_numbers(text)
        if numbers is None:
            return
        self.rows += 1
        for order in DayOrder:
            try:
                day = in_order(numbers, order)
            except NoDate:
                self.wrong.add(order)
                continue
            if order in self.before and day > self.before[order]:
                self.unsorted.add(order)
            self.before[order] = day

    @property
    def order(self) -> DayOrder | None:
        """The order of this file; None if the rows do not say."""
        possible = [order for order in DayOrder if order not in self.wrong]
        if len(possible) > 1 and self.newest_first:
            possible = [order for order in possible if order not in self.unsorted]
        return possible[0] if len(possible) == 1 else None

    def question(self, answer: str) -> Question | None:
        """The question that the file leaves open; None if every date is clear."""
        if not self.rows:
            return None
        found = self.order
        return Question(
            name=QUESTION,
            text="Which number of a date such as 3/4/26 is the day?",
            answer=answer or (found.value if found else ""),
            choices=tuple((order.value, label) for order, label in ORDERS.items()),
            needed=True,
        )


def ambiguous_numbers(text: str) -> tuple[int, int, int] | None:
    """The numbers of a date of which the order is not clear by its form; None for any other text."""
    found = NUMBERS.fullmatch(text.strip())
    if found is None or found["mark"] == "." or len(found[1]) == 4:
        return None
    return int(found[1]), int(found[3]), int(found[4])


def in_order(numbers: tuple[int, int, int], order: DayOrder) -> date:
    """The day that the numbers stand for in this order; raises NoDate."""
    first, second, year = numbers
    day, month = (first, second) if order is DayOrder.DAY_FIRST else (second, first)
    return possible_day(year, month, day)


def possible_day(year: int, month: int, day: int) -> date:
    """The day; a year of two digits is one of this century. Raises NoDate."""
    try:
        found = date(2000 + year if year < 100 else year, month, day)
    except ValueError as error:
        raise NoDate(f"{day}, {month}, {year} are no day, month and year") from error
    if found > clock.now().date() + timedelta(days=1):
        raise NoDate(f"{found.isoformat()} lies in the future")
    if found < EARLIEST.date():
        raise NoDate(f"{found.isoformat()} stands for an unknown date")
    return found


def read_day(text: str, order: DayOrder | None) -> date:
    """The day of a date in any of the forms; raises NoDate."""
    found = NUMBERS.fullmatch(text.strip())
    if found is None:
        raise NoDate(f"“{text[:40]}” is no date")
    numbers = int(found[1]), int(found[3]), int(found[4])
    if len(found[1]) == 4:
        return possible_day(*numbers)
    if found["mark"] == ".":
        return in_order(numbers, DayOrder.DAY_FIRST)
    if order is None:
        raise NoDate(f"“{text[:40]}” does not say which number is the day")
    return in_order(numbers, order)
