"""A service for one person who watches Reels (`tests.fakes._catalogue`), and a service that keeps each play of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.evening import film
from tests.fakes._server import Server
from tests.faults.house import Altered
from tests.faults.test_trackers_in_trouble import moved_in
from tests.running import eventually

NUMBERS = range(1, 9)
FIRST_REEL = 800_000


@dataclass(frozen=True)
class Service:
    """A tracker, its fake, and the settings that lead to it, with `{url}` where its address stands."""

    name: str
    fake: Callable[[], Any]
    reached: Mapping[str, str]

    def settings(self, url: str) -> dict[str, str]:
        reached = {name: value.format(url=url) for name, value in self.reached.items()}
        return {**reached, f"{self.name.upper()}_WRITES_PER_SECOND": "0"}


class ReelHouse:
    """Her Watchmark and the service, which is in trouble by `fake.faults`."""

    def __init__(self, folder: Path, service: Service, **settings: str) -> None:
        self.fake: Any = service.fake()
        self.server = Server(self.fake)
        self.server.__enter__()
        self.process = Altered(folder, "hasty", settings={**service.settings(self.server.url), **settings})
        self.process.prepare(lambda connection, _: moved_in(connection, ()))
        self.process.connect(service.name, self.fake.sign_in("anna"))
        self.process.start()

    def watch(self, numbers: range = NUMBERS) -> None:
        for number in numbers:
            ids = [{"id": f"tmdb://{FIRST_REEL + number}"}, {"id": f"imdb://tt8{number:06}"}]
            named = {"ratingKey": str(number), "title": f"Reel {number}", "year": 2000, "Guid": ids}
            told = film("media.scrobble", **named, guid=f"plex://movie/{number:024x}")
            assert self.process.post("plex", told).status_code == 200

    def history(self) -> list[int]:
        return sorted(play.entry.data["ids"]["tmdb"] for play in self.fake.user("anna").plays)

    def arrives(self, numbers: range = NUMBERS, seconds: float = 30) -> None:
        """Each is there once, and nothing is left over."""
        wanted = [FIRST_REEL + number for number in numbers]
        eventually(lambda: set(self.history()) >= set(wanted), "all are recorded", seconds)
        self.process.drain(seconds)
        assert self.history() == wanted

    def close(self) -> None:
        if self.process.process is not None:
            self.process.kill()
        self.process.http.close()
        self.server.__exit__()
