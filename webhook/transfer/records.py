"""The entries of a history file: viewings, library entries, bad rows, entries left out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum

from webhook.domain.event import Ids, Item
from webhook.domain.play import Dated, Play


class Relation(StrEnum):
    """A relation of a person to an item other than watching it."""

    FOLLOW = "follow"
    WATCHLIST = "watchlist"
    RATING = "rating"
    LOVE = "love"
    COLLECTION = "collection"


FOLLOWING, FOR_LATER, ARCHIVED, STOPPED = "following", "for_later", "archived", "stopped"
"""The states of a followed show, in TV Time's words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewing:
    """One play in a file. `foreign_key` is the row's key in the file, the same for the same row.

    `verbatim` comes from our own export: it is a play of its own unless that very play exists. `language` (`de`)
    is that of its titles, where the file says which. `nth` counts the rows that say the same of one day and have no key.
    """

    play: Play
    foreign_key: str | None = None
    verbatim: bool = False
    language: str | None = None
    nth: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """One library entry in a file. `value` is a rating, 0-10; `state` that of a followed show."""

    relation: Relation
    item: Item
    at: datetime | None = None
    value: float | None = None
    state: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bad:
    """A row that cannot be read: its place, the reason, and the remedy."""

    file: str
    line: int | None
    why: str
    do: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """Entries of a file that Watchmark has no place for: their number and the reason."""

    file: str
    count: int
    why: str


Entry = Viewing | Kept | Bad | LeftOut


def number_repeats(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries of a file, where rows without a key that say the same of one day are numbered."""
    counts: Counter[int] = Counter()
    for entry in entries:
        if isinstance(entry, Viewing) and entry.foreign_key is None and entry.play.dated is Dated.DAY:
            said = hash((entry.play.item, entry.play.watched_at))
            counts[said] += 1
            yield replace(entry, nth=counts[said])
        else:
            yield entry


MAX_TEXT = 500
"""The most characters of a title or a name."""

MAX_ID = 200


def shorten(entry: Entry) -> Entry:
    """The entry with its texts cut to their maximum and without ids that are too long."""
    match entry:
        case Viewing(play=play) if (item := shorten_item(play.item)) is not play.item:
            return replace(entry, play=replace(play, item=item))
        case Kept() if (item := shorten_item(entry.item)) is not entry.item:
            return replace(entry, item=item)
    return entry


def shorten_item(item: Item) -> Item:
    changed: dict[str, object] = {}
    for one in fields(item):
        value = getattr(item, one.name)
        if isinstance(value, str) and len(value) > MAX_TEXT:
            changed[one.name] = value[:MAX_TEXT]
        elif isinstance(value, Ids) and (short := known_ids(value)) != value:
            changed[one.name] = short
    change: Callable[..., Item] = replace
    return change(item, **changed) if changed else item


def known_ids(ids: Ids) -> Ids:
    known = ids.by_namespace().items()
    return Ids.from_json({name: value for name, value in known if len(str(value)) <= MAX_ID})


class Unusable(Exception):
    """The file cannot be read at all; the message gives the reason and the remedy."""


Options = Mapping[str, str]
"""What a person answered to the questions of a file, by the question's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question about a file that only its owner can answer, such as which of its dates is the day.

    `answer` is what holds without one: a guess that may be changed, or "" where an answer is needed. Without
    `choices` any text is an answer.
    """

    name: str
    text: str
    answer: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    needed: bool = False

    @property
    def is_open(self) -> bool:
        return self.needed and not self.answer

    def accepts(self, given: str) -> bool:
        return not self.choices or any(given == value for value, _ in self.choices)


def wrong_answer(questions: Sequence[Question], options: Options) -> str | None:
    """What is wrong with the answers; None if each is one that its question accepts."""
    asked = {question.name: question for question in questions}
    for name, given in options.items():
        if name not in asked:
            return f"The file asks nothing called {name[:50]}. It asks: {', '.join(asked) or 'nothing'}."
        if not asked[name].accepts(given):
            return f"{name} is one of: {', '.join(value for value, _ in asked[name].choices if value)}."
    return None


class Undecided(Unusable):
    """The file cannot be read before its owner answers a question."""

    def __init__(self, question: Question) -> None:
        self.question = question
        answers = " or ".join(f"{question.name}={value}" for value, _ in question.choices if value)
        super().__init__(f"{question.text} Answer it: {answers or question.name + '=...'}.")
