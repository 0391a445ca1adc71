"""What a media server or an account holds, brought in by the service: once, to its end, and only what is one's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from tests.fakes._server import Server
from tests.fakes.plex_server import PlexServer
from tests.running import Process, eventually, started
from tests.servers._adapters import put_plex
from tests.test_interpreter import NOW
from tests.transfer.test_backfilling import House, opened_house
from tests.transfer.test_bringing import EVENING, Home
from tests.transfer.test_importing import Listed, broken, in_parts, newest
from webhook import clock
from webhook.accounts import accounts
from webhook.domain.outcome import Retry
from webhook.people import identities
from webhook.queues import jobs
from webhook.storage.db import Database
from webhook.storage.tables import account, play
from webhook.transfer import import_feeds, import_job
from webhook.transfer.import_feeds import FileFeed
from webhook.transfer.import_queue import Imports
from webhook.transfer.sources import NoFeed, Offer, feeds

LONG_AGO = datetime(2020, 1, 1, 20, tzinfo=UTC)


@pytest.fixture
def home(database: Database) -> Home:
    return Home(database)


class Desk:
    """Imports of the service, worked by hand, of feeds that the test gives."""

    def __init__(self, home: Home, folder: Path, *given: Listed) -> None:
        self.home = home
        self.given = [*given]
        self.asked: list[tuple[int, str]] = []
        self.folder = folder
        self.imports = Imports(home.database, folder, self.feed)

    async def feed(self, person_id: int, name: str) -> Listed:
        self.asked.append((person_id, name))
        feed = self.given.pop(0)
        feed.digest = None
        return feed

    def ask(self, person_id: int | None = None) -> int:
        return asyncio.run(self.imports.ask(person_id or self.home.me, "trakt", "Trakt"))

    def run_once(self) -> bool:
        return asyncio.run(self.imports.run_once())

    def places(self) -> int:
        return len([*self.folder.iterdir()])


def test_what_is_asked_comes_in_as_a_job_and_leaves_no_place_behind(home: Home, tmp_path: Path) -> None:
    desk = Desk(home, tmp_path / "imports", Listed(in_parts(4, 2)))

    made = desk.ask()
    assert (newest(home)["state"], desk.places()) == ("running", 1)
    assert [desk.run_once(), desk.run_once()] == [True, False]

    done = newest(home)
    assert (done["id"], done["state"], done["what"], done["name"]) == (made, "done", "trakt", "Trakt")
    assert done["counts"]["added"] == len(home.plays()) == 4
    assert desk.asked == [(home.me, "trakt")]
    assert desk.places() == 0


def test_a_second_click_finds_the_one_under_way_and_another_person_has_their_own(
    home: Home, tmp_path: Path
) -> None:
    desk = Desk(home, tmp_path / "imports", *(Listed(in_parts(4, 2)) for _ in range(3)))

    first, second, other = desk.ask(), desk.ask(), desk.ask(home.other)
    assert (first == second, first == other) == (True, False)
    assert [desk.run_once(), desk.run_once(), desk.run_once()] == [True, True, False]
    assert (len(home.plays()), len(home.plays(home.other))) == (4, 4)

    again = desk.ask()
    assert desk.run_once()
    assert again != first
    assert newest(home)["counts"]["known"] == 4


def test_one_that_was_killed_begins_again_from_its_start(home: Home, tmp_path: Path) -> None:
    """The list has grown at its beginning meanwhile, so what a cursor would pass over is new."""
    first, grown = Listed(in_parts(6, 2)), Listed([in_parts(8, 2)[3], *in_parts(6, 2)])
    first.before[2] = broken(asyncio.CancelledError())
    desk = Desk(home, tmp_path / "imports", first)
    desk.ask()
    with pytest.raises(asyncio.CancelledError):
        desk.run_once()
    before = newest(home)

    other = Desk(home, tmp_path / "imports", grown)
    asyncio.run(other.imports.clear())
    assert other.run_once()

    after = newest(home)
    assert (before["state"], before["counts"]["added"]) == ("running", 4)
    assert (after["id"], after["state"]) == (before["id"], "done")
    assert (after["counts"]["added"], after["counts"]["known"]) == (8, 4)
    assert len(home.plays()) == 8


def test_one_of_a_command_or_of_another_process_is_left_alone(home: Home, tmp_path: Path) -> None:
    feed = Listed(in_parts(4, 2), digest=None)
    feed.before[1] = broken(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(import_job.run(home.database, home.me, feed))
    Desk(home, tmp_path / "there").ask()
    here = Desk(home, tmp_path / "here", Listed(in_parts(4, 2)))

    assert here.run_once() is False
    assert here.asked == []
    assert len(home.database.ask(jobs.list_jobs)) == 2


def test_one_that_is_cancelled_keeps_what_came_and_lets_the_next_go_on(home: Home, tmp_path: Path) -> None:
    feed = Listed([*in_parts(4, 2), [], in_parts(8, 2)[3]])
    desk = Desk(home, tmp_path / "imports", feed)
    made = desk.ask()

    def cancel() -> None:
        home.database.do(
            lambda connection: jobs.finish_job(connection, made, clock.now(), jobs.JobState.CANCELLED)
        )

    feed.before[2] = cancel
    assert [desk.run_once(), desk.run_once()] == [True, False]

    assert (newest(home)["state"], len(home.plays()), feed.passed) == ("cancelled", 4, 3)
    assert desk.places() == 0


@pytest.mark.parametrize("error", [Retry("Trakt is away"), NoFeed("Sign in again")])
def test_one_that_breaks_off_says_why_and_keeps_what_came(
    home: Home, tmp_path: Path, error: Exception
) -> None:
    feed = Listed(in_parts(4, 2))
    feed.before[1] = broken(error)
    desk = Desk(home, tmp_path / "imports", feed)
    desk.ask()

    assert [desk.run_once(), desk.run_once()] == [True, False]

    assert (newest(home)["state"], newest(home)["error"]) == ("failed", str(error))
    assert len(home.plays()) == 2
    assert desk.places() == 0


def test_one_that_cannot_even_begin_ends_with_the_sentence(home: Home, tmp_path: Path) -> None:
    async def refuses(person_id: int, name: str) -> import_feeds.Feed:
        raise NoFeed("me has no account at trakt.")

    async def asked() -> bool:
        imports = Imports(home.database, tmp_path / "imports", refuses)
        await imports.ask(home.me, "trakt", "Trakt")
        return await imports.run_once()

    assert asyncio.run(asked())
    assert (newest(home)["state"], newest(home)["error"]) == ("failed", "me has no account at trakt.")


# --- a tracker's account


@pytest.fixture
def house(url: str, tmp_path: Path) -> Iterator[House]:
    with opened_house(url, tmp_path) as opened:
        yield opened


def asked(house: House) -> jobs.JobJson:
    """Bring in what the Trakt account holds; the job."""
    house.run(house.service.imports.ask(house.me, "trakt", "Trakt"))
    house.run(house.service.imports.run_once())
    return house.database.ask(jobs.list_jobs)[0]


def test_after_the_export_file_of_an_account_the_account_has_nothing_new(
    house: House, tmp_path: Path
) -> None:
    house.hold({"episodes": [{"ids": {"tvdb": 100_001}, "watched_at": EVENING.isoformat()}]})
    (row,) = house.trakt.user("anna").history
    path = tmp_path / "watched-history-1.json"
    path.write_text(json.dumps([{"id": row["id"], "type": "episode", "action": "watch",
        "watched_at": EVENING.isoformat(), "show": {"title": "Tidewater", "ids": {"tvdb": 88}},
        "episode": {"season": 1, "number": 1, "title": "Part 1", "ids": {"tvdb": 100_001}}}]))  # fmt: skip

    async def filed() -> import_job.Report:
        return await import_job.run(house.database, house.me, await FileFeed.open("trakt", path))

    assert house.run(filed()).counts.added == 1
    done = asked(house)

    assert (done["state"], done["counts"]["added"], done["counts"]["known"]) == ("done", 0, 1)


def test_an_account_whose_sign_in_is_gone_says_where_to_sign_in_again(house: House) -> None:
    sign_out = update(account).where(account.c.id == house.account).values(tokens=None)
    house.database.do(lambda connection: connection.execute(sign_out))

    done = asked(house)

    assert done["state"] == "failed"
    assert "me is not signed in to Trakt any more. Sign in again: watchmark connect trakt --person me" in str(
        done["error"]
    )
    (offer,) = offers(house)
    assert offer.why_not == done["error"]


# --- what is offered


def offers(house: House) -> list[Offer]:
    return house.database.ask(lambda connection: feeds(house.service).offers(connection, house.me))


def refusal(house: House, name: str) -> str:
    with pytest.raises(NoFeed) as refused:
        house.database.ask(lambda connection: feeds(house.service).offer(connection, house.me, name))
    return str(refused.value)


def test_only_what_can_be_asked_is_offered_and_the_rest_is_refused_with_its_reason(house: House) -> None:
    assert [(offer.name, offer.known_as, offer.why_not) for offer in offers(house)] == [
        ("trakt", "anna", None)
    ]
    assert "is kept here already" in refusal(house, "tvtime")
    assert "Set PLEX_URL and PLEX_TOKEN" in refusal(house, "plex")
    assert refusal(house, "simkl").startswith("Simkl is not set up")
    assert "no tracker called betamax" in refusal(house, "betamax")
    house.database.do(lambda connection: accounts.drop_sign_in(connection, house.account, clock.now()))
    assert "me has no account at trakt" in refusal(house, "trakt")


def test_a_server_is_offered_to_who_claims_a_user_there(url: str, tmp_path: Path) -> None:
    settings = {"TAUTULLI_URL": "http://127.0.0.1:9", "TAUTULLI_API_KEY": "k"}
    with opened_house(
        url, tmp_path, PLEX_URL="http://127.0.0.1:9", PLEX_TOKEN="t", JELLYFIN_URL="http://127.0.0.1:9",
        JELLYFIN_API_KEY="k", **settings,
    ) as house:  # fmt: skip
        house.database.do(lambda connection: identities.claim_identities(connection, "me", "plex:Nora", NOW))

        named = {offer.name: (offer.known_as, offer.why_not is None) for offer in offers(house)}
        assert named == {
            "plex": ("Nora", True), "tautulli": ("Nora", True), "jellyfin": (None, False),
            "trakt": ("anna", True),
        }  # fmt: skip
        assert refusal(house, "jellyfin").startswith("None of Jellyfin's users is claimed")


# --- a media server, by a real process


def server_house(folder: Path, url: str, token: str) -> Process:
    process = Process(folder, PLEX_URL=url, PLEX_TOKEN=token)
    return process.prepare(
        lambda connection, service: identities.claim_identities(connection, "me", "plex:Nora", NOW)
    )


def over(process: Process, job_id: int) -> Callable[[], bool]:
    return lambda: process.api(f"/jobs/{job_id}")["state"] != "running"


def test_a_server_s_record_comes_in_once_through_kills_and_only_one_s_own(tmp_path: Path) -> None:
    with Server(PlexServer()) as server:
        for number in range(1, 1301):
            user = "Ben" if number % 13 == 0 else "Nora"
            put_plex(server.fake, user, number, LONG_AGO + number * timedelta(hours=3))
        server.fake.faults.add("GET /status/sessions", times=-1, delay=0.05)
        with started(server_house(tmp_path, server.url, server.fake.switches.token)) as process:
            job = process.api_post("/imports/from/plex")["job"]
            assert process.api_post("/imports/from/plex")["job"]["id"] == job["id"]
            eventually(lambda: counted(process, job["id"]) > 0, "a first part is in", 60)
            process.kill()
            assert 0 < brought(tmp_path) < 1200
            process.start()
            eventually(over(process, job["id"]), "it is over", 60)
            shown = process.api(f"/jobs/{job['id']}")
            listed = process.api("/jobs")["items"]
            eventually(lambda: not [*(tmp_path / "imports").iterdir()], "what was read is removed")

    assert (shown["state"], shown["counts"]["added"]) == ("done", 1200)
    assert [one["id"] for one in listed] == [job["id"]]
    assert brought(tmp_path) == 1200


def brought(folder: Path) -> int:
    """How many plays there are, read beside the process."""
    opened = Database(f"sqlite:///{folder}/watchmark.db")
    total = opened.ask(lambda connection: connection.execute(select(func.count(play.c.id))).scalar_one())
    opened.close()
    return total


def counted(process: Process, job_id: int) -> int:
    return int(process.api(f"/jobs/{job_id}")["counts"].get("added", 0))


def test_a_server_that_cannot_be_reached_ends_it_with_what_to_do(tmp_path: Path) -> None:
    with Server(PlexServer()) as server:
        url = server.url
    with started(server_house(tmp_path, url, "t")) as process:
        job = process.api_post("/imports/from/plex")["job"]
        eventually(over(process, job["id"]), "it is over", 60)
        shown = process.api(f"/jobs/{job['id']}")

    assert shown["state"] == "failed"
    assert f"is PLEX_URL ({url}) its address?" in shown["error"]
