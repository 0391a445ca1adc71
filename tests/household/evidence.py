"""The evidence: what the webhooks that arrived say of one run through an item, or of one sitting of it.

It reads what each message shows (`senders.Shows`), never its body, and judges by plain reason:

- a first viewing is determined by any word that it was finished, or by a position past the mark;
- another one needs, beside such a word, that most of the item was seen to be played since its own start, and
  that something told how long the item is; without that it might as well be the end that was looked at again;
- where nothing but such words is heard, the server's own count says whether they are of one viewing: if it has grown
  when a whole runtime and an hour are over, they are of two;
- the end that was looked at again, or a song that was skipped, must not count, as long as its start and its rests
  arrived to show how little it was; where no viewing of a film is known from before, the sender's word is all there is;
- where the words of a viewing were all lost, those of the next sitting may be taken for them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import pairwise

from tests.household.catalogue import Kind, Title
from tests.household.senders import Message, Shows
from tests.household.story import DAY, Act, Tick
from tests.household.truth import MARK, Viewing

WITNESSED = 0.7
"""The part of an item that must be seen to be played, for another viewing of it."""

LITTLE = 0.35
"""A part of an item that is too little for a viewing, be it a song's."""

HOUR = 3600
LONGEST = 1.3
"""As many times its runtime a viewing may seem to take, and still measure the item."""

FORTNIGHT = 14 * DAY
"""What was begun that long ago may as well have been given up."""

ENDS = frozenset({Shows.REST, Shows.END, Shows.FINISH})
WAYPOINTS = frozenset({Shows.REST, Shows.END, Shows.ON})


class Must(StrEnum):
    COUNT = "must count"
    MAY = "may count"
    NOT = "must not count"


@dataclass(frozen=True)
class Dates:
    """From when to when the date of a viewing may be; not `exact` where a tool brought it along."""

    earliest: float
    latest: float
    exact: bool = True


@dataclass(frozen=True)
class Evidence:
    """What arrived of these acts of a viewing.

    `watched_at` is when it was watched in them, if at all. `measured` says that something told by now how long
    the item is, `grown` that the server has counted on since the evidence before, `until` when the next viewing of
    it was over, `joined` that no start of that one arrived.
    """

    viewing: Viewing
    acts: Sequence[Act]
    messages: Sequence[Message]
    watched_at: int | None
    measured: bool
    grown: bool
    until: float
    joined: bool = False

    @cached_property
    def decisive(self) -> list[Message]:
        """The words of its end, from the act on in which it was watched: before that there was nothing to report."""
        since = self.watched_at
        run = (message for message in self.messages if since is None or message.act.ends >= since)
        return [message for message in run if decides(message, self.messages, self.viewing.title)]

    @cached_property
    def hints(self) -> list[Message]:
        """The positions past the mark of an item of which nothing but another viewing told how long it is.

        They may be taken for its end: where a pause was lost, a look at the end is told like a whole viewing.
        """
        mark = MARK[self.viewing.title.kind] * self.viewing.title.runtime
        waypoints = (message for message in self.messages if message.shows in WAYPOINTS)
        return [message for message in waypoints if self.measured and (message.position or 0) >= mark]

    def verdict(self, *, seen_before: bool, unfinished: bool) -> Must:
        """Whether it counts, if one was counted before, or the one before was left without a word of its end."""
        if self.watched_at is None:
            implausible = seen_before or self.viewing.title.kind is Kind.TRACK
            little = implausible and self.measured and not unfinished and self.is_modest
            return Must.NOT if little or not (self.decisive or self.hints) else Must.MAY
        if not self.decisive:
            return Must.MAY
        if not seen_before:
            return Must.COUNT
        if self.grown:
            return Must.COUNT
        told = any(message.shows is not Shows.TICK for message in self.decisive)
        return Must.COUNT if told and self.measured and self.witnessed >= WITNESSED else Must.MAY

    def dates(self, *, unfinished: bool) -> Dates:
        """From the first word of it to the end of that sitting, or of those after it if none ended it.

        Where no word parts it from the next one within the hour, the two are told like one with a rest.
        """
        begins, ends = self.acts[0].at, float(max(act.ends for act in self.acts))
        first = min(self.decisive, key=lambda message: message.at, default=None)
        if first is None:
            return Dates(self.watched_at or begins, max(ends, self.until))
        if isinstance(first.act, Tick) and first.act.seen is not None:
            return Dates(first.act.seen, first.act.seen, exact=False)
        earliest = first.act.at if unfinished else min(first.at, self.watched_at or first.act.at)
        ended = {message.act for message in self.messages if message.shows in (Shows.END, Shows.FINISH)}
        if self.joined and not ended and self.until - ends <= HOUR:
            ends = max(ends, self.until)
        latest = first.act.ends if first.act in ended or isinstance(first.act, Tick) else ends
        return Dates(earliest, max(first.at, latest))

    @cached_property
    def witnessed(self) -> float:
        """The part of the item that was seen to be played: from each start that arrived to the end that did."""
        total, last = 0.0, 0.0
        for act, messages in by_act(self.messages).items():
            total = total if act.at - last < FORTNIGHT else 0.0
            total += seen_played(messages)
            last = act.ends
        return total / self.viewing.title.runtime

    @property
    def is_measure(self) -> bool:
        """Whether it shows how long the item is to those who know no runtime."""
        if not self.decisive or self.witnessed < WITNESSED:
            return False
        return sum(map(may_be_played, by_act(self.messages).values())) <= LONGEST * self.viewing.title.runtime

    @property
    def is_modest(self) -> bool:
        """Whether what arrived of a viewing that does not count shows that it was a short one.

        A rest of which the end did not arrive may as well have ended at once.
        """
        if self.viewing.played > LITTLE:
            return False
        for messages in by_act(self.messages).values():
            words = [message for message in messages if message in (*self.decisive, *self.hints)]
            starts = [message.at for message in messages if message.shows is Shows.START]
            if words and (not starts or min(starts) > min(word.at for word in words)):
                return False
            if words and may_be_played(messages) > LITTLE * self.viewing.title.runtime:
                return False
        return True


def counts_on(before: Sequence[Message], messages: Sequence[Message], person: str) -> bool:
    """Whether nothing is heard of two runs but that the server counted each of them for this person, well apart."""
    heard = [*before, *messages]
    if not before or not messages or any(message.act.who != person for message in heard):
        return False
    if any(message.shows is not Shows.FINISH for message in heard):
        return False
    views = [message.views or 0 for message in messages]
    apart = min(message.at for message in messages) - max(message.at for message in before)
    grew = min(views) > max(message.views or views[0] for message in before)
    return grew and apart > max(LONGEST * heard[0].title.runtime, HOUR)


def by_act(messages: Iterable[Message]) -> Mapping[Act, list[Message]]:
    found: dict[Act, list[Message]] = defaultdict(list)
    for message in messages:
        found[message.act].append(message)
    return found


def decides(message: Message, known: Sequence[Message], title: Title) -> bool:
    """Whether the message says that it was finished, or a position past the mark."""
    if message.shows in (Shows.FINISH, Shows.TICK):
        return True
    if message.position is None or message.shows not in WAYPOINTS:
        return False
    sitting = (entry for entry in known if entry.act is message.act)
    return tells_runtime(sitting) and message.position >= MARK[title.kind] * title.runtime


def tells_runtime(messages: Iterable[Message]) -> bool:
    return any(message.runtime is not None and message.shows is not Shows.NOTHING for message in messages)


def tells_length(messages: Sequence[Message]) -> bool:
    """Whether these tell how long the item is: by its runtime, or by the position at which it was finished."""
    ends = (message for message in messages if message.shows is Shows.FINISH)
    return tells_runtime(messages) or any(message.position is not None for message in ends)


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


def may_be_played(messages: Iterable[Message]) -> float:
    """The most that can have been played: all but the rests of which the end arrived, or after which no word came."""
    heard = [message for message in messages if message.shows is not Shows.NOTHING]
    heard.sort(key=lambda message: message.at)
    words = (Shows.FINISH, Shows.TICK)
    return sum(
        later.at - before.at
        for before, later in pairwise(heard)
        if before.shows is not Shows.REST or later.shows in words
    )
