"""Fields of rows and of JSON as values: ids, numbers, ratings, days, and the plays made of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from webhook import clock
from webhook.domain.event import Ids, Item
from webhook.domain.play import Dated, Play, State
from webhook.transfer.imports._archive import NoDate, moment
from webhook.transfer.records import Bad, Entry

NOON = timedelta(hours=12)
FIX = "Correct the row in the file, or add the play by hand (History, Add a play); the other rows are kept."

NUMBERS = frozenset({"tvdb", "tmdb", "trakt", "simkl", "anidb", "mal"})
LARGEST = 2**53
LONGEST = 500
IMDB = re.compile(r"tt\d{5,10}", re.ASCII)


class Wrong(ValueError):
    """A row or an entry that cannot be taken; the message says why, `do` what to do."""

    def __init__(self, why: str, do: str = FIX) -> None:
        super().__init__(why)
        self.do = do

    def bad(self, file: str, line: int | None, where: str = "") -> Bad:
        return Bad(file=file, line=line, why=f"{where}{self}", do=self.do)


def run_steps(steps: Iterable[Callable[[], Entry]], file: str, where: str) -> Iterator[Entry]:
    """What each step gives; Bad for one that is Wrong, so that it costs no other."""
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
    """The JSON object of this name, an empty one where it is missing or none."""
    found = entry.get(name)
    return found if isinstance(found, dict) else {}


def several(value: Any) -> list[Any]:
    """The values of a JSON array; none where it is missing."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """A text without blanks around it, of bounded length; None where there is none."""
    return value.strip()[:LONGEST] or None if isinstance(value, str) else None


def number(value: Any) -> int | None:
    """A whole number from 0 on, as a number or a text; None for anything else."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value) if len(value) < 20 else None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < LARGEST:
        return None
    return value


def year(value: Any) -> int | None:
    """The year; None where it is unknown. Raises Wrong for what is none."""
    if value is None or value in ("", 0, "0"):
        return None
    found = number(value)
    if found is None or not 1870 <= found <= 2200:
        raise Wrong(f"“{str(value)[:20]}” is no year")
    return found


def imdb(value: Any) -> str | None:
    """The id in a text such as `tt0111161` or an address that holds it."""
    found = IMDB.search(value[:LONGEST]) if isinstance(value, str) else None
    return found.group() if found else None


def ids_of(known: Mapping[str, Any]) -> Ids:
    """The ids of a JSON object; values of 0, "" and the like are none."""
    numbers: dict[str, Any] = {name: number(known.get(name)) or None for name in NUMBERS}
    return Ids(**numbers, imdb=imdb(known.get("imdb")), slug=text(known.get("slug")))


def rating(value: Any, times: float = 1) -> float | None:
    """A rating times this much, 0-10; None where there is none (0 is none). Raises Wrong for what is none."""
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
    """A moment; None where it is missing or stands for an unknown one. Raises Wrong for what is no date."""
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
    """Noon of a day, UTC, where it is the same day nearly everywhere; raises Wrong where there is none."""
    if value is None:
        raise Wrong(f"it has no “{column}”")
    found = when(value)
    if found is None:
        raise Wrong(f"“{value[:20]}” in “{column}” stands for an unknown date")
    return found.replace(hour=0, minute=0, second=0, microsecond=0) + NOON


def watched_play(
    item: Item,
    at: datetime | None,
    source: str,
    *,
    dated: Dated = Dated.EXACT,
    manual: bool = False,
    duration_ms: int | None = None,
) -> Play:
    """A play that was watched to its end. Without a date it is one that is ticked now."""
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
