"""The commands: the list by hand, and the services that it is read from and sent to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes._server import Server
from tests.prepared import open_service
from tests.test_cli import Home
from tests.watchlist.keepers import PARASITE, TIDEWATER, TraktKeeper, many
from webhook.accounts import accounts
from webhook.people import people


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    return Home(tmp_path, monkeypatch)


@pytest.fixture
def trakt(home: Home) -> Iterator[TraktKeeper]:
    """Trakt on a socket, signed in to."""
    keeper = TraktKeeper()
    with Server(keeper.fake) as server:
        home.set(**keeper.settings(server.url))
        service = open_service(dict(os.environ))
        me = service.database.ask(lambda connection: people.find_person(connection, "me").id)
        signed_in = accounts.store_sign_in(
            service.database, service.seal, me, service.trackers["trakt"], keeper.sign_in(), "anna"
        )
        asyncio.run(finish(signed_in, service))
        service.database.close()
        yield keeper


async def finish(signed_in: object, service: object) -> None:
    await signed_in  # type: ignore[misc]
    await service.http.aclose()  # type: ignore[attr-defined]


def test_a_title_is_put_on_and_taken_off(home: Home) -> None:
    assert home.json("watchlist", "add", "Parasite", "--year", "2019", "--tmdb", "496243") == {"added": True}
    assert home.json("watchlist", "add", "--tmdb", "496243") == {"added": False}
    assert home.json("watchlist", "add", "Tidewater", "--show", "--tvdb", "77") == {"added": True}

    found = home.json("watchlist", "list")
    assert [one["title"] for one in found["items"]] == ["Tidewater", "Parasite"]
    assert "Parasite" in home.run("watchlist", "list").stdout
    assert home.run("watchlist", "remove", "movie:tmdb:496243").exit_code == 0
    assert home.run("watchlist", "remove", "movie:tmdb:496243").exit_code == 1

    assert [one["title"] for one in home.json("watchlist", "list")["items"]] == ["Tidewater"]


@pytest.mark.parametrize("words", [["Parasite"], [], ["--imdb", "nonsense"]])
def test_what_nothing_names_for_sure_is_refused(home: Home, words: list[str]) -> None:
    assert home.run("watchlist", "add", *words).exit_code == 2


def test_a_person_chooses_until_when_a_title_stays(home: Home) -> None:
    assert home.json("watchlist", "until", "begun") == {"until": "begun"}

    assert home.json("watchlist", "list")["until"] == "begun"


def test_the_lists_of_services_are_read_and_sent_what_they_lack(home: Home, trakt: TraktKeeper) -> None:
    trakt.put(PARASITE)
    home.json("watchlist", "add", "Saltmarsh", "--show", "--year", "2020", "--tvdb", "811890")

    (read,) = home.json("watchlist", "read")["services"]

    assert (read["added"], read["removed"], read["error"]) == (1, 0, None)
    assert "Trakt: 0 added, 0 removed." in home.run("watchlist", "read").stdout
    assert home.run("watchlist", "send", "trakt").exit_code == 1
    home.json("watchlist", "service", "trakt", "--send", "--no-read")
    assert home.json("watchlist", "send", "trakt") == {"tracker": "trakt", "sent": 1}
    (service,) = home.json("watchlist", "list")["services"]
    assert (service["sends"], service["reads"]) == (True, False)
    assert TIDEWATER.title == "Saltmarsh"


def test_what_is_suddenly_gone_waits_for_a_decision(home: Home, trakt: TraktKeeper) -> None:
    trakt.put(*many(20))
    home.json("watchlist", "read")
    trakt.take(*many(20))

    assert "20 titles gone there and held." in home.run("watchlist", "read").stdout
    assert "20 titles gone and held" in home.run("watchlist", "list").stdout
    assert home.json("watchlist", "held", "trakt", "--keep") == {"tracker": "trakt", "kept": 20}

    assert len(home.json("watchlist", "list")["items"]) == 20


def test_a_read_that_fails_is_said(home: Home, trakt: TraktKeeper) -> None:
    trakt.fake.faults.add("GET /sync/watchlist", status=503, times=-1)

    assert "Trakt: not read." in home.run("watchlist", "read").stdout


def test_without_a_service_there_is_nothing_to_read(home: Home) -> None:
    ended = home.run("watchlist", "read")

    assert ended.exit_code == 1
    assert "No service with a watchlist is connected" in ended.stderr
