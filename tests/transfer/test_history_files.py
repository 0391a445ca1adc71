"""History files of other services: each is known by its content, and the same or a longer copy adds what is new alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from tests.transfer import (
    test_letterboxd_import,
    test_movary_import,
    test_myanimelist_import,
    test_plexaccount_import,
    test_ryot_import,
    test_scrob_import,
    test_serializd_import,
    test_trakt_import,
    test_yamtrack_import,
)
from tests.transfer._reading import loose, packed
from tests.transfer.test_bringing import Home
from webhook.clock import now
from webhook.storage.db import Database
from webhook.transfer import import_feeds, import_job, imports
from webhook.transfer.import_counts import Counts
from webhook.transfer.import_feeds import FileFeed

Files = Mapping[str, str | bytes]

TRAKT = {"history.json": json.dumps(test_trakt_import.HISTORY)}
FOUNDING = {
    "mine.csv": "Date,Letterboxd URI,Name,Year,Directors,Rating,Rewatch,Tags,Watched Date\n"
    "2024-04-15,,Tidal,1974,Ada Low,4.5,No,sea,2024-04-14\n"
}

FILES: dict[str, tuple[str, Files]] = {
    "movary": ("movary", test_movary_import.EXPORT),
    "yamtrack": ("yamtrack", test_yamtrack_import.EXPORT),
    "ryot": ("ryot", test_ryot_import.EXPORT),
    "scrob": ("scrob trakt", test_scrob_import.EXPORT),
    "myanimelist": ("myanimelist", test_myanimelist_import.EXPORT),
    "serializd": ("serializd", test_serializd_import.EXPORT),
    "plexaccount": ("plexaccount", test_plexaccount_import.EXPORT),
    "letterboxd": ("letterboxd", test_letterboxd_import.EXPORT),
    "letterboxd, the founding document's": ("letterboxd", FOUNDING),
    "letterboxd, for its importer": ("letterboxd", {"a.csv": test_letterboxd_import.UPLOAD}),
    "trakt": ("trakt", TRAKT),
}


def written(folder: Path, files: Files) -> Path:
    return loose(folder, files) if len(files) == 1 else packed(folder, files)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    kinds, files = FILES[name]
    path = written(tmp_path, files)

    own = [kind for kind in imports.modules() if kind != "csv"]  # which reads whatever has familiar columns
    assert [kind for kind in own if import_feeds.reads(kind, path)] == kinds.split()


LONGER: dict[str, tuple[Files, Files, int]] = {
    "movary": (
        {"a.csv": test_movary_import.HISTORY},
        {"a.csv": test_movary_import.HISTORY + "Tidal,1974,7001,tt7000001,2024-11-20,,\nSolo,,7009,,,,\n"},
        2,
    ),
    "yamtrack": (
        test_yamtrack_import.EXPORT,
        {
            "a.csv": test_yamtrack_import.csv(
                [
                    *test_yamtrack_import.ROWS,
                    "8001,tmdb,episode,Long Winter,,2,6,,,,,2024-11-22,,",
                    "8002,tmdb,movie,Tidal,,,,,1,Completed,,2024-10-02,,",
                ]
            )
        },
        2,
    ),
    "ryot": (
        test_ryot_import.EXPORT,
        test_ryot_import.export(
            test_ryot_import.item(
                "show", "8001", "Long Winter",
                *test_ryot_import.SHOW["seen_history"], test_ryot_import.episode(7), test_ryot_import.episode(6, None),
            ),
            test_ryot_import.FILM,
        ),
        2,
    ),
    "scrob": (
        {"watched-history-1.json": json.dumps(test_scrob_import.HISTORY), "b.json": "[]"},
        {
            "watched-history-1.json": json.dumps(
                [
                    test_scrob_import.row(16, None, movie=test_scrob_import.MOVIE),
                    test_scrob_import.row(15, "2024-12-01T20:00:00Z", movie=test_scrob_import.MOVIE),
                    *test_scrob_import.HISTORY,
                ]
            ),
            "b.json": "[]",
        },
        2,
    ),
    "myanimelist": (
        test_myanimelist_import.EXPORT,
        test_myanimelist_import.exported(test_myanimelist_import.anime(my_times_watched="1")),
        3,
    ),
    "serializd": (
        test_serializd_import.EXPORT,
        test_serializd_import.zipped(
            *(test_serializd_import.row(number) for number in (5, 6, 7)),
            test_serializd_import.row(11, backdate="2024-12-01T20:00:00Z"),
            show=test_serializd_import.SHOW,
        ),
        1,
    ),
    "plexaccount": (
        test_plexaccount_import.EXPORT,
        {"a.json": json.dumps([test_plexaccount_import.episode("b1", 6), *test_plexaccount_import.NODES])},
        1,
    ),
    "letterboxd": (
        {"a.csv": test_letterboxd_import.UPLOAD},
        {"a.csv": test_letterboxd_import.UPLOAD + "8002,,,,2024-09-14,,true,\n"},
        1,
    ),
}  # fmt: skip
"""Of each format a file, a later copy of it, and how many plays that adds."""


@pytest.mark.parametrize("kind", LONGER)
def test_the_same_file_adds_nothing_and_a_longer_one_what_is_new(
    database: Database, tmp_path: Path, kind: str
) -> None:
    home = Home(database)
    first, later, more = LONGER[kind]

    def bring(files: Files) -> Counts:
        async def run() -> Counts:
            feed = await FileFeed.open(kind, written(tmp_path, files))
            return (await import_job.run(database, home.me, feed)).counts

        return asyncio.run(run())

    whole = bring(first)
    listed = whole.added + whole.known

    assert whole.added == len(home.plays()) > 0
    assert (bring(first).added, len(home.plays())) == (0, listed)
    with time_machine.travel(now() + timedelta(hours=1)):
        assert bring(later).added == more
    assert (bring(later).added, len(home.plays())) == (0, listed + more)
