"""The household of the demo: three people and two years of what they watch, made from a seed and the time."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import partial

from webhook.demo.catalogue import (
    ALBUMS,
    CHILDRENS_FILMS,
    CHILDRENS_SHOWS,
    FILMS,
    SHOW_BY_TITLE,
    UNMATCHED_FILM,
    DemoFilm,
    DemoShow,
)
from webhook.domain.event import Episode, Item

SEED = 1611
DAYS = 730
OUTAGE = time(14, 50)
"""The time of day since which one tracker is down."""

TRACK_MINUTES = 4
COMFORT = 0.16
"""The part of all runs that are of a show that the person knows by heart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sitting:
    """One person's viewing of one item. `share` is how much of it was played."""

    person: str
    item: Item
    began: datetime
    minutes: int
    share: float = 0.98

    @property
    def is_watched(self) -> bool:
        return self.share > 0.9

    @property
    def end(self) -> datetime:
        return self.began + timedelta(minutes=self.minutes * self.share)


@dataclass(frozen=True, kw_only=True, slots=True)
class Taste:
    """A person and what they like to watch, in the order in which they come to it."""

    name: str
    shows: Sequence[DemoShow]
    films: Sequence[DemoFilm]
    source: str
    player: str
    pauses: Mapping[str, int] = field(default_factory=dict)
    """The shows that are put aside after so many episodes."""

    comfort: DemoShow | None = None
    """The show that is watched again and again."""

    evenings: float = 0.5
    """The part of all evenings that are spent before a screen."""

    film_nights: float = 0.3
    binges: float = 0.1
    music: float = 0.0
    is_child: bool = False


def shows_of(*titles: str) -> list[DemoShow]:
    return [SHOW_BY_TITLE[title] for title in titles]


MIRA = Taste(
    name="Mira",
    shows=shows_of(
        "Glasshouse Lane", "Saltmere", "The Ninth Parish", "A Quiet Department", "The Patient Telescope",
        "Die Vermesserin von Oberau", "North of Ninebridge", "حارس المطر الأخير", "Tin Roof Summer", "Skoddeheim",
        "Bellweather", "Orbital Post", "Brasswork", "Ember & Crumb", "The Last Ferry to Orrin",
    ),
    films=FILMS[:56], source="plex", player="Living room TV", comfort=SHOW_BY_TITLE["Kestrel & Daughters"],
    pauses={
        "Bellweather": 61, "Die Vermesserin von Oberau": 11, "The Patient Telescope": 13, "Orbital Post": 22,
        "Tin Roof Summer": 5, "Skoddeheim": 9, "North of Ninebridge": 33, "Brasswork": 2,
    },
    evenings=0.64, film_nights=0.18, binges=0.18,
)  # fmt: skip
THEO = Taste(
    name="Theo",
    shows=shows_of(
        "Nine Small Planets", "Orbital Post", "月影食堂の午前二時", "A Quiet Department", "雨の図書室",
        "The Improbable and Entirely Accurate Account of the Lighthouse Keeper's Third Cousin, "
        "Who Refused to Come Ashore",
        "ספריית הרוחות של נהריה", "느린 우체국의 긴 겨울", "Tin Roof Summer", "Skoddeheim",
        "The Ninth Parish", "Brasswork",
    ),
    films=FILMS[30:], source="jellyfin", player="Theo's tablet",
    pauses={"The Ninth Parish": 37, "Skoddeheim": 12, "Orbital Post": 31}, evenings=0.45, film_nights=0.18, binges=0.1,
    music=0.13,
)  # fmt: skip
JUNO = Taste(
    name="Juno", shows=[CHILDRENS_SHOWS[number] for number in (0, 4, 1, 3, 2)], films=CHILDRENS_FILMS,
    source="plex", player="Playroom TV",
    comfort=CHILDRENS_SHOWS[0], evenings=0.3, film_nights=0.12, binges=0.55, is_child=True,
)  # fmt: skip
TASTES = (MIRA, THEO, JUNO)


@dataclass(slots=True)
class Diary:
    """What one person watches day by day, with their place in each show."""

    taste: Taste
    dice: random.Random
    now: datetime
    bookmarks: dict[str, int] = field(default_factory=dict)
    films: list[DemoFilm] = field(default_factory=list)

    def days(self) -> Iterator[Sitting]:
        for past in range(DAYS, -1, -1):
            day = self.now.date() - timedelta(days=past)
            for sitting in self.sittings_of(day):
                if sitting.end < self.now - timedelta(hours=2):
                    yield sitting

    def sittings_of(self, day: date) -> Iterator[Sitting]:
        if self.taste.is_child:
            yield from self.child_day(day)
            return
        yield from self.listen(day)
        is_weekend, roll = day.weekday() in (4, 5), self.dice.random()
        if is_weekend and roll < self.taste.film_nights * 2:
            yield from self.film_night(day, time(20, 30))
        elif day.weekday() in (5, 6) and self.dice.random() < self.taste.binges:
            yield from self.watch(day, time(18, 10), self.dice.randint(4, 7))
        elif self.dice.random() < self.taste.evenings or day == self.now.date() - timedelta(days=1):
            yield from self.watch(day, time(20, 15), self.dice.choice((1, 1, 2, 2, 3)))

    def child_day(self, day: date) -> Iterator[Sitting]:
        """Mornings of the weekend, some afternoons, and a film on a rainy Sunday."""
        is_weekend = day.weekday() in (5, 6)
        if is_weekend and self.dice.random() < self.taste.binges:
            yield from self.watch(day, time(8, 5), self.dice.randint(3, 7))
        if day.weekday() == 6 and self.dice.random() < self.taste.film_nights * 2:
            yield from self.film_night(day, time(15, 0))
        if not is_weekend and self.dice.random() < self.taste.evenings:
            yield from self.watch(day, time(17, 20), self.dice.choice((1, 2, 2, 3)))

    def moment(self, day: date, around: time) -> datetime:
        begins = datetime.combine(day, around, tzinfo=self.now.tzinfo)
        return begins + timedelta(minutes=self.dice.randint(0, 45), seconds=self.dice.randint(0, 59))

    def watch(self, day: date, around: time, count: int) -> Iterator[Sitting]:
        """A run of episodes of one show, one after the other; who falls asleep sees the rest another day."""
        at, run = self.moment(day, around), self.next_run(day)
        for episode in itertools.islice(run, count):
            show, share = SHOW_BY_TITLE[str(episode.show)], 0.42 if self.dice.random() < 0.015 else 0.98
            sitting = Sitting(
                person=self.taste.name, item=episode, began=at, minutes=show.minutes, share=share
            )
            yield sitting
            if not sitting.is_watched:
                self.bookmarks[show.title] -= 1
                return
            at = sitting.end + timedelta(seconds=self.dice.randint(15, 200))

    def next_run(self, day: date) -> Iterator[Episode]:
        """The next episodes of a show that the person is watching at that time, or of an old friend."""
        passed = 1 - (self.now.date() - day).days / DAYS
        place = min(int(passed * len(self.taste.shows)), len(self.taste.shows) - 1)
        nearby = [place, place - 1, place + 1, place - 2]
        self.dice.shuffle(nearby)
        shows = [self.taste.shows[one] for one in nearby if 0 <= one < len(self.taste.shows)]
        if self.taste.comfort is not None and self.dice.random() < COMFORT:
            shows.insert(0, self.taste.comfort)
        for show in shows:
            for episode in iter(partial(self.next_episode, show, day), None):
                assert episode is not None
                yield episode

    def next_episode(self, show: DemoShow, day: date) -> Episode | None:
        """The next episode that is on air by then; what is loved, or a child's, begins anew at its end."""
        place = self.bookmarks.get(show.title, 0)
        episodes = show.episodes
        if place == len(episodes) and (show is self.taste.comfort or self.taste.is_child):
            place = 0
        last = self.taste.pauses.get(show.title, len(episodes))
        if place >= last or show.air_day(episodes[place], self.now.date()) >= day:
            return None
        self.bookmarks[show.title] = place + 1
        return episodes[place]

    def film_night(self, day: date, around: time) -> Iterator[Sitting]:
        if not self.films:
            self.films = self.dice.sample(self.taste.films, len(self.taste.films))
        film = self.films.pop()
        share = 0.37 if self.dice.random() < 0.04 else 0.97
        began = self.moment(day, around)
        yield Sitting(person=self.taste.name, item=film.item, began=began, minutes=film.minutes, share=share)

    def listen(self, day: date) -> Iterator[Sitting]:
        """An album on the way to work."""
        if self.dice.random() >= self.taste.music:
            return
        at = self.moment(day, time(7, 35))
        for track in self.dice.choice(ALBUMS).items():
            yield Sitting(person=self.taste.name, item=track, began=at, minutes=TRACK_MINUTES, share=0.99)
            at += timedelta(minutes=TRACK_MINUTES)


def make_sittings(now: datetime, seed: int = SEED) -> list[Sitting]:
    """All that the three of them watched until now, the oldest first; `now` brings the household's time zone."""
    sittings = [
        sitting
        for number, taste in enumerate(TASTES)
        for sitting in Diary(taste, random.Random(seed + number), now).days()  # noqa: S311 - a story, no secret
    ]
    return sorted([*sittings, *special_sittings(now)], key=lambda one: (one.began, one.person))


def special_sittings(now: datetime) -> Iterator[Sitting]:
    """The viewings that the demo has a story about."""
    down = outage_began(now)
    show = SHOW_BY_TITLE["Kestrel & Daughters"]
    began = down - timedelta(minutes=show.minutes - 2)
    yield Sitting(person=MIRA.name, item=show.episode(1, 1), began=began, minutes=show.minutes)
    yield Sitting(
        person=MIRA.name, item=UNMATCHED_FILM.item, began=down - timedelta(days=2, hours=-6),
        minutes=UNMATCHED_FILM.minutes, share=0.97,
    )  # fmt: skip


def outage_began(now: datetime) -> datetime:
    """The latest time of the outage that is at least an hour and a half ago."""
    today = datetime.combine(now.date(), OUTAGE, tzinfo=now.tzinfo)
    return today if now - today > timedelta(minutes=90) else today - timedelta(days=1)
