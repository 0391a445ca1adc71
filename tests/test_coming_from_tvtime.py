"""“I come from TV Time”: its export becomes a history, and that an MDBList account and a Jellyfin, in one sitting.

The commands are those of docs/coming-from-tvtime.md, in their order; at the end each place is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import func, select

from tests.fakes._server import Server
from tests.fakes._world import Film, Part, Series, World
from tests.fakes.jellyfin import Jellyfin
from tests.fakes.mdblist import MDBList
from tests.fakes.tmdb import Tmdb
from tests.test_cli import Home, soon
from tests.test_cli import home as home_of_commands
from tests.transfer.exports_of_tvtime import OLDER, RECORDS, film, marked, series, table, zipped
from webhook.storage.tables import unresolved

pytestmark = pytest.mark.e2e

home = home_of_commands

PARTS = 12
BAD: dict[str, Any] = {"s_id": 81189, "series_name": "Breaking Bad", "s_no": 1}
TIDE: dict[str, Any] = {"s_id": 88, "series_name": "Tidewater", "s_no": 1}
FIRST, AGAIN_AT = datetime(2021, 3, 1, 20, tzinfo=UTC), datetime(2023, 3, 1, 20, tzinfo=UTC)
PILOT = "5001" * 8
AGAIN = {"key": "rewatch-episode-s81189-e349232"}


def exported(folder: Path) -> Path:
    """TV Time's own zip: 15 dated marks of episodes, one of them a rewatch, and two films without any id."""
    marks = [
        marked(349232, "2021-03-01 20:00:00", **BAD, ep_no=1),
        marked(349232, "2023-03-01 20:00:00", **{**BAD, **AGAIN}, ep_no=1),
        marked(349233, "2021-03-02 20:00:00", **BAD, ep_no=2),
        *(
            marked(100_000 + number, f"2022-05-{number:02} 21:30:00", **TIDE, ep_no=number)
            for number in range(1, PARTS + 1)
        ),
    ]
    films = [
        film("watch", "u1", "TRON: Legacy", watch_date="1612476697", release_date="2010-12-17 00:00:00"),
        film("watch", "u2", "Nobody Knows It", watch_date="1622476697", release_date="1980-01-01 00:00:00"),
    ]
    files = {
        "tracking-prod-records-v2.csv": table(RECORDS, series(81189, "Breaking Bad"), *marks),
        "tracking-prod-records.csv": table(OLDER, *films),
        "access_token.csv": "token\nnot to be opened\n",
    }
    return zipped(folder / "gdpr.zip", files)


def world() -> World:
    """What TMDB knows: MDBList takes shows and films by these ids alone."""
    pilots = (
        Part(season=1, number=number, ids={"tmdb": 62084 + number, "tvdb": 349231 + number})
        for number in (1, 2)
    )
    tides = (
        Part(season=1, number=n, ids={"tmdb": 9000 + n, "tvdb": 100_000 + n}) for n in range(1, PARTS + 1)
    )
    return World().add(
        Series(title="Breaking Bad", year=2008, ids={"tvdb": 81189, "tmdb": 1396}, parts=[*pilots]),
        Series(title="Tidewater", year=2014, ids={"tvdb": 88, "tmdb": 70_002}, parts=[*tides]),
        Film(title="TRON: Legacy", year=2010, ids={"tmdb": 20526, "imdb": "tt1104001"}),
    )  # fmt: skip


def stocked() -> Jellyfin:
    """A new Jellyfin, with the show, the film, and half of the other show; nothing there is watched."""
    fake = Jellyfin()
    fake.add_person()
    fake.stock({"Id": "f1" * 16, "Type": "Movie", "Name": "TRON: Legacy", "ProviderIds": {"Tmdb": "20526"}})
    for show, name, of, numbers in (
        ("50", "Breaking Bad", 81189, (1, 2)),
        ("60", "Tidewater", 88, range(1, 7)),
    ):
        fake.stock({"Id": show * 16, "Type": "Series", "Name": name, "ProviderIds": {"Tvdb": str(of)}})
        for number in numbers:
            tvdb = 349231 + number if of == 81189 else 100_000 + number
            fake.stock(
                {
                    "Id": f"{show}{number:02}" * 8, "Type": "Episode", "Name": f"Part {number}", "SeriesName": name,
                    "SeriesId": show * 16, "ParentIndexNumber": 1, "IndexNumber": number,
                    "ProviderIds": {"Tvdb": str(tvdb)},
                }
            )  # fmt: skip
    return fake


class Places(NamedTuple):
    mdblist: MDBList
    jellyfin: Jellyfin


@pytest.fixture
def places(home: Home) -> Iterator[Places]:
    with Server(MDBList()) as mdblist, Server(stocked()) as jellyfin, Server(Tmdb(world())) as tmdb:
        home.set(MDBLIST_API_URL=mdblist.url, PORT="0")
        home.set(TMDB_API_URL=f"{tmdb.url}/3", TMDB_TOKEN=tmdb.fake.switches.token)
        home.set(JELLYFIN_URL=jellyfin.url, JELLYFIN_API_KEY=jellyfin.fake.switches.key)
        yield Places(mdblist.fake, jellyfin.fake)


def test_from_tv_times_export_to_a_history_an_mdblist_and_a_jellyfin(home: Home, places: Places) -> None:
    export = str(exported(home.folder))

    would = home.json("import", "tvtime", export, "--dry-run")["counts"]
    did = home.json("import", "tvtime", export)["counts"]
    again = home.json("import", "tvtime", export)["counts"]
    home.json("connect", "mdblist", stdin=f"{places.mdblist.key('anna')}\n")
    home.json("connect", "jellyfin", "--person", "me", stdin="anna\nsecret\n")
    home.json("accounts", "tell", "jellyfin", "--on", "watched")

    with home.running("serve"):
        assert soon(lambda: looked_up(home)), home.json("unmatched")
        waits = home.json("unmatched")["imported"]
        preview = home.json("restore", "jellyfin", "--dry-run")["counts"]
        sent = home.json("backfill", "mdblist")["job"]["counts"]
        marked = home.json("restore", "jellyfin")["job"]["counts"]
        repeated = [
            home.json(*words)["job"]["counts"]["sent"]
            for words in (("backfill", "mdblist"), ("restore", "jellyfin"))
        ]

    assert would == did
    assert (did["added"], again["added"], again["known"]) == (17, 0, 17)
    assert [one["title"] for one in waits] == ["Nobody Knows It"]
    assert (sent["sent"], sent["done"], sent["unmatched"]) == (17, 16, 1)
    assert preview["sent"] == marked["sent"] == 16  # a rewatch is no second mark
    assert (marked["held"], marked["done"], marked["waiting"]) == (1, 9, 7)
    assert repeated == [0, 0]

    plays = places.mdblist.user("anna").plays
    assert len(plays) == 16
    assert {FIRST, AGAIN_AT} <= {play.at for play in plays}
    assert min(play.at for play in plays) == datetime.fromtimestamp(1612476697, UTC)
    watched = places.jellyfin.watched()
    assert len(watched) == 9
    assert str(watched[PILOT])[:10] == f"{AGAIN_AT:%F}"


def looked_up(home: Home) -> bool:
    wanted = select(func.count()).select_from(unresolved).where(unresolved.c.state == "waiting")
    return home.do(lambda connection: connection.execute(wanted).scalar_one()) == 0
