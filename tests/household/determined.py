"""The oracle: what the webhooks that arrived determine of each viewing, whatever else was lost.

Where a viewing may count or not, what is right for the later ones differs: each such course is told by itself.
A viewing that counts already can seem to begin again with its rest, which is then one that may count. An untick
takes back the latest viewing that counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.household.evidence import Dates, Evidence, Must, by_act, counts_on, tells_length
from tests.household.senders import Message, Shows
from tests.household.story import Act
from tests.household.truth import Viewing

SLACK = 150
"""Seconds by which a date may lie beside what determines it."""


@dataclass(frozen=True)
class Counted:
    """A viewing that counts, and from when to when its date may be."""

    evidence: int
    dates: Dates

    def allows(self, at: float) -> bool:
        return self.dates.earliest - SLACK <= at <= self.dates.latest + SLACK


@dataclass(frozen=True)
class Course:
    """What counts in one course of things, and whether the latest viewing was left without a word of its end."""

    counted: tuple[Counted, ...] = ()
    unfinished: bool = False

    def after(self, number: int, evidence: Evidence) -> Iterator[Course]:
        """The courses that this one takes with the next viewing."""
        known = {"unfinished": self.unfinished}
        must = evidence.verdict(seen_before=bool(self.counted), **known)
        if must is not Must.COUNT:
            yield replace(self, unfinished=self.unfinished or evidence.watched_at is not None)
        if must is not Must.NOT:
            yield Course((*self.counted, Counted(number, evidence.dates(**known))))

    def taken_back(self) -> Course:
        return replace(self, counted=self.counted[:-1])


@dataclass(frozen=True)
class Expected:
    """What is right for one viewing in all courses together."""

    must: Must
    dates: Dates


@dataclass(frozen=True)
class Expectation:
    """What is right for the viewings of one title by one person: any of these courses."""

    viewings: Sequence[Expected]
    courses: Sequence[Course]

    @property
    def least(self) -> int:
        return min(len(course.counted) for course in self.courses)

    @property
    def most(self) -> int:
        return max(len(course.counted) for course in self.courses)


def expect(viewings: Sequence[Viewing], messages: Sequence[Message], number: int | None) -> Expectation:
    """What is right for the viewings of one title by one person, in their order.

    `number` is the episode's, where the file holds several: not every server names more than the first.
    """
    unticks = sorted({message.act.at for message in messages if message.shows is Shows.UNTICK})
    courses = [Course()]
    collected: list[Evidence] = []
    for evidence in collect(viewings, [*named(messages, number)]):
        while unticks and unticks[0] < evidence.acts[0].at:
            courses = take_back(courses, unticks.pop(0))
        courses = [later for course in courses for later in course.after(len(collected), evidence)]
        collected.append(evidence)
    for at in unticks:
        courses = take_back(courses, at)
    return Expectation([judge(place, entry, courses) for place, entry in enumerate(collected)], courses)


def take_back(courses: Iterable[Course], at: float) -> list[Course]:
    """The courses after an untick: the latest viewing that counts is taken back."""
    return list(dict.fromkeys(course.taken_back() for course in courses))


def judge(number: int, evidence: Evidence, courses: Iterable[Course]) -> Expected:
    counts = {any(entry.evidence == number for entry in course.counted) for course in courses}
    must = Must.MAY if len(counts) > 1 else Must.COUNT if True in counts else Must.NOT
    return Expected(must, evidence.dates(unfinished=False))


def collect(viewings: Sequence[Viewing], messages: Iterable[Message]) -> Iterator[Evidence]:
    """The evidence of each viewing, and that of its later sittings by themselves.

    What was played of one up to a word of its end measures the item for those after it. Not where one before it was
    left without such a word, or the end of a rest did not arrive: then it may seem to take longer than the item is.
    """
    of_act = by_act(messages)
    measured, left = False, False
    before: Sequence[Message] = ()
    for place, viewing in enumerate(viewings):
        following = [act for later in viewings[place + 1 : place + 2] for act in later.acts]
        until = max((act.ends for act in following), default=0)
        joined = not any(
            message.shows is Shows.START for act in following[:1] for message in of_act.get(act, ())
        )
        for watched_at, acts in parts(viewing):
            mine = list(arrived(viewing, acts, of_act))
            measured |= tells_length(mine)
            grown = counts_on(before, mine, viewing.person)
            evidence = Evidence(viewing, acts, mine, watched_at, measured, grown, until, joined)
            yield evidence
            measured |= evidence.is_measure and not left
            left = bool(mine) and not evidence.decisive
            before = mine


def parts(viewing: Viewing) -> Iterator[tuple[int | None, Sequence[Act]]]:
    """The whole of a viewing that was watched and each sitting after that; of others each sitting by itself."""
    watched_at = viewing.watched_at
    if watched_at is not None:
        yield watched_at, viewing.acts
    for act in viewing.acts:
        if watched_at is None or act.at > watched_at:
            yield None, [act]


def arrived(viewing: Viewing, acts: Iterable[Act], of_act: Mapping[Act, list[Message]]) -> Iterator[Message]:
    for act in acts:
        for message in of_act.get(act, ()):
            if message.player or act.who == viewing.person:
                yield message


def named(messages: Iterable[Message], number: int | None) -> Iterator[Message]:
    for message in messages:
        if number in (None, message.title.number) or message.parts:
            yield message
