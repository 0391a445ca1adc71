"""Import jobs: entries are merged in parts, each counted in the transaction that stores it.

A crash loses nothing: the import of a file resumes where it was, and even a restart from the beginning
duplicates nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy import Connection
from typing_extensions import TypedDict

from webhook import clock
from webhook.domain.event import item_to_json
from webhook.domain.json_shapes import ItemJson
from webhook.domain.outcome import Undelivered
from webhook.domain.play import Play
from webhook.lookups import Lookup
from webhook.queues import jobs
from webhook.storage.db import Database
from webhook.storage.json_fields import Count, Time
from webhook.transfer import merge
from webhook.transfer.import_counts import Counts, ImportCountsJson
from webhook.transfer.import_feeds import Feed, questions_of
from webhook.transfer.known_plays import Memory
from webhook.transfer.limits import NoRoom
from webhook.transfer.questions import is_open
from webhook.transfer.records import Bad, Entry, Kept, LeftOut, Question, Unusable, Viewing
from webhook.transfer.text_preview import FirstTitles, TriedTitlesJson, try_titles

log = structlog.get_logger()


SAMPLES = 10
"""The first plays of a file that are shown one by one."""

SHOWN = 50
"""The most bad rows that are listed one by one."""

LOOKED_THROUGH = 100_000
"""The entries after which a preview ends, since it keeps their keys in memory."""

MOST_BAD = 100_000
"""The number of bad rows above which a file is refused as the wrong kind."""


Progress = Callable[[float | None, Counts], None]
"""Receives the progress of an import, 0 to 1 or None if unknown, and its counts so far."""


class BadEntryJson(TypedDict):
    """A row of a file that cannot be read, and what to do about it."""

    file: str
    line: int | None
    why: str
    do: str


class LeftOutJson(TypedDict):
    """Entries of a file that are not imported."""

    file: str
    count: Count
    why: str


class ChoiceJson(TypedDict):
    value: str
    label: str


class QuestionJson(TypedDict):
    """A question about the file, with the answer that holds; one that is needed and has none stops the import."""

    name: str
    text: str
    answer: str
    choices: list[ChoiceJson]
    needed: bool


class SampleJson(TypedDict):
    """One of the first plays of a file, as it would be imported."""

    item: ItemJson
    watched_at: Time | None
    dated: str


class ReportJson(TypedDict):
    """The report as the API and `--json` give it, with the first of each kind of entry."""

    job: int | None
    counts: ImportCountsJson
    first: Time | None
    last: Time | None
    without_ids: list[ItemJson]
    bad: list[BadEntryJson]
    left_out: list[LeftOutJson]
    cancelled: bool
    whole: bool
    questions: list[QuestionJson]
    samples: list[SampleJson]
    titles: TriedTitlesJson | None


@dataclass(slots=True)
class Report:
    """The result of an import, or the expected result in a preview."""

    counts: Counts = field(default_factory=Counts)
    first: datetime | None = None
    last: datetime | None = None
    bad: list[Bad] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    without_ids: list[ItemJson] = field(default_factory=list)
    job_id: int | None = None
    cancelled: bool = False
    whole: bool = True
    """False if the preview ended early, after LOOKED_THROUGH entries."""
    questions: list[Question] = field(default_factory=list)
    samples: list[Play] = field(default_factory=list)
    first_titles: FirstTitles = field(default_factory=FirstTitles)
    titles: TriedTitlesJson | None = None

    def add(self, entries: list[Entry]) -> None:
        """Add entries to the report: the range of dates, bad rows, and items without ids. Raises Unusable."""
        for entry in entries:
            match entry:
                case Viewing(play=play):
                    self.first_titles.add(entry)
                    if len(self.samples) < SAMPLES:
                        self.samples.append(play)
                    at = play.watched_at or play.last_at
                    self.first = at if self.first is None else min(self.first, at)
                    self.last = at if self.last is None else max(self.last, at)
                    if is_open(play.item) and len(self.without_ids) < SHOWN:
                        self.without_ids.append(item_to_json(play.item))
                case Bad():
                    self.counts.bad += 1
                    if self.counts.bad > MOST_BAD:
                        raise Unusable(
                            f"More than {MOST_BAD:,} of its rows cannot be read: the rest was left. "
                            "Is it the right kind of file?"
                        )
                    if len(self.bad) < SHOWN:
                        self.bad.append(entry)
                case LeftOut(count=count):
                    self.counts.left_out += count
                    if len(self.left_out) < SHOWN:
                        self.left_out.append(entry)
                case Kept():
                    pass

    def to_json(self) -> ReportJson:
        return {
            "job": self.job_id,
            "counts": self.counts.to_json(),
            "first": clock.stamp(self.first),
            "last": clock.stamp(self.last),
            "without_ids": self.without_ids,
            "bad": [{"file": bad.file, "line": bad.line, "why": bad.why, "do": bad.do} for bad in self.bad],
            "left_out": [{"file": one.file, "count": one.count, "why": one.why} for one in self.left_out],
            "cancelled": self.cancelled,
            "whole": self.whole,
            "questions": [question_json(one) for one in self.questions],
            "samples": [sample_json(one) for one in self.samples],
            "titles": self.titles,
        }


def sample_json(play: Play) -> SampleJson:
    return {
        "item": item_to_json(play.item),
        "watched_at": clock.stamp(play.watched_at),
        "dated": play.dated.value,
    }


def question_json(question: Question) -> QuestionJson:
    choices: list[ChoiceJson] = [{"value": value, "label": label} for value, label in question.choices]
    return {
        "name": question.name,
        "text": question.text,
        "answer": question.answer,
        "choices": choices,
        "needed": question.needed,
    }


def allow_any_size() -> None:
    """Accept any size."""


def quiet(done: float | None, counts: Counts) -> None:
    """Ignore the progress."""


async def preview(
    database: Database,
    person_id: int,
    feed: Feed,
    progress: Progress = quiet,
    lookups: Sequence[Lookup] = (),
) -> Report:
    """Preview an import without writing anything, or ask what must be answered first; raises what the feed raises."""
    report, memory, seen = Report(questions=await questions_of(feed)), Memory(), 0
    if any(question.is_open for question in report.questions):
        return report
    async for part in feed.parts():
        report.add(part)
        seen += len(part)
        found = await database.read(partial(rehearse_part, person_id=person_id, part=part, memory=memory))
        report.counts = report.counts.plus(found)
        progress(feed.progress(), report.counts)
        if seen >= LOOKED_THROUGH:
            report.whole = False
            break
    report.titles = await try_titles(lookups, report.first_titles)
    return report


def rehearse_part(connection: Connection, person_id: int, part: list[Entry], memory: Memory) -> Counts:
    good = [entry for entry in part if isinstance(entry, Viewing | Kept)]
    return merge.rehearse(connection, person_id, good, memory)


async def run(
    database: Database,
    person_id: int,
    feed: Feed,
    *,
    job_id: int | None = None,
    progress: Progress = quiet,
    check: Callable[[], None] = allow_any_size,
) -> Report:
    """Import the feed into the person's history; parts before a failure are kept.

    An interrupted job of the same feed is resumed. `check` runs before each part and may raise NoRoom.
    """
    report = Report()
    running, skip, report.counts = await database.write(begin_imports, Begin(person_id, feed, job_id))
    report.job_id, done = running, 0
    try:
        async for part in feed.parts():
            fresh = part[max(skip - done, 0) :]
            done += len(part)
            if part and not fresh:
                continue
            await asyncio.to_thread(check)
            report.add(fresh)
            good = [entry for entry in fresh if isinstance(entry, Viewing | Kept)]
            counts = await database.write(steps, Step(person_id, running, good, done, report.counts))
            if counts is None:
                report.cancelled = True
                return report
            report.counts = counts
            progress(feed.progress(), counts)
    except (Unusable, Undelivered, NoRoom) as error:
        await database.write(ends, End(running, jobs.JobState.FAILED, str(error)))
        raise
    await database.write(ends, End(running, jobs.JobState.DONE))
    return report


# --- the job


@dataclass(frozen=True, slots=True)
class Begin:
    person_id: int
    feed: Feed
    job_id: int | None


def begin_imports(connection: Connection, waiting: list[Begin]) -> list[tuple[int, int, Counts]]:
    return [begin_import(connection, begin) for begin in waiting]


def begin_import(connection: Connection, begin: Begin) -> tuple[int, int, Counts]:
    """Begin or resume the feed's job: its id, the number of entries done, and the counts so far.

    A feed other than a file restarts from its beginning, since its list may have changed: entries added
    earlier stay counted, and are known when they come again.
    """
    feed, person_id = begin.feed, begin.person_id
    row = None
    if begin.job_id is not None:
        row = jobs.find_job(connection, begin.job_id)
    elif feed.digest is not None:
        same = {"what": feed.kind, "person_id": person_id, "digest": feed.digest}
        row = jobs.latest_job_in_progress(connection, jobs.JobKind.IMPORT, **same)
    if row is not None and feed.digest is None:
        return row.id, 0, replace(Counts(**row.counts), known=0, bad=0, left_out=0)
    if row is not None:
        return row.id, int(row.cursor or 0), Counts(**row.counts)
    now, kind = clock.now(), jobs.JobKind.IMPORT
    made = jobs.begin_job(
        connection, kind, feed.kind, now, person_id=person_id, name=feed.name, digest=feed.digest
    )
    return made, 0, Counts()


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a feed, and the number of entries done after it."""

    person_id: int
    job_id: int
    entries: list[Viewing | Kept]
    done: int
    before: Counts


def steps(connection: Connection, waiting: list[Step]) -> list[Counts | None]:
    return [one_step(connection, step) for step in waiting]


def one_step(connection: Connection, step: Step) -> Counts | None:
    """Merge one part; returns the total counts, or None if the import was cancelled."""
    now = clock.now()
    if not jobs.record_progress(connection, step.job_id, step.done, asdict(step.before), now):
        return None
    counts = step.before.plus(merge.merge_entries(connection, step.person_id, step.entries, now, step.job_id))
    jobs.record_progress(connection, step.job_id, step.done, asdict(counts), now)
    return counts


@dataclass(frozen=True, slots=True)
class End:
    job_id: int
    state: jobs.JobState
    error: str | None = None


def ends(connection: Connection, waiting: list[End]) -> list[None]:
    for end in waiting:
        jobs.finish_job(connection, end.job_id, clock.now(), end.state, end.error)
    return [None] * len(waiting)


# --- uploaded files, and imports that a person requested
