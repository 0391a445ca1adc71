"""Progress trackers in trouble: no episode is lost, and a rewatch is counted once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.anime import IDS
from tests.fakes._server import Server
from tests.fakes.anilist import AniList
from tests.fakes.mal import MyAnimeList
from tests.faults.house import Altered
from tests.faults.test_trackers_in_trouble import TROUBLES
from tests.running import eventually
from webhook import clock
from webhook.people import identities, people

TITANS, EPISODES = 16498, 4
LONG_AGO = timedelta(days=40)


@dataclass(frozen=True)
class Service:
    """A progress tracker: its fake, the settings that lead to it, and the call that writes an entry.

    `seen` is what an entry says: the progress, the rewatches, and its state. `age` makes it one of long ago.
    """

    fake: Callable[[], Any]
    settings: Callable[[str], dict[str, str]]
    write: str
    seen: Callable[[Any], tuple[int, int, str]]
    age: Callable[[Any, datetime], None]


SERVICES = {
    "anilist": Service(
        fake=AniList,
        settings=lambda url: {
            "ANILIST_CLIENT_ID": "4711",
            "ANILIST_API_URL": url,
            "ANILIST_CALLS_PER_MINUTE": "0",
        },
        write="POST /SaveMediaListEntry",
        seen=lambda entry: (entry.progress, entry.repeat, entry.status),
        age=lambda entry, at: setattr(entry, "updatedAt", int(at.timestamp())),
    ),
    "mal": Service(
        fake=MyAnimeList,
        settings=lambda url: {
            "MAL_CLIENT_ID": "4711",
            "MAL_API_URL": f"{url}/v2",
            "MAL_AUTH_URL": url,
            "MAL_CALLS_PER_MINUTE": "0",
        },
        write="PUT /v2/anime",
        seen=lambda entry: (entry.num_episodes_watched, entry.num_times_rewatched, entry.status),
        age=lambda entry, at: setattr(entry, "updated_at", at.isoformat()),
    ),
}


class House:
    """A service for one person, and the service that keeps her anime, of which one has four episodes."""

    def __init__(self, folder: Path, name: str, **settings: str) -> None:
        self.name, self.service = name, SERVICES[name]
        self.fake = self.service.fake()
        self.fake.add(TITANS, EPISODES)
        self.server = Server(self.fake)
        self.server.__enter__()
        lists = folder / "anime-list-full.json"
        lists.write_bytes(IDS)
        reached = {**self.service.settings(self.server.url), "ANIME_LISTS": str(lists)}
        self.process = Altered(folder, "hasty", settings={**reached, **settings})
        self.process.prepare(
            lambda connection, service: identities.claim_identities(
                connection, people.FIRST_PERSON, "generic:anna", clock.now()
            )
        )
        self.process.connect(name, self.fake.sign_in("anna"))
        self.process.start()

    def watch(self, ago: timedelta) -> None:
        """All episodes, a minute after one another."""
        begin = datetime.now(UTC) - ago
        for number in range(1, EPISODES + 1):
            body = {"action": "watched", "kind": "episode", "user": "anna", "show": "Attack on Titan"}
            numbered = {"season": 1, "number": number, "show_ids": {"tvdb": 267440}}
            at = {"at": (begin + timedelta(seconds=number)).isoformat()}
            assert self.process.post("generic", {**body, **numbered, **at}).status_code == 200

    def holds(self, repeat: int) -> bool:
        """It is completed, and so often rewatched."""
        entry = self.fake.user("anna").entries.get(TITANS)
        if entry is None:
            return False
        progress, repeats, status = self.service.seen(entry)
        return (progress, repeats, status.lower()) == (EPISODES, repeat, "completed")

    def arrives(self, *, repeat: int) -> None:
        eventually(lambda: self.holds(repeat), "all episodes arrive", 30)
        self.process.drain(30)
        assert self.holds(repeat), self.fake.user("anna").entries
        made = self.process.everything("/deliveries")
        assert {entry["state"] for entry in made if entry["tracker"] == self.name} == {"done"}

    def let_time_pass(self) -> None:
        """As if the entry had been completed long ago."""
        self.service.age(self.fake.user("anna").entries[TITANS], datetime.now(UTC) - LONG_AGO)

    def close(self) -> None:
        if self.process.process is not None:
            self.process.kill()
        self.process.http.close()
        self.server.__exit__()


Opened = Callable[..., House]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Opened]:
    opened: list[House] = []

    def made(name: str, **settings: str) -> House:
        opened.append(House(tmp_path, name, **settings))
        return opened[-1]

    yield made
    for one in opened:
        one.close()


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("trouble", ["it says that it fails", "it records and drops the connection"])
def test_no_episode_is_lost_and_a_rewatch_counts_once(house: Opened, name: str, trouble: str) -> None:
    what, settings = TROUBLES[trouble]
    anna = house(name, **settings)
    anna.fake.faults.add(anna.service.write, times=1, **what)
    anna.watch(LONG_AGO)
    anna.arrives(repeat=0)
    anna.let_time_pass()
    anna.fake.faults.add(anna.service.write, times=1, skip=EPISODES - 1, **what)

    anna.watch(timedelta(0))

    anna.arrives(repeat=1)
    assert not anna.fake.faults or all(fault.times == 0 for fault in anna.fake.faults)


@pytest.mark.parametrize("name", SERVICES)
def test_a_kill_between_the_writing_and_its_answer_counts_a_rewatch_once(house: Opened, name: str) -> None:
    anna = house(name)
    anna.watch(LONG_AGO)
    anna.arrives(repeat=0)
    anna.let_time_pass()
    anna.fake.faults.add(anna.service.write, record_then="silence", skip=EPISODES - 1)
    anna.process.environ["HASTY_TIMEOUT"] = "60"
    anna.watch(timedelta(0))
    eventually(lambda: anna.holds(1), "the last is recorded, and nobody knows")

    anna.process.kill()
    anna.process.start()

    anna.arrives(repeat=1)


@pytest.mark.parametrize("name", SERVICES)
def test_a_pace_that_is_too_fast_for_it_loses_nothing(house: Opened, name: str) -> None:
    anna = house(name)
    refusal = {"status": 429, "headers": {"Retry-After": "1"}, "body": {"errors": [{"status": 429}]}}
    anna.fake.faults.add(anna.service.write, **refusal, times=2)

    anna.watch(timedelta(0))

    anna.arrives(repeat=0)
