"""ViewingActivity.csv of Netflix's account download: one row for each sitting, of every profile, with times in UTC.

https://help.netflix.com/en/node/100624. Sittings of one title with less than six hours between them are one
viewing, dated at the end of the last one. Trailers and what played by itself are no viewings.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from webhook.texts import texts
from webhook.transfer.imports._archive import Bundle, Row
from webhook.transfer.imports._dates import NoDate, moment
from webhook.transfer.imports._fields import FIX
from webhook.transfer.records import Bad, LeftOut, Question, Undecided

PROFILE = "profile"
ONE_VIEWING = timedelta(hours=6)
"""The longest break within one viewing."""

SHORTEST = timedelta(minutes=2)
"""What got less far than this was only opened."""

NAMES = {
    "profile": ("Profile Name",),
    "start": ("Start Time", "Start Time (UTC)"),
    "duration": ("Duration", "Duration (H:MM:SS)"),
    "attributes": ("Attributes",),
    "title": ("Title",),
    "extra": ("Supplemental Video Type",),
    "bookmark": ("Bookmark",),
}
EXTRAS = ("_hook_", "_clip_", "clip:", "trailer:", "_backfill")
BY_ITSELF = re.compile(r"autoplayed:\s*user action:\s*none", re.IGNORECASE)
CLOCK = re.compile(r"(\d{1,3}):([0-5]\d):([0-5]\d)", re.ASCII)

SKIPPED = texts(
    {
        "extra": "Trailers, clips and recaps are no viewings.",
        "itself": "These started by themselves and nobody chose them.",
        "short": "These were only opened: less than two minutes of them were watched.",
        "profile": "They belong to another profile.",
    }
)


@dataclass(frozen=True, slots=True)
class Sitting:
    """One row: when it began and ended, and how far into the title it got."""

    started_at: datetime
    ended_at: datetime
    reached: timedelta


@dataclass(frozen=True, slots=True)
class Watching:
    """One viewing of a title: its sittings together."""

    title: str
    started_at: datetime
    ended_at: datetime
    reached: timedelta


def is_account_file(columns: Mapping[str, int] | tuple[str, ...]) -> bool:
    return "Title" in columns and any(name in columns for name in NAMES["start"])


def field_of(row: Row, name: str) -> str | None:
    return next((found for column in NAMES[name] if (found := row.get(column)) is not None), None)


def profile_question(bundle: Bundle, name: str) -> Question | None:
    """The question which profile is meant; None if the file has only one."""
    profiles = Counter(
        profile for row in bundle.rows(name) if isinstance(row, Row) and (profile := field_of(row, "profile"))
    )
    if len(profiles) < 2:
        return None
    choices = tuple((profile, profile) for profile, _ in profiles.most_common())
    return Question(
        name=PROFILE,
        text="Which profile is yours?",
        answer=bundle.options.get(PROFILE, ""),
        choices=choices,
        needed=True,
    )


def read_watchings(bundle: Bundle, name: str) -> Iterator[Watching | Bad | LeftOut]:
    """The viewings of the chosen profile, the oldest first; raises Undecided where it must be chosen first."""
    question = profile_question(bundle, name)
    if question is not None and question.is_open:
        raise Undecided(question)
    wanted = None if question is None else question.answer
    skipped: Counter[str] = Counter()
    sittings: dict[str, list[Sitting]] = defaultdict(list)
    for row in bundle.rows(name, required=("Title",)):
        if isinstance(row, Bad):
            yield row
        elif (why := reason_to_skip(row, wanted)) is not None:
            skipped[why] += 1
        elif (title := field_of(row, "title")) is None:
            yield Bad(file=name, line=row.line, why="it has no title", do=FIX)
        else:
            try:
                sittings[title].append(parse_sitting_row(row))
            except NoDate as error:
                yield Bad(file=name, line=row.line, why=str(error), do=FIX)
    found = [one for title, some in sittings.items() for one in join_sittings(title, some)]
    skipped["short"] = sum(one.reached < SHORTEST for one in found)
    yield from sorted(
        (one for one in found if one.reached >= SHORTEST), key=lambda one: (one.ended_at, one.title)
    )
    yield from (LeftOut(file=name, count=count, why=SKIPPED[why]) for why, count in skipped.items() if count)


def reason_to_skip(row: Row, wanted: str | None) -> str | None:
    """The key in SKIPPED of why a row is no viewing of this profile; None if it is one."""
    if wanted is not None and field_of(row, "profile") != wanted:
        return "profile"
    title = (field_of(row, "title") or "").casefold()
    if field_of(row, "extra") is not None or any(mark in title for mark in EXTRAS):
        return "extra"
    return "itself" if BY_ITSELF.search(field_of(row, "attributes") or "") else None


def parse_sitting_row(row: Row) -> Sitting:
    """The sitting of a row; raises NoDate."""
    text = field_of(row, "start")
    if text is None:
        raise NoDate("it has no start time")
    started, length = moment(text), read_clock(field_of(row, "duration")) or timedelta(0)
    reached = read_clock(field_of(row, "bookmark"))
    return Sitting(started, started + length, max(reached or length, length))


def read_clock(text: str | None) -> timedelta | None:
    """A length such as `0:43:26`; None for anything else."""
    found = CLOCK.fullmatch(text or "")
    return (
        None
        if found is None
        else timedelta(hours=int(found[1]), minutes=int(found[2]), seconds=int(found[3]))
    )


def join_sittings(title: str, sittings: list[Sitting]) -> Iterator[Watching]:
    """The viewings that sittings of one title make up."""
    sittings.sort(key=lambda one: (one.started_at, one.ended_at))
    first = sittings[0]
    current = Watching(title, first.started_at, first.ended_at, first.reached)
    for one in sittings[1:]:
        if one.started_at - current.ended_at < ONE_VIEWING or is_continued(current, one):
            ended, reached = max(current.ended_at, one.ended_at), max(current.reached, one.reached)
            current = Watching(title, current.started_at, ended, reached)
        else:
            yield current
            current = Watching(title, one.started_at, one.ended_at, one.reached)
    yield current


def is_continued(before: Watching, one: Sitting) -> bool:
    """True if a sitting begins where the one before it stopped, and so is no other viewing."""
    began_at = one.reached - (one.ended_at - one.started_at)
    return began_at >= before.reached - SHORTEST and one.reached > before.reached
