"""Watchmark's own format: what is written is read back as it was, and a broken line costs only itself."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transfer._reading import bad, library, plays, read, viewings
from webhook.domain.event import ITEMS, Episode, Ids, Item, Movie, Season, Show, Track
from webhook.domain.play import Dated, Play, State
from webhook.transfer.exports import Exported
from webhook.transfer.exports import watchmark as export
from webhook.transfer.imports import watchmark
from webhook.transfer.records import Entry, Kept, Relation, Unusable, Viewing

HEADER = '{"format":"watchmark","version":1}\n'
PLAY = (
    '{"play":{"item":{"kind":"movie","title":"Tidal"},"state":"stopped","started_at":"2024-11-20T22:30:00.123Z",'
    '"last_at":"2024-11-20T22:30:00.123Z","source":"plex","estimated":false,"manual":false,"dated":"exact"}}\n'
)
AT = datetime(2024, 11, 20, 22, 30, 0, 123000, tzinfo=UTC)

# --- any history


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NUMBERS = st.integers(0, 2**53)
SMALL = st.integers(0, 5000)
FLOATS = st.floats(0, 100)
TIMES = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
ALL_IDS = st.builds(
    Ids,
    **{name: optional(NUMBERS) for name in ("tvdb", "tmdb", "trakt", "simkl", "anidb", "mal")},
    **{name: optional(TEXTS) for name in ("imdb", "slug", "plex", "musicbrainz", "tvtime")},
)
TITLED = {"title": optional(TEXTS), "year": optional(SMALL), "ids": ALL_IDS}
SHOWN = {"show": optional(TEXTS), "season": optional(SMALL), "show_ids": ALL_IDS}
ITEM: st.SearchStrategy[Item] = st.one_of(
    st.builds(Movie, **TITLED),
    st.builds(Show, **TITLED),
    st.builds(Season, **TITLED, **SHOWN),
    st.builds(
        Episode, **TITLED, **SHOWN, number=optional(SMALL), numbering=st.sampled_from(["aired", "mapped"])
    ),
    st.builds(
        Track,
        **TITLED,
        number=optional(SMALL),
        **{name: optional(TEXTS) for name in ("artist", "album", "album_artist")},
    ),
)
PLAYS = st.builds(
    Play,
    item=ITEM,
    state=st.sampled_from(State),
    dated=st.sampled_from(Dated),
    source=TEXTS,
    estimated=st.booleans(),
    manual=st.booleans(),
    known_percent=optional(FLOATS),
    **dict.fromkeys(("started_at", "last_at"), TIMES),
    **{name: optional(TIMES) for name in ("position_at", "resumed_at", "watched_at", "unwatched_at")},
    **{name: optional(TEXTS) for name in ("server", "player", "player_id", "library")},
    **{name: optional(NUMBERS) for name in ("position_ms", "duration_ms")},
)
EXPORTED = st.builds(Exported, play=PLAYS, foreign_key=optional(TEXTS), rewatch=st.booleans())
LIBRARY = st.builds(
    Kept,
    relation=st.sampled_from(Relation),
    item=ITEM,
    at=optional(TIMES),
    value=optional(FLOATS),
    state=optional(TEXTS),
)


def written(entries: list[Exported], kept: list[Kept]) -> bytes:
    return b"".join(export.write(entries, kept))


def taken(content: bytes) -> list[Entry]:
    with tempfile.TemporaryDirectory() as folder:
        return read(watchmark, Path(folder), {"history.jsonl": content})


@given(st.lists(EXPORTED, max_size=5), st.lists(LIBRARY, max_size=3))
@settings(max_examples=80, deadline=None)
def test_any_history_comes_back_as_it_was_and_is_written_byte_for_byte_again(
    entries: list[Exported], kept: list[Kept]
) -> None:
    content = written(entries, kept)

    found = taken(content)

    assert bad(found) == []
    assert library(found) == kept
    assert viewings(found) == [
        Viewing(play=entry.play, foreign_key=entry.foreign_key, verbatim=True) for entry in entries
    ]
    again = [Exported(play=viewing.play, foreign_key=viewing.foreign_key) for viewing in viewings(found)]
    assert written(again, library(found)) == content


def test_the_strategies_above_know_every_kind_of_item() -> None:
    assert {type(item) for item in (Movie(), Show(), Season(), Episode(), Track())} == set(ITEMS.values())


# --- what is no whole export


def test_a_last_line_that_was_cut_off_is_told_and_the_rest_is_taken(tmp_path: Path) -> None:
    found = read(watchmark, tmp_path, {"history.jsonl": HEADER + PLAY + PLAY[:-40]})

    assert [play.item.title for play in plays(found)] == ["Tidal"]
    [broken] = bad(found)
    assert (broken.file, broken.line) == ("history.jsonl", 3)
    assert "cut off" in broken.why


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[]", "neither a play nor a library entry"),
        ('{"play":{"state":"stopped"}}', "neither a play nor a library entry"),
        (PLAY.replace('"movie"', '"game"'), "“game” is no kind of item"),
        (PLAY.replace('"movie"', '["movie"]'), "is no kind of item"),
        (PLAY.replace('"stopped"', '"gone"'), "state: Input should be"),
        (PLAY.replace('"Tidal"', "5"), "title: Input should be a valid string"),
        (
            PLAY.replace('22:30:00.123Z","last_at"', '22:30:00.123","last_at"'),
            "started_at names no time zone",
        ),
        (PLAY.replace('"source":"plex"', '"foreign_key":5'), "its foreign_key is no text"),
        ('{"kept":{"relation":"hates","item":{"kind":"movie"}}}', "relation: Input should be"),
    ],
)
def test_a_line_that_is_no_entry_costs_that_line(tmp_path: Path, line: str, why: str) -> None:
    found = read(watchmark, tmp_path, {"history.jsonl": f"{HEADER}{line.strip()}\n{PLAY}"})

    assert [play.started_at for play in plays(found)] == [AT]
    [broken] = bad(found)
    assert broken.line == 2
    assert why in broken.why
    assert broken.do


def test_what_a_later_version_adds_within_the_format_is_passed_over(tmp_path: Path) -> None:
    line = PLAY.replace('{"play":{', '{"play":{"mood":"calm",').replace('"kind":', '"colour":"grey","kind":')

    assert [play.item for play in plays(read(watchmark, tmp_path, {"a.jsonl": HEADER + line}))] == [
        Movie(title="Tidal")
    ]


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("", "its first line does not say so"),
        (PLAY, "its first line does not say so"),
        ("title,year\n", "its first line does not say so"),
        ('{"format":"other","version":1}\n', "its first line does not say so"),
        ('{"format":"watchmark","version":2}\n', "Update Watchmark"),
        ('{"format":"watchmark"}\n', "version None"),
    ],
)
def test_a_file_of_another_format_or_version_is_refused(tmp_path: Path, first: str, told: str) -> None:
    with pytest.raises(Unusable, match=told):
        read(watchmark, tmp_path, {"history.jsonl": first + "\n" + PLAY})


def test_an_export_may_come_in_a_zip_beside_other_files(tmp_path: Path) -> None:
    found = read(watchmark, tmp_path, {"notes.txt": "mine", "watchmark/history.jsonl": HEADER + PLAY})

    assert len(plays(found)) == 1


def test_two_exports_in_one_zip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="2 files that could be"):
        read(watchmark, tmp_path, {"a.jsonl": HEADER, "b.jsonl": HEADER})


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + (HEADER + PLAY).replace("\n", "\r\n").encode()

    assert len(plays(read(watchmark, tmp_path, {"history.jsonl": content}))) == 1


def test_times_in_another_zone_become_utc(tmp_path: Path) -> None:
    line = PLAY.replace("2024-11-20T22:30:00.123Z", "2024-11-21T00:30:00.123+02:00")

    [play] = plays(read(watchmark, tmp_path, {"history.jsonl": HEADER + line}))

    assert play.started_at == AT
    assert play.started_at.tzinfo is UTC
