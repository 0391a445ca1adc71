"""The story: what people did, in lines that one can read, write and paste into a test.

    day 1 20:00:00 anna plays Harbour 1x03 on plex tv: 0:00-12:00, rest 3:00, 12:00-45:00, stop
    day 2 09:30:00 ben ticks Harbour 1x04 on jellyfin
    day 2 09:30:00 ben ticks Harbour 1x04 on jellyfin with its season
    day 2 09:31:00 ben unticks Harbour 1x04 on jellyfin
    day 2 10:00:00 a tool ticks Harbour 1x05 on jellyfin for ben, seen day -300 20:00:00

A sitting ends with `stop`; with `late stop` where the next one on the player starts first, as auto-play has it;
or with `no stop`, where the client died or plays the same again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property

from tests.household.catalogue import TITLES, Title

DAY = 86_400
EPOCH = datetime(2026, 3, 2, tzinfo=UTC)
"""Midnight before day 1; every time in a story is seconds since then."""


class Ending(StrEnum):
    STOP = "stop"
    LATE = "late stop"
    NONE = "no stop"


@dataclass(frozen=True)
class Device:
    """A player; what plays on a shared one counts for all whom it is shared by."""

    name: str
    server: str
    shared_by: tuple[str, ...] = ()

    @property
    def player(self) -> str:
        return f"{self.name} of the household".title()

    @property
    def uid(self) -> str:
        return f"{self.server}-{self.name}"

    def __str__(self) -> str:
        return f"{self.server} {self.name}"


PEOPLE = ("anna", "ben", "cleo", "dora", "emil")
SOFA = ("anna", "ben")
DEVICES = tuple(
    Device(name, server, SOFA if name == "sofa" else ())
    for server in ("plex", "jellyfin", "emby")
    for name in ("tv", "phone", "tablet", "kitchen", "sofa")
)


@dataclass(frozen=True)
class Stretch:
    """A piece of an item, from second to second, played without a break; then a rest."""

    start: int
    end: int
    rest: int = 0


@dataclass(frozen=True)
class Sitting:
    """One person plays one item on one player, from pressing play to the end of it."""

    at: int
    who: str
    title: Title
    device: Device
    stretches: tuple[Stretch, ...]
    ending: Ending = Ending.STOP

    @cached_property
    def ends(self) -> int:
        return self.at + sum(stretch.end - stretch.start + stretch.rest for stretch in self.stretches)

    @property
    def first(self) -> int:
        """The position at which it begins."""
        return self.stretches[0].start

    @property
    def last(self) -> int:
        return self.stretches[-1].end

    @property
    def people(self) -> tuple[str, ...]:
        return self.device.shared_by or (self.who,)

    @property
    def server(self) -> str:
        return self.device.server

    def timed(self) -> Iterator[tuple[int, Stretch]]:
        """Each stretch with the time at which it begins."""
        at = self.at
        for stretch in self.stretches:
            yield at, stretch
            at += stretch.end - stretch.start + stretch.rest

    def when(self, position: float) -> int | None:
        """The time at which it first is at this position or past it; None where it never gets there."""
        for at, stretch in self.timed():
            if stretch.end >= position:
                return at + max(0, int(position - stretch.start + 0.999))
        return None

    def position(self, at: float) -> int:
        """Where it is at this time."""
        found = self.first
        for begins, stretch in self.timed():
            if begins <= at:
                found = min(stretch.end, stretch.start + int(at - begins))
        return found

    def __str__(self) -> str:
        parts = [
            f"{minutes(stretch.start)}-{minutes(stretch.end)}"
            + (f", rest {minutes(stretch.rest)}" if stretch.rest else "")
            for stretch in self.stretches
        ]
        told = ", ".join([*parts, self.ending])
        return f"{moment(self.at)} {self.who} plays {self.title.name} on {self.device}: {told}"


class Whole(StrEnum):
    """What was ticked, where an episode was ticked with it."""

    SEASON = "season"
    SHOW = "show"


@dataclass(frozen=True)
class Tick:
    """A mark set or taken back by hand; with `seen` by a tool that knows when it was watched.

    Of the episodes that are ticked with their season or show, the first names it.
    """

    at: int
    who: str
    title: Title
    server: str
    watched: bool = True
    seen: int | None = None
    whole: Whole | None = None

    @property
    def people(self) -> tuple[str, ...]:
        return (self.who,)

    @property
    def ends(self) -> int:
        return self.at

    def __str__(self) -> str:
        if self.seen is not None:
            told = f"a tool ticks {self.title.name} on {self.server} for {self.who}, seen {moment(self.seen)}"
        else:
            told = f"{self.who} {'ticks' if self.watched else 'unticks'} {self.title.name} on {self.server}"
            told += f" with its {self.whole}" if self.whole else ""
        return f"{moment(self.at)} {told}"


Act = Sitting | Tick


@dataclass(frozen=True)
class Story:
    """What happened, in the order in which it began."""

    acts: tuple[Act, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.acts))


def minutes(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02}"


def moment(seconds: int) -> str:
    days, left = divmod(seconds, DAY)
    return f"day {days + 1} {left // 3600:02}:{left // 60 % 60:02}:{left % 60:02}"


def utc(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


# --- reading a story


class Unclear(ValueError):
    """A line that is no line of a story."""


WHEN = r"day (-?\d+) (\d\d):(\d\d):(\d\d)"
PLAYS = re.compile(rf"{WHEN} (\w+) plays (.+) on (\w+ \w+): (.+), (late stop|no stop|stop)")
TICKS = re.compile(rf"{WHEN} (\w+) (ticks|unticks) (.+) on (\w+)(?: with its (\w+))?")
TOOL = re.compile(rf"{WHEN} a tool ticks (.+) on (\w+) for (\w+), seen {WHEN}")
PIECE = re.compile(r"(\d+):(\d\d)-(\d+):(\d\d)(?:, rest (\d+):(\d\d))?")


def read(text: str) -> Story:
    """The story that these lines tell; raises Unclear."""
    lines = (line.strip() for line in text.strip().splitlines())
    return Story(tuple(act(line) for line in lines if line))


def act(line: str) -> Act:
    if found := PLAYS.fullmatch(line):
        *at, who, title, device, told, ending = found.groups()
        stretches = tuple(stretch(*piece.groups(default="0")) for piece in PIECE.finditer(told))
        return Sitting(seconds(at), who, named(title), player(device), stretches, Ending(ending))
    if found := TICKS.fullmatch(line):
        *at, who, verb, title, server, whole = found.groups()
        whole = Whole(whole) if whole else None
        return Tick(seconds(at), who, named(title), server, watched=verb == "ticks", whole=whole)
    if found := TOOL.fullmatch(line):
        *at, title, server, who = found.groups()[:7]
        return Tick(seconds(at), who, named(title), server, seen=seconds(found.groups()[7:]))
    raise Unclear(line)


def seconds(at: Sequence[str]) -> int:
    day, hours, past, left = map(int, at)
    return (day - 1) * DAY + hours * 3600 + past * 60 + left


def stretch(*given: str) -> Stretch:
    a, b, c, d, e, f = map(int, given)
    return Stretch(a * 60 + b, c * 60 + d, e * 60 + f)


def named(title: str) -> Title:
    if title not in TITLES:
        raise Unclear(f"the household has no {title}")
    return TITLES[title]


def player(told: str) -> Device:
    found = next((device for device in DEVICES if str(device) == told), None)
    if found is None:
        raise Unclear(f"the household has no {told}")
    return found
