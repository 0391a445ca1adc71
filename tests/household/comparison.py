"""The comparison: every person's plays beside the truth, item by item, count and date."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from tests.household.catalogue import PLEX, TITLES, Kind, Title
from tests.household.determined import Counted, Course, Expectation, Expected, expect
from tests.household.house import TRACKER_OF, Outcome
from tests.household.senders import Message
from tests.household.story import EPOCH, Story, moment
from tests.household.truth import Diary
from webhook.clock import stamp

Play = Mapping[str, Any]
NOTHING = Expectation([], [Course()])
KINDS = {Kind.FILM: "movie", Kind.EPISODE: "episode", Kind.TRACK: "track"}


@dataclass(frozen=True)
class Fault:
    """Something that is not as it was: whose, of what, what is wrong, what is right and what was counted."""

    person: str
    title: str
    what: str
    right: str
    counted: str

    def is_like(self, other: Fault) -> bool:
        """Whether the same is wrong: a story cut too far may be wrong in another way."""
        kinds = {one.what.lstrip("0123456789 ") for one in (self, other)}
        return (self.person, self.title) == (other.person, other.title) and len(kinds) == 1

    def __str__(self) -> str:
        return f"{self.person}, {self.title}: {self.what}\n    right:   {self.right}\n    counted: {self.counted}"


def compare(story: Story, messages: Sequence[Message], outcome: Outcome) -> list[Fault]:
    """Everything that is wrong."""
    diary = Diary(story.acts)
    of_title = group_messages(messages)
    plays, strange = group_plays(outcome.plays)
    faults = list(strange)
    faults += [
        Fault("nobody", "", f"{count} webhooks are {state}", "", "")
        for state, count in outcome.states.items() if state not in ("interpreted", "ignored")
    ]  # fmt: skip
    for (person, title, _), known in plays.items():
        faults += tell_faults(person, title, known, outcome.deliveries)
    for (person, title), viewings in diary.viewings.items():
        for number in title.numbers:
            part = number if title.last else None
            right = expect(viewings, of_title[person, title], part)
            faults += judge(person, title, right, plays.pop((person, title, number), []))
    for (person, title, _), extra in plays.items():
        if watched(extra):
            faults.append(fault(person, title, "was never played by this person", NOTHING, extra))
    return faults


def compare_exactly(story: Story, outcome: Outcome) -> list[Fault]:
    """Every title of which another number of viewings counts than there were, whatever was said of them.

    Left out is what no server can say: of a file that holds two episodes Plex names the first alone, and a mark of
    ours that a server did not count shows nowhere when it is taken back there.
    """
    diary = Diary(story.acts)
    plays, _ = group_plays(outcome.plays)
    faults = []
    for (person, title), viewings in diary.viewings.items():
        on_plex = any(act.server == PLEX for viewing in viewings for act in viewing.acts)
        taken_back = any(viewing.taken_back_at is not None for viewing in viewings)
        for number in [] if taken_back else title.numbers[:1] if on_plex else title.numbers:
            found, right = plays.get((person, title, number), []), diary.counted(person, title)
            if len(watched(found)) != right:
                faults.append(fault(person, title, f"{right} in truth", NOTHING, found))
    return faults


def judge(person: str, title: Title, right: Expectation, found: Sequence[Play]) -> Iterator[Fault]:
    counted = watched(found)
    if not any(matches(course.counted, counted) for course in right.courses):
        yield fault(person, title, complaint(right, counted), right, found)
    if any(play["state"] == "playing" for play in found):
        yield fault(person, title, "is still playing", right, found)


def matches(right: Sequence[Counted], counted: Sequence[Play]) -> bool:
    """Whether each play is a viewing of its own at its date, and no viewing is left."""
    if len(right) != len(counted):
        return False
    if not right:
        return True
    first, *others = right
    return any(
        fits(first, play) and matches(others, [other for other in counted if other is not play])
        for play in counted
    )


def fits(right: Counted, play: Play) -> bool:
    if not right.dates.exact and play["dated"] != "exact":
        return True
    return right.allows((at(play["watched_at"]) - EPOCH).total_seconds())


def complaint(right: Expectation, counted: Sequence[Play]) -> str:
    if len(counted) < right.least:
        return f"{right.least - len(counted)} lost"
    if len(counted) > right.most:
        return f"{len(counted) - right.most} too many"
    return "wrong date"


def watched(plays: Sequence[Play]) -> list[Play]:
    return [play for play in plays if play["watched_at"] and not play["unwatched_at"]]


def fault(person: str, title: Title, what: str, right: Expectation, found: Sequence[Play]) -> Fault:
    told = "; ".join(map(tell, right.viewings)) or "nothing"
    counted = ", ".join(f"{play['watched_at']} ({play['state']})" for play in watched(found)) or "nothing"
    return Fault(person, title.name, what, told, counted)


def tell(right: Expected) -> str:
    return f"{right.must} {moment(int(right.dates.earliest))} to {moment(int(right.dates.latest))}"


def at(written: str) -> datetime:
    return datetime.fromisoformat(written)


# --- what the trackers are told

UNTOLD = ("superseded", "skipped")


def tell_faults(
    person: str, title: Title, plays: Sequence[Play], deliveries: Sequence[RowMapping]
) -> Iterator[Fault]:
    """What is wrong with what the person's tracker is told of these plays: one mark for each that counts."""
    for play in plays:
        mine = [
            entry for entry in deliveries if entry["play_id"] == play["id"] and entry["state"] not in UNTOLD
        ]
        if complaint := wrong_delivery(play, mine):
            right = f"watched {play['watched_at']}, unwatched {play['unwatched_at']}"
            told = "; ".join(f"{entry['action']} {entry['state']} {entry['happened_at']}" for entry in mine)
            yield Fault(person, title.name, f"{TRACKER_OF[person]} {complaint}", right, told)


def wrong_delivery(play: Play, told: Sequence[RowMapping]) -> str | None:
    marks = [entry for entry in told if entry["mark"]]
    undone = [entry for entry in told if entry["action"] == "unwatched"]
    if any(entry["state"] == "dead" for entry in told):
        return "has a delivery that is dead"
    if play["unwatched_at"] is not None:
        return None if len(marks) == len(undone) < 2 else "is told no end of a mark that was taken back"
    if len(marks) != (play["watched_at"] is not None) or undone:
        return f"is told {len(marks)} marks and {len(undone)} taken back"
    if marks and stamp(marks[0]["happened_at"]) != play["watched_at"]:
        return "is told another date"
    return None


# --- what belongs together


def group_messages(messages: Sequence[Message]) -> dict[tuple[str, Title], list[Message]]:
    found: dict[tuple[str, Title], list[Message]] = defaultdict(list)
    for message in messages:
        for person in message.act.people:
            found[person, message.title].append(message)
    return found


def group_plays(plays: Sequence[Play]) -> tuple[dict[tuple[str, Title, int], list[Play]], list[Fault]]:
    """The plays by person, title and episode number; and those that are of no title, or of two at once."""
    found: dict[tuple[str, Title, int], list[Play]] = defaultdict(list)
    strange = []
    for play in plays:
        titles = [title for title in TITLES.values() if is_of(play, title)]
        if len(titles) != 1:
            told = f"{play['title']} {play['show']} {play['ids']} {play['show_ids']}"
            strange.append(Fault(play["person"], told, f"is of {len(titles)} titles", "of one", ""))
            continue
        number = play["number"] if play["kind"] == "episode" else titles[0].numbers[0]
        found[play["person"], titles[0], number].append(play)
    return found, strange


def is_of(play: Play, title: Title) -> bool:
    """Whether the play is of this title, and holds no id of another."""
    if play["kind"] != KINDS[title.kind]:
        return False
    if title.show is None:
        same = play["title"] == title.title and play["year"] in (None, title.year)
        return same and agrees(play["ids"], title.ids)
    same = (play["show"], play["season"]) == (title.show.name, title.season)
    named = play["title"] in (None, title.title) and play["number"] in title.numbers
    return same and named and agrees(play["ids"], title.ids) and agrees(play["show_ids"], title.show.ids)


def agrees(told: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    return all(value == right[space] for space, value in told.items() if space in right)
