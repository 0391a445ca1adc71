"""Rows of the history page: plays by day, runs of one show as one row, and what is unusual about each play."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from itertools import groupby
from typing import NamedTuple

from webhook.domain.event import Kind
from webhook.domain.play import Dated, State
from webhook.domain.states import DeliveryState
from webhook.queries.plays import PlayJson, UnsentMark
from webhook.texts import texts
from webhook.web.http.language import format_date, format_number, gettext, translate
from webhook.web.http.templating import label

UNSENT_TONES: Mapping[str, str] = {
    DeliveryState.WAITING: "wait",
    DeliveryState.DEAD: "bad",
    DeliveryState.UNMATCHED: "warn",
    DeliveryState.PARKED: "warn",
}
UNSENT_WORDS: Mapping[str, str] = texts(
    {
        DeliveryState.WAITING: "waiting for %(trackers)s",
        DeliveryState.DEAD: "failed at %(trackers)s",
        DeliveryState.UNMATCHED: "no match at %(trackers)s",
        DeliveryState.PARKED: "%(trackers)s needs you",
    }
)
LEFT_OUT = texts("not sent to %(trackers)s")
PROGRESS_WORDS: Mapping[str, str] = texts(
    {
        State.PLAYING: "playing at %(percent)s %%",
        State.PAUSED: "paused at %(percent)s %%",
        State.STOPPED: "stopped at %(percent)s %%",
    }
)


class Mark(NamedTuple):
    """Something unusual about a play, with the tone of its colour."""

    tone: str
    words: str


@dataclass(frozen=True, slots=True)
class PlayEntry:
    """A play with its marks; a normal one has none."""

    play: PlayJson
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive plays of one show, or of one artist, within a day; the newest first, often a single one."""

    entries: Sequence[PlayEntry]

    @property
    def newest(self) -> PlayJson:
        return self.entries[0].play

    @property
    def oldest(self) -> PlayJson:
        return self.entries[-1].play

    @property
    def name(self) -> str | None:
        return self.newest["show"] or self.newest["artist"]

    @property
    def count(self) -> str:
        number = len(self.entries)
        if self.newest["kind"] == Kind.EPISODE:
            return gettext("%(number)s episodes", number=format_number(number))
        return gettext("%(number)s tracks", number=format_number(number))

    @property
    def places(self) -> str:
        """The first and the last episode: S1 E2 – S2 E1, or S1 E2–E5 within a season."""
        first, last = self.oldest, self.newest
        if None in (first["season"], first["number"], last["season"], last["number"]):
            return ""
        begins = f"S{first['season']} E{first['number']}"
        if first["season"] == last["season"]:
            return f"{begins}\N{EN DASH}E{last['number']}"
        return f"{begins} \N{EN DASH} S{last['season']} E{last['number']}"

    @property
    def marks(self) -> list[Mark]:
        """The marks of its plays, counted where only some have them."""
        counts = Counter(mark for entry in self.entries for mark in entry.marks)
        whole = len(self.entries)
        return [
            mark if number == whole else mark._replace(words=f"{number} {mark.words}")
            for mark, number in counts.items()
        ]


@dataclass(frozen=True, slots=True)
class Day:
    """A day with its runs; `short` is its name above a tile."""

    name: str
    short: str
    runs: Sequence[Run]

    @property
    def entries(self) -> list[PlayEntry]:
        return [entry for run in self.runs for entry in run.entries]


def by_day(entries: Iterable[PlayEntry], zone: tzinfo, today: date) -> list[Day]:
    """Plays grouped by the day they began, in the person's time zone, and by their show."""
    return [
        Day(
            day_name(day, today),
            day_name(day, today, "%a", "%b"),
            [Run(list(run)) for _, run in groupby(plays, key=run_key)],
        )
        for day, plays in groupby(entries, key=lambda entry: day_of_play(entry.play, zone))
    ]


def day_of_play(play: PlayJson, zone: tzinfo) -> date:
    at = play["watched_at"] or play["started_at"] or ""
    return datetime.fromisoformat(at).astimezone(zone).date()


def run_key(entry: PlayEntry) -> tuple[str, object]:
    """What the plays of a run have in common; the number of the play where it stands alone."""
    play = entry.play
    if play["kind"] == Kind.EPISODE and play["show"]:
        return play["kind"], play["picture"] or play["show"]
    if play["kind"] == Kind.TRACK and play["artist"]:
        return play["kind"], play["artist"]
    return play["kind"], play["id"]


def day_name(day: date, today: date, weekday: str = "%A", month: str = "%B") -> str:
    """A day as a heading: Today, Yesterday, Thursday 26 November, with its year where that is another."""
    if day == today:
        return gettext("today").capitalize()
    if day == today - timedelta(days=1):
        return gettext("yesterday").capitalize()
    return format_date(day, f"{weekday} %-d {month}" + ("" if day.year == today.year else " %Y"))


# --- marks


def with_marks(
    plays: Iterable[PlayJson], rewatches: set[int], unsent: Mapping[int, Sequence[UnsentMark]]
) -> list[PlayEntry]:
    return [
        PlayEntry(
            play,
            [
                *progress_marks(play),
                *origin_marks(play, rewatches),
                *unsent_words(unsent.get(play["id"], ())),
            ],
        )
        for play in plays
    ]


def progress_marks(play: PlayJson) -> Iterable[Mark]:
    if play["unwatched_at"]:
        yield Mark("quiet", gettext("marked unwatched"))
    elif play["watched_at"] is None:
        tone = "quiet" if play["state"] == State.STOPPED else "good"
        if play["progress"] is None:
            yield Mark(tone, translate(play["state"]))
        else:
            yield Mark(tone, gettext(PROGRESS_WORDS[play["state"]], percent=round(play["progress"])))


def origin_marks(play: PlayJson, rewatches: set[int]) -> Iterable[Mark]:
    if play["dated"] == Dated.TICKED:
        yield Mark("quiet", gettext("date unknown"))
    if play["manual"]:
        yield Mark("quiet", gettext("by hand"))
    if play["id"] in rewatches:
        yield Mark("quiet", gettext("rewatched"))


def unsent_words(marks: Iterable[UnsentMark]) -> Iterable[Mark]:
    """One mark for each state, with the trackers it is about."""
    named: dict[tuple[str, str], list[str]] = {}
    for mark in marks:
        tone, words = UNSENT_TONES.get(mark.state, "quiet"), UNSENT_WORDS.get(mark.state, LEFT_OUT)
        named.setdefault((tone, words), []).append(label(mark.tracker))
    for (tone, words), trackers in named.items():
        yield Mark(tone, gettext(words, trackers=gettext(" and ").join(dict.fromkeys(trackers))))
