"""What a mark makes of an entry, and the handle that is stored of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from webhook.domain.outcome import Unmatched
from webhook.trackers._progress_rules import (
    AnimeState,
    EntryChange,
    ListEntry,
    ListStatus,
    NothingToWrite,
    is_same,
    parse_change,
    parse_entry,
    plan_mark,
)

pytestmark = pytest.mark.unit

DAY = "20261122"


def state(entry: str, total: int | None = 25, *, finished: bool = True) -> AnimeState:
    return AnimeState(total=total, finished=finished, entry=parse_entry(entry))


@pytest.mark.parametrize(
    ("before", "number", "after"),
    [
        ("-", 5, "w5.0.20261122."),
        ("-", 25, "c25.0.20261122.20261122"),
        ("l0.0..", 1, "w1.0.20261122."),
        ("l0.0.20260101.", 1, "w1.0.20260101."),
        ("l7.0..", 5, "w7.0.20261122."),
        ("w4.0.20260101.", 5, "w5.0.20260101."),
        ("w4.0..", 5, "w5.0.."),
        ("p4.2..", 6, "w6.2.."),
        ("d4.0..", 5, "w5.0.."),
        ("w24.0.20260101.", 25, "c25.0.20260101.20261122"),
        ("r4.1.20250101.20250201", 9, "r9.1.20250101.20250201"),
        ("r24.1.20250101.20250201", 25, "c25.2.20250101.20250201"),
        ("c25.1.20250101.20250201", 1, "r1.1.20250101.20250201"),
    ],
)
def test_a_mark_raises_the_progress_and_keeps_what_is_there(before: str, number: int, after: str) -> None:
    assert plan_mark(state(before), number, DAY, again=True) == parse_entry(after)


@pytest.mark.parametrize(
    ("before", "number", "again"),
    [
        ("w10.0..", 3, False),
        ("w10.0..", 10, True),
        ("p10.0..", 9, False),
        ("d10.0..", 10, False),
        ("r10.3..", 10, True),
        ("c25.0..", 1, False),
        ("c25.0..", 25, True),
        ("c25.0..", 2, True),
    ],
)
def test_no_number_is_lowered_and_nothing_completed_is_opened(before: str, number: int, again: bool) -> None:
    with pytest.raises(NothingToWrite):
        plan_mark(state(before), number, DAY, again=again)


@pytest.mark.parametrize(("total", "finished"), [(None, False), (None, True), (25, False), (26, True)])
@pytest.mark.parametrize("before", ["-", "w24.0..", "r24.1.."])
def test_nothing_is_completed_that_has_more_episodes(before: str, total: int | None, finished: bool) -> None:
    made = plan_mark(state(before, total, finished=finished), 25, DAY, again=False)

    assert made.status is not ListStatus.COMPLETED
    assert made.progress == 25
    assert made.repeat == (1 if before.startswith("r") else 0)


def test_a_film_that_is_watched_again_counts_one_more() -> None:
    first = plan_mark(state("-", 1), 1, DAY, again=False)
    second = plan_mark(state("c1.0.20261122.20261122", 1), 1, "20261201", again=True)

    assert first == parse_entry("c1.0.20261122.20261122")
    assert second == parse_entry("c1.1.20261122.20261122")


@pytest.mark.parametrize("before", ["-", "w25.0..", "c25.0.."])
def test_a_number_beyond_the_last_is_not_cut_down(before: str) -> None:
    with pytest.raises(Unmatched, match="episode 26, and this anime has 25"):
        plan_mark(state(before), 26, DAY, again=True)


def test_a_day_that_nobody_knows_is_left_open() -> None:
    assert plan_mark(state("-"), 25, "", again=False) == parse_entry("c25.0..")


LONGEST = ListEntry(
    status=ListStatus.COMPLETED, progress=9999, repeat=999, started="20260101", completed="20261231"
)


@pytest.mark.parametrize("before", [None, LONGEST, replace(LONGEST, completed="20260000")])
def test_a_handle_says_all_that_an_undoing_needs(before: ListEntry | None) -> None:
    step = EntryChange(9_999_999, before, replace(LONGEST, status=ListStatus.REWATCHING))

    found = parse_change(step.handle)

    assert found is not None
    assert len(step.handle) <= 64
    assert (found.anime, found.before) == (9_999_999, before)
    assert is_same(found.after, step.after)


@pytest.mark.parametrize(
    "handle", [None, "", "9001", "a - w1.0", "1 - -", "1 - x1.0", "1 - w.0", "1 w1.0. w2.0", "1 - w1"]
)
def test_what_is_no_handle_of_ours_is_none(handle: str | None) -> None:
    assert parse_change(handle) is None


def test_days_that_a_service_fills_in_make_no_difference() -> None:
    entry = parse_entry("c25.0..")

    assert entry is not None
    assert is_same(entry, replace(entry, completed="20261122"))
    assert not is_same(entry, None)
    assert not is_same(entry, replace(entry, repeat=1))
