"""The oracle: what the webhooks that arrived determine of each viewing, whatever else was lost.

It reads what each message shows (`senders.Shows`), never its body, and judges by plain reason:

- a first viewing is determined by any word that it was finished, or by a position past the mark;
- another one needs, beside such a word, that most of the item was seen to be played since its own start, and
  that something told how long the item is; without that it might as well be the end that was looked at again;
- the end that was looked at again, or a song that was skipped, must not count, as long as its start and its rests
  arrived to show how little it was; where no viewing of a film is known from before, the sender's word is all there is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.household.catalogue import Kind, Title
from tests.household.senders import Message, Shows
from tests.household.story import DAY, Act, Tick
from tests.household.truth import MARK, Viewing

WITNESSED = 0.7
"""The part of an item that must be seen to be played, for another viewing of it."""

LITTLE = 0.35
"""A part of an item that is too little for a viewing, be it a song's."""

FORTNIGHT = 14 * DAY
"""What was begun that long ago may as well have been given up."""

SLACK = 150
"""Seconds by which a date may lie beside what determines it."""

ENDS = frozenset({Shows.REST, Shows.END, Shows.FINISH})


class Must(StrEnum):
    COUNT = "must count"
    MAY = "may count"
    NOT = "must not count"


@dataclass(frozen=True)
class Expected:
    """What is right for one viewing: whether it counts, and from when to when its date may be."""

    viewing: Viewing
    must: Must
    earliest: float
    latest: float
    dated: bool = True
    taken_back: bool = False

    def dates(self, at: float) -> bool:
        return self.earliest - SLACK <= at <= self.latest + SLACK


def expect(viewings: Iterable[Viewing], messages: Sequence[Message], number: int | None) -> list[Expected]:
    """What is right for the viewings of one title by one person, in their order.

    `number` is the episode's, where the file holds several: not every server names more than the first.
    """
    of_act: Mapping[Act, list[Message]] = by_act(named(messages, number))
    found: list[Expected] = []
    measured = False
    for viewing in viewings:
        mine = [
            message for act in viewing.acts for message in of_act.get(act, ())
            if message.player or act.who == viewing.person
        ]  # fmt: skip
        measured |= tells_length(mine)
        before = Before(tuple(entry.must for entry in found if not entry.taken_back), measured)
        found.append(judge(viewing, mine, before, taken_back=is_taken_back(viewing, messages)))
        measured |= witnessed(viewing, mine) >= WITNESSED
    return found


@dataclass(frozen=True)
class Before:
    """What is right for the viewings before, and whether anything told by now how long the item is."""

    musts: tuple[Must, ...]
    measured: bool


def named(messages: Iterable[Message], number: int | None) -> Iterator[Message]:
    for message in messages:
        if number in (None, message.title.number) or message.parts:
            yield message


def by_act(messages: Iterable[Message]) -> Mapping[Act, list[Message]]:
    found: dict[Act, list[Message]] = defaultdict(list)
    for message in messages:
        found[message.act].append(message)
    return found


def is_taken_back(viewing: Viewing, messages: Iterable[Message]) -> bool:
    """Whether it was taken back, and that arrived."""
    return any(
        message.shows is Shows.UNTICK and message.act.at == viewing.taken_back_at for message in messages
    )


def judge(viewing: Viewing, mine: Sequence[Message], before: Before, *, taken_back: bool) -> Expected:
    decisive = [message for message in of_run(viewing, mine) if decides(message, mine, viewing.title)]
    must = Must.NOT if taken_back else verdict(viewing, mine, decisive, before)
    earliest, latest, dated = window(viewing, decisive)
    return Expected(viewing, must, earliest, latest, dated, taken_back)


def of_run(viewing: Viewing, mine: Iterable[Message]) -> Iterator[Message]:
    """The messages from the act on in which it was watched; before that there was nothing to report."""
    return (
        message for message in mine if viewing.watched_at is None or message.act.ends >= viewing.watched_at
    )


def verdict(viewing: Viewing, mine: Sequence[Message], decisive: Sequence[Message], before: Before) -> Must:
    if viewing.watched_at is None:
        implausible = viewing.title.kind is Kind.TRACK or Must.COUNT in before.musts
        little = implausible and before.measured and modest(viewing, mine)
        return Must.NOT if not decisive or little else Must.MAY
    if not decisive:
        return Must.MAY
    if set(before.musts) <= {Must.NOT}:
        return Must.COUNT
    told = any(message.shows is not Shows.TICK for message in decisive)
    played = before.measured and witnessed(viewing, mine) >= WITNESSED
    return Must.COUNT if told and played else Must.MAY


def decides(message: Message, mine: Sequence[Message], title: Title) -> bool:
    """Whether the message says that it was finished, or a position past the mark."""
    if message.shows in (Shows.FINISH, Shows.TICK):
        return True
    if message.position is None or message.shows not in (Shows.REST, Shows.END, Shows.ON):
        return False
    sitting = (entry for entry in mine if entry.act is message.act)
    return tells_runtime(sitting) and message.position >= MARK[title.kind] * title.runtime


def tells_runtime(messages: Iterable[Message]) -> bool:
    return any(message.runtime is not None and message.shows is not Shows.NOTHING for message in messages)


def tells_length(messages: Sequence[Message]) -> bool:
    """Whether these tell how long the item is: by its runtime, or by the position at which it was finished."""
    ends = (message for message in messages if message.shows is Shows.FINISH)
    return tells_runtime(messages) or any(message.position is not None for message in ends)


def window(viewing: Viewing, decisive: Sequence[Message]) -> tuple[float, float, bool]:
    """From when to when the date may be: from the first word of it to the end of that sitting."""
    first = min(decisive, key=lambda message: message.at, default=None)
    if first is None:
        reached = viewing.watched_at or viewing.acts[0].at
        return reached, max(act.ends for act in viewing.acts), True
    if isinstance(first.act, Tick) and first.act.seen is not None:
        return first.act.seen, first.act.seen, False
    earliest = min(first.at, viewing.watched_at or first.act.at)
    return earliest, max(first.at, first.act.ends), True


def witnessed(viewing: Viewing, mine: Sequence[Message]) -> float:
    """The part of the item that was seen to be played: from each start that arrived to the end that did."""
    total, last = 0.0, 0.0
    for act, messages in by_act(mine).items():
        total = total if act.at - last < FORTNIGHT else 0.0
        total += seen_played(messages)
        last = act.ends
    return total / viewing.title.runtime


def seen_played(messages: Iterable[Message]) -> float:
    total = 0.0
    since: float | None = None
    for message in sorted(messages, key=lambda message: message.at):
        if message.shows in (Shows.START, Shows.ON):
            total += 0.0 if since is None else message.at - since
            since = message.at
        elif message.shows in ENDS and since is not None:
            total += message.at - since
            since = message.at if message.shows is Shows.FINISH else None
    return total


def modest(viewing: Viewing, mine: Sequence[Message]) -> bool:
    """Whether what arrived of a viewing that does not count shows that it was a short one."""
    for act, messages in by_act(mine).items():
        words = [message for message in messages if decides(message, mine, viewing.title)]
        starts = [message.at for message in messages if message.shows is Shows.START]
        if words and (not starts or min(starts) > min(word.at for word in words)):
            return False
        if (
            words
            and act.ends - act.at > LITTLE * viewing.title.runtime
            and not any(message.shows is Shows.REST for message in messages)
        ):
            return False
    return True
