"""Listening to media servers: CPU, memory and calls, with a large library and with many who play at once.

The servers are the fakes of the tests, over real HTTP, in this process; `watchmark serve` is a process of its own, and
it alone is measured. `python -m bench.listening plex 10000` measures one server with a library of that size.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bench.product import cpu_seconds, noise
from bench.servers import service, table
from tests.fakes._mediabrowser import MediaBrowser
from tests.fakes._plex_live import json_container
from tests.fakes._server import Server
from tests.fakes.emby_server import EmbyServer
from tests.fakes.jellyfin_server import JellyfinServer
from tests.fakes.plex_server import PlexServer

LIBRARY, SESSIONS = 100_000, 50
SMALL = 1_000
SECONDS = 60.0
FIRST_READ = 600.0
"""Seconds in which a library must have been read once."""

RUNTIME_MS = 2_700_000
LONG_AGO = int(time.time()) - 400 * 86_400
NORA = "d0" * 16


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one server cost; CPU in seconds, memory in MiB, calls by path."""

    first_read: float
    first_cpu: float
    idle_memory: float
    peak_memory: float
    cpu_per_minute: float
    calls_per_minute: Mapping[str, float]


def film(number: int) -> dict[str, Any]:
    return {
        "ratingKey": str(number + 1), "type": "movie", "title": f"Film {number}", "year": 2000, "duration": RUNTIME_MS,
        "librarySectionID": 1, "guid": f"plex://movie/{number:024x}", "Guid": [{"id": f"tmdb://{number + 1}"}],
        "summary": "What it is about. " * 30, "viewCount": 1, "lastViewedAt": LONG_AGO - number,
    }  # fmt: skip


class LargePlex(PlexServer):
    """A fake whose pages are made as they are asked for: its owner has watched everything."""

    size: int

    def show_section(self, request: Request) -> Response:
        is_films = (request.path_params["section"], request.query_params.get("type")) == ("1", "1")
        is_watched = is_films and request.query_params.get("unwatched") == "0"
        start = int(request.headers["x-plex-container-start"])
        total = self.size if is_watched else 0
        numbers = range(start, min(start + int(request.headers["x-plex-container-size"]), total))
        return json_container([film(number) for number in numbers], totalSize=total, offset=start)


class Plex:
    """A Plex with a large library, and users who all play."""

    def __init__(self, size: int) -> None:
        self.fake = LargePlex()
        self.fake.size = size
        self.settings = {"PLEX_TOKEN": self.fake.switches.token}
        self.fake.accounts |= {1000 + number: f"user{number}" for number in range(SESSIONS)}

    def start(self) -> None:
        for number in range(SESSIONS):
            self.fake.start(str(number), film(number), account=1000 + number, player=f"p{number}")

    def move(self, seconds: float) -> None:
        for number in range(SESSIONS):
            self.fake.move(str(number), int(1000 * seconds))


def played_film(number: int) -> dict[str, Any]:
    at = datetime.fromtimestamp(LONG_AGO - number, UTC).isoformat()
    return {
        "Id": f"{number + 1:032x}", "Type": "Movie", "Name": f"Film {number}", "ProductionYear": 2000,
        "RunTimeTicks": RUNTIME_MS * 10_000, "ProviderIds": {"Tmdb": str(number + 1)},
        "UserData": {"Played": True, "PlayCount": 1, "PlaybackPositionTicks": 0, "LastPlayedDate": at},
    }  # fmt: skip


def show_items(fake: MediaBrowser, request: Request, size: int) -> Response:
    """A page of all that one user has played; what is asked for by its key is what plays now."""
    asked = {name.lower(): value for name, value in request.query_params.items()}
    if "ids" in asked:
        return MediaBrowser.items(fake, request)
    total = size if "IsPlayed" in asked.get("filters", "") else 0
    start = int(asked["startindex"])
    numbers = range(start, min(start + int(asked["limit"]), total))
    found = [played_film(number) for number in numbers]
    return JSONResponse({"Items": found, "TotalRecordCount": total, "StartIndex": start})


class LargeJellyfin(JellyfinServer):
    size: int

    def items(self, request: Request) -> Response:
        return show_items(self, request, self.size)


class LargeEmby(EmbyServer):
    size: int

    def items(self, request: Request) -> Response:
        return show_items(self, request, self.size)


class Sessions:
    """A Jellyfin or an Emby, one user of which has played everything."""

    def __init__(self, fake: LargeJellyfin | LargeEmby, prefix: str, size: int) -> None:
        self.fake = fake
        fake.size = size
        self.settings = {f"{prefix}_API_KEY": fake.switches.key}
        fake.users[NORA] = "nora"

    def start(self) -> None:
        for number in range(SESSIONS):
            self.fake.start(f"s{number}", played_film(number), NORA, device=f"dev{number}")

    def move(self, seconds: float) -> None:
        for number in range(SESSIONS):
            self.fake.move(f"s{number}", int(1000 * seconds))


Box = Plex | Sessions
BOXES: Mapping[str, Callable[[int], Box]] = {
    "plex": Plex,
    "jellyfin": lambda size: Sessions(LargeJellyfin(), "JELLYFIN", size),
    "emby": lambda size: Sessions(LargeEmby(), "EMBY", size),
}
WHOLE = {
    "plex": "GET /library/sections/1/all",
    "jellyfin": "GET /Items",
    "emby": f"GET /Users/{NORA}/Items",
}
PAGE = 500
ROUTE = re.compile(r"(?<=metadata/)[0-9,]+|[0-9a-f]{32}")


def measure(name: str, size: int) -> Figures:
    box = BOXES[name](size)
    with Server(box.fake) as server:
        settings = {f"{name.upper()}_URL": server.url, **box.settings}
        begun = time.monotonic()
        with service(**settings) as (started, _):
            pages = size // PAGE
            wait_until(lambda: len(box.fake.made(WHOLE[name])) >= pages, FIRST_READ)
            first_read = time.monotonic() - begun
            time.sleep(3)
            first_cpu, idle = cpu_seconds(started.pid), memory(started.pid, "VmRSS")
            box.start()
            time.sleep(3)
            calls, cpu = len(box.fake.calls), cpu_seconds(started.pid)
            play(box)
            made = Counter(ROUTE.sub("…", f"{call.method} {call.path}") for call in box.fake.calls[calls:])
            return Figures(
                first_read=first_read,
                first_cpu=first_cpu,
                idle_memory=idle,
                peak_memory=memory(started.pid, "VmHWM"),
                cpu_per_minute=(cpu_seconds(started.pid) - cpu) * 60 / SECONDS,
                calls_per_minute={path: count * 60 / SECONDS for path, count in made.most_common()},
            )


def play(box: Box) -> None:
    """Everybody plays on, and each player reports every ten seconds."""
    ends, begun = time.monotonic() + SECONDS, time.monotonic()
    while time.monotonic() < ends:
        box.move(time.monotonic() - begun)
        time.sleep(10)


def wait_until(holds: Callable[[], bool], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            raise SystemExit(f"the library was not read within {seconds:.0f} s")
        time.sleep(0.1)


def memory(pid: int, name: str) -> float:
    """The memory of a process in MiB, by its name in /proc."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def main(names: Sequence[str] = tuple(BOXES), sizes: Sequence[int] = (SMALL, LIBRARY)) -> None:
    print(f"\n{noise()}")
    for name in names:
        for size in sizes:
            show(name, size, measure(name, size))


def show(name: str, size: int, found: Figures) -> None:
    rows = [
        ("the library is read first", f"{found.first_read:.0f} s", ""),
        ("CPU until then, starting too", f"{found.first_cpu:.1f} s", ""),
        ("memory then", f"{found.idle_memory:.0f} MiB", ""),
        ("memory at its most", f"{found.peak_memory:.0f} MiB", "under 200 MiB, whatever its size"),
        (
            f"CPU a minute while {SESSIONS} play",
            f"{found.cpu_per_minute:.1f} s",
            "under 6 s, a tenth of a core",
        ),
    ]
    rows += [(f"{path} a minute", f"{count:.0f}", "") for path, count in found.calls_per_minute.items()]
    table(f"{name}, {size:,} items", rows)


if __name__ == "__main__":
    main(sys.argv[1:2] or tuple(BOXES), tuple(map(int, sys.argv[2:3])) or (SMALL, LIBRARY))
