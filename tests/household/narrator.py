"""The narrator: turns choices (who, which habit, after how long) into a story in which each of them makes sense.

Seeds draw choices with a random generator, Hypothesis draws the same choices and leaves out what it can.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.household.catalogue import TITLES, Title
from tests.household.habits import FITS, HABITS, Habit, Scene
from tests.household.story import DAY, DEVICES, PEOPLE, Act, Device, Story
from tests.household.truth import Diary


class Gap(StrEnum):
    """How long after what was before."""

    MEANWHILE = "meanwhile"
    AT_ONCE = "at once"
    SOON = "soon"
    LATER = "later"
    NEXT_DAY = "next day"
    WEEKS = "weeks later"


@dataclass(frozen=True)
class Choice:
    """What somebody is going to do; the numbers choose among what is possible then."""

    who: int
    device: int
    habit: Habit
    title: int
    gap: Gap = Gap.SOON
    detail: int = 0


WEIGHTS: Mapping[Habit, int] = {
    Habit.WATCH: 20, Habit.PAUSE: 8, Habit.JUMP: 5, Habit.SKIP_CREDITS: 8, Habit.CLIENT_DIES: 3,
    Habit.HALF: 10, Habit.NEARLY: 6, Habit.ABANDON: 5, Habit.CARRY_ON: 14, Habit.REWATCH: 12,
    Habit.HALF_AGAIN: 3, Habit.PEEK: 12, Habit.BINGE: 4, Habit.REPEAT: 2, Habit.SKIP_SONG: 3, Habit.TICK: 5, Habit.TICK_WHOLE: 1,
    Habit.UNTICK: 3, Habit.TOOL: 2,
}  # fmt: skip
GAPS: Mapping[Gap, int] = {
    Gap.MEANWHILE: 40, Gap.AT_ONCE: 12, Gap.SOON: 18, Gap.LATER: 12, Gap.NEXT_DAY: 16, Gap.WEEKS: 2,
}  # fmt: skip


EVERYTHING = tuple(TITLES.values())


def invent(
    seed: int,
    viewings: int,
    *,
    habits: Collection[Habit] = tuple(Habit),
    titles: Collection[Title] = EVERYTHING,
) -> Story:
    """A story of at least so many viewings, by these habits and of these titles."""
    dice = random.Random(seed)  # noqa: S311 - it invents evenings
    narrator = Narrator(titles)
    while len(narrator.diary) < viewings:
        narrator.add(draw(dice, habits))
    return narrator.story()


def draw(dice: random.Random, habits: Collection[Habit]) -> Choice:
    return Choice(
        who=dice.randrange(len(PEOPLE)),
        device=dice.randrange(len(DEVICES)),
        habit=dice.choices([*habits], [WEIGHTS[habit] for habit in habits])[0],
        title=dice.randrange(10_000),
        gap=dice.choices([*GAPS], [*GAPS.values()])[0],
        detail=dice.randrange(100),
    )


def narrate(choices: Iterable[Choice], titles: Collection[Title] = EVERYTHING) -> Story:
    """The story that these choices make."""
    narrator = Narrator(titles)
    for choice in choices:
        narrator.add(choice)
    return narrator.story()


class Narrator:
    """Knows what everybody has watched and who is busy until when."""

    def __init__(self, titles: Collection[Title]) -> None:
        self.titles = titles
        self.diary = Diary()
        self.acts: list[Act] = []
        self.free: dict[object, int] = defaultdict(int)

    def story(self) -> Story:
        return Story(tuple(sorted(self.acts, key=lambda act: act.at)))

    def add(self, choice: Choice) -> None:
        who, device = PEOPLE[choice.who % len(PEOPLE)], DEVICES[choice.device % len(DEVICES)]
        if device.shared_by and who not in device.shared_by:
            device = next(other for other in DEVICES if other.server == device.server)
        habit, titles = self.possible(choice.habit, who, device)
        title = titles[choice.title % len(titles)]
        device = self.fitting(who, device, title)
        at = self.begin(choice, who, device)
        for act in HABITS[habit](Scene(self.diary, at, who, title, device, choice.detail)):
            self.acts.append(act)
            self.diary.add(act)
            for busy in (*act.people, device):
                self.free[busy] = act.ends + 8

    def possible(self, habit: Habit, who: str, device: Device) -> tuple[Habit, list[Title]]:
        """The habit and the titles it can be had with; watching something where there are none."""
        here = [title for title in self.titles if device.server in title.servers]
        if found := [title for title in here if FITS[habit](self.diary, who, title, device.server)]:
            return habit, found
        fresh = [title for title in here if not self.diary.viewings[who, title]]
        return Habit.WATCH, fresh or here

    def fitting(self, who: str, device: Device, title: Title) -> Device:
        """A shared player only where all are at the same place of the title; else one's own."""
        places = {
            (self.diary.counted(one, title), self.diary.left_at(one, title)) for one in device.shared_by
        }
        if len(places) < 2:
            return device
        return next(other for other in DEVICES if other.server == device.server)

    def begin(self, choice: Choice, who: str, device: Device) -> int:
        last = max((act.at for act in self.acts), default=20 * 3600 - 300)
        own = max(self.free[busy] for busy in (*(device.shared_by or (who,)), device))
        at = {
            Gap.MEANWHILE: last + 180 + choice.detail,
            Gap.AT_ONCE: max(last, own) + 5 + choice.detail % 20,
            Gap.SOON: max(last, own) + 600 + 13 * choice.detail,
            Gap.LATER: max(last, own) + 3 * 3600 + 97 * choice.detail,
            Gap.NEXT_DAY: (max(last, own) // DAY + 1) * DAY + 19 * 3600 + 61 * choice.detail,
            Gap.WEEKS: (max(last, own) // DAY + 10 + choice.detail % 10) * DAY + 20 * 3600,
        }[choice.gap]
        return max(at, own, last + 1)
