"""Values from fields of rows and of JSON: ids, numbers, ratings, days, and plays made of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from webhook import clock
from webhook.domain.event import Ids, Item, Movie, Show
from webhook.domain.play import Dated, Play, State
from webhook.transfer.imports._dates import NoDate, moment
from webhook.transfer.records import MAX_TEXT, Bad, Entry

NOON = timedelta(hours=12)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
PARTLY_UNKNOWN = re.compile(r"0000-\d\d-\d\d|\d{4}-00-\d\d|\d{4}-\d\d-00", re.ASCII)

KEY_LENGTH = 180
"""The most characters of a row's key in a file, before what tells it from rows that say the same."""

Date = tuple[datetime | None, Dated]
"""A date as exact as a file gives it: a moment, noon of a day, or None where it is unknown."""

UNDATED: Date = (None, Dated.TICKED)

FIX = "Correct the row in the file, or add the play by hand (History, Add a play); the other rows are kept."

NUMBERS = frozenset({"tvdb", "tmdb", "trakt", "simkl", "anidb", "mal"})
LARGEST = 2**53
IMDB = re.compile(r"tt\d{5,10}", re.ASCII)


class Wrong(ValueError):
    """A row or entry that cannot be imported; the message is the reason, `do` the remedy."""

    def __init__(self, why: str, do: str = FIX) -> None:
        super().__init__(why)
        self.do = do

    def bad(self, file: str, line: int | None, where: str = "") -> Bad:
        return Bad(file=file, line=line, why=f"{where}{self}", do=self.do)


def run_steps(steps: Iterable[Callable[[], Entry]], file: str, where: str) -> Iterator[Entry]:
    """The entry of each step; Bad for a step that raises Wrong, without affecting the others."""
    for step in steps:
        try:
            yield step()
        except Wrong as wrong:
            yield wrong.bad(file, None, where)


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a JSON object; raises Wrong."""
    if not isinstance(value, dict):
        raise Wrong("it is no JSON object")
    return value


def inner(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The JSON object of this name; empty if it is missing or something else."""
    found = entry.get(name)
    return found if isinstance(found, dict) else {}


def several(value: Any) -> list[Any]:
    """The values of a JSON array; empty if it is missing."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """A stripped text of bounded length; None if it is empty."""
    return value.strip()[:MAX_TEXT] or None if isinstance(value, str) else None


def number(value: Any) -> int | None:
    """A whole number from 0 up, given as a number or a text; None for anything else."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value) if len(value) < 20 else None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < LARGEST:
        return None
    return value


def year(value: Any) -> int | None:
    """The year; None if unknown. Raises Wrong for an invalid one."""
    if value is None or value in ("", 0, "0"):
        return None
    found = number(value)
    if found is None or not 1870 <= found <= 2200:
        raise Wrong(f"“{str(value)[:20]}” is no year")
    return found


def imdb(value: Any) -> str | None:
    """The id in a text such as `tt0111161` or in an address; None without one."""
    found = IMDB.search(value[:MAX_TEXT]) if isinstance(value, str) else None
    return found.group() if found else None


def ids_of(known: Mapping[str, Any]) -> Ids:
    """The ids of a JSON object; 0, "" and the like count as missing."""
    numbers = {name: number(known.get(name)) or None for name in NUMBERS}
    return Ids.from_json({**numbers, "imdb": imdb(known.get("imdb")), "slug": text(known.get("slug"))})


def rating(value: Any, times: float = 1) -> float | None:
    """A rating multiplied by `times`, 0-10; None if missing or 0. Raises Wrong for an invalid one."""
    if value is None or value == "":
        return None
    try:
        found = float(value) * times
    except (TypeError, ValueError, OverflowError):
        found = -1.0
    if not 0 <= found <= 10:
        raise Wrong(f"“{str(value)[:20]}” is no rating")
    return found or None


def when(value: Any) -> datetime | None:
    """A date and time; None if missing or a placeholder for unknown. Raises Wrong for an invalid one."""
    if value is None or value in ("", "unknown"):
        return None
    try:
        found = moment(str(value))
    except NoDate as error:
        raise Wrong(str(error)) from error
    return (
        found if found.year > 1970 else None
    )  # services write the first second of 1970, or of 1900, for "unknown"


def noon(value: str | None, column: str) -> datetime:
    """Noon UTC of a day, which is the same day nearly everywhere; raises Wrong without a day."""
    if value is None:
        raise Wrong(f"it has no “{column}”")
    found = when(value)
    if found is None:
        raise Wrong(f"“{value[:20]}” in “{column}” stands for an unknown date")
    return found.replace(hour=0, minute=0, second=0, microsecond=0) + NOON


def date(value: Any) -> Date:
    """A moment or a day; UNDATED if it is missing or only partly known. Raises Wrong for an invalid one."""
    given = str(value).strip() if value is not None else ""
    if PARTLY_UNKNOWN.fullmatch(given):
        return UNDATED
    found = when(given)
    if found is None:
        return UNDATED
    return (found + NOON, Dated.DAY) if DAY.fullmatch(given) else (found, Dated.EXACT)


def title_key(item: Movie | Show) -> str:
    """An item's key by the first of its ids, else by title and year."""
    known = item.ids.by_namespace()
    return next((f"{name}:{value}" for name, value in known.items()), f"{item.title}:{item.year}")


def watched_play(
    item: Item,
    at: datetime | None,
    source: str,
    *,
    dated: Dated = Dated.EXACT,
    manual: bool = False,
    duration_ms: int | None = None,
) -> Play:
    """A play watched to its end; without a date it is ticked now."""
    if at is None:
        at, dated, manual = clock.now(), Dated.TICKED, True
    return Play(
        item=item,
        state=State.STOPPED,
        started_at=at,
        last_at=at,
        watched_at=at,
        source=source,
        dated=dated,
        manual=manual,
        duration_ms=duration_ms,
    )
