"""What the fault tests share: an altered service, one with an account at a fake Trakt, and what is counted of them."""

# ruff: noqa: S311 - dice need no cryptography

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import httpx
from sqlalchemy import Connection, update

from tests.evening import plex
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.faults.disk import Disk
from tests.forked import Forked
from tests.running import ROOT, SOON, Process, eventually
from webhook import clock
from webhook.domain import retry
from webhook.storage.tables import account

PATIENT = {"HASTY_TIMEOUT": "60", "HASTY_LEASE": "60", "HASTY_LANE": "60"}
"""No lease, call or lane ends by itself while the writer stands still, however slow the machine is."""

APP = {"TRAKT_CLIENT_ID": "fake-client-id", "TRAKT_CLIENT_SECRET": "fake-client-secret"}


def at(url: str, **more: str) -> dict[str, str]:
    """The settings that point at the fake Trakt, without pacing."""
    return {**APP, "TRAKT_API_URL": url, "TRAKT_AUTH_URL": url, "TRAKT_WRITES_PER_SECOND": "0", **more}


class Altered(Process):
    """`watchmark serve`, altered. It is forked from a process that has all imported: half a second sooner.

    With `preload` it is started by itself, since a library can only be preloaded then.
    """

    def __init__(
        self,
        folder: Path,
        *names: str,
        settings: Mapping[str, str] | None = None,
        preload: str = "",
        limit: int | None = None,
    ) -> None:
        super().__init__(folder, **(settings or {}))
        self.names = names
        self.preload = preload
        self.limit = limit

    def begin(self, log: Path) -> subprocess.Popen[str]:
        if not self.preload:
            command = ["serve", "--json"]
            return cast(Any, Forked(command, self.environ, log, names=self.names, limit=self.limit))
        with log.open("a") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.faults.altered", *self.names, "--", "serve", "--json"],
                cwd=ROOT, env={**self.environ, "LD_PRELOAD": self.preload}, text=True,
                stdout=subprocess.PIPE, stderr=file,
            )  # fmt: skip

    # --- what there is to count

    def everything(self, path: str, **params: Any) -> list[Any]:
        """All of a list of the API, page after page."""
        found: list[Any] = []
        while True:
            page = self.api(path, limit=200, **params)
            found += page["items"]
            if not page["next"]:
                return found
            params["after"] = page["next"]

    def watched(self, person: str = "me") -> Counter[int]:
        """How often each episode was watched, by its TheTVDB id, as the history says."""
        plays = self.everything("/plays", person=person)
        return Counter(play["ids"]["tvdb"] for play in plays if play["watched_at"])

    def waiting(self) -> int:
        """What is still to be done: webhooks to be read and deliveries to be made."""
        heads = [
            self.api("/webhooks", state="received", limit=1),
            self.api("/deliveries", state="waiting", limit=1),
        ]
        # On PostgreSQL what the page is about may be done while it is read; `next` says that more may wait.
        return sum(len(head["items"]) or head["next"] is not None for head in heads)

    def drain(self, seconds: float) -> None:
        eventually(lambda: self.waiting() == 0, "everything is worked off", seconds)


class Installation:
    """A service with one person's account at a fake Trakt, which has no window that refuses a second scrobble.

    On a `disk` a kill is a power cut.
    """

    def __init__(self, folder: Path, *, database: str = "", disk: Disk | None = None) -> None:
        self.trakt = Trakt(window_minutes=0)
        self.server = Server(self.trakt)
        self.server.__enter__()
        self.disk = disk
        more = disk.settings if disk is not None else {}
        if database:
            more["DATABASE_URL"] = database
        settings = at(self.server.url, **more)
        self.process = Altered(folder if disk is None else disk.data, settings=settings).prepare()
        self.process.connect("trakt", self.trakt.sign_in("anna"))

    def start(self, *names: str, **settings: str) -> None:
        """Start it to be killed."""
        if self.disk is not None:
            self.disk.sync()
            self.process.preload = self.disk.shim
        self.start_safely(*names, **settings)

    def start_safely(self, *names: str, **settings: str) -> None:
        """Start it where no write is lost."""
        self.process.names = ("hasty", *names)
        self.process.environ.update(settings)
        self.process.start()

    def kill(self) -> None:
        self.process.kill()
        if self.disk is not None:
            self.disk.lose_unsynced()
            self.process.preload = ""
        self.process.prepared(lambda connection, _: expire_leases(connection))

    def resume(self, *names: str) -> None:
        """Start it again without the fault, and let it work off everything, in the order in which it was heard."""
        self.work_off(*names)
        assert self.disorder() == []

    def work_off(self, *names: str) -> None:
        self.start_safely(*names, HASTY_TIMEOUT="60", HASTY_LEASE="1.5")
        self.process.drain(60)

    def disorder(self) -> list[str]:
        return disorder(self.trakt, self.process.everything("/deliveries", tracker="trakt"))

    def history(self) -> list[int]:
        """The TheTVDB ids of the episodes in the history at Trakt, in the order in which they were recorded."""
        return [row["episode"]["ids"]["tvdb"] for row in self.trakt.user("anna").history]

    def close(self) -> None:
        if self.process.process is not None:
            self.process.kill()
        self.process.http.close()
        self.server.__exit__()


def expire_leases(connection: Connection) -> None:
    """As if the lease had run out: on PostgreSQL nobody else can know that its worker was killed."""
    leased = account.c.leased_until.is_not(None)
    connection.execute(update(account).where(leased).values(due_at=clock.now(), leased_until=clock.now()))


def recorded(trakt: Trakt, user: str = "anna") -> Counter[int]:
    """How often each episode is in the history at Trakt, by its TheTVDB id."""
    return Counter(row["episode"]["ids"]["tvdb"] for row in trakt.user(user).history)


def number_of(number: int) -> int:
    """The TheTVDB id of the episode with this number (tests.evening)."""
    return 100_000 + number


class Senders:
    """Threads that post evenings: a start, a watched mark, a stop; some twice, some in another order.

    `acknowledged` are the numbers of the episodes of which the watched mark was answered with 200.
    """

    def __init__(self, dice: random.Random, threads: int = 3, rest: float = 0.006) -> None:
        self.dice = dice
        self.count = threads
        self.rest = rest
        self.numbers = iter(range(1, 90_000))
        self.acknowledged: set[int] = set()
        self.answers: Counter[int] = Counter()
        self.lock = threading.Lock()
        self.going = False
        self.threads: list[threading.Thread] = []

    def begin(self, process: Process) -> None:
        self.going = True
        address = process.ready["webhooks"]["plex"]
        self.threads = [
            threading.Thread(target=self.send, args=(address, self.dice.random()), daemon=True)
            for _ in range(self.count)
        ]
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        self.going = False
        for thread in self.threads:
            thread.join(SOON)
            assert not thread.is_alive()

    def send(self, address: str, seed: float) -> None:
        dice = random.Random(seed)
        with httpx.Client(timeout=10) as http:
            while self.going:
                with self.lock:
                    number = next(self.numbers)
                for event in evening(dice):
                    if not self.post(http, address, event, number):
                        return
                    time.sleep(dice.uniform(0, 2 * self.rest))

    def post(self, http: httpx.Client, address: str, event: str, number: int) -> bool:
        body = json.dumps(plex(event, number))
        try:
            answer = http.post(address, files={"payload": (None, body, "application/json")})
        except httpx.TransportError:
            return False  # it was killed: not acknowledged, so nothing is promised
        with self.lock:
            self.answers[answer.status_code] += 1
            if answer.status_code == 200 and event == "media.scrobble":
                self.acknowledged.add(number_of(number))
        return True


def evening(dice: random.Random) -> list[str]:
    """The webhooks of one viewing, as a network may deliver them."""
    events = ["media.play", "media.scrobble", "media.stop"]
    if dice.random() < 0.5:
        events.remove("media.play")
    if dice.random() < 0.25:
        events.append("media.scrobble")  # the same webhook again
    if dice.random() < 0.3:
        dice.shuffle(events)
    return events


def lost_and_doubled(acknowledged: Iterable[int], found: Counter[int]) -> tuple[list[int], list[int]]:
    """The acknowledged that are not there, and what is there more than once."""
    lost = sorted(number for number in acknowledged if not found[number])
    return lost, sorted(number for number, count in found.items() if count > 1)


def disorder(
    trakt: Trakt, deliveries: Iterable[Mapping[str, Any]], person: str = "me", user: str = "anna"
) -> list[str]:
    """What Trakt recorded of an account's deliveries before something that was heard earlier.

    Heard earlier is what happened no later and was enqueued before. Of what was done of one episode several times it
    does not say which was meant, and a delivery that may itself be the trouble lets others go first after some tries.
    """
    mine = sorted((one for one in deliveries if one["person"] == person), key=itemgetter("id"))
    stuck = {one["play"] for one in mine if one["attempts"] >= retry.TRIES_IN_FRONT}
    asked = [
        (deed(one), number_of(one["number"]), one["happened_at"]) for one in mine if one["play"] not in stuck
    ]
    times = Counter((what, number) for what, number, _ in asked)
    journal = [(what, ids["tvdb"]) for what, ids in [*trakt.user(user).journal]]
    first = {done: place for place, done in reversed([*enumerate(journal)])}
    places = [
        (first[what, number], at, f"{what} {number}")
        for what, number, at in asked
        if times[what, number] == 1 and (what, number) in first
    ]
    late = [
        f"{other} came before {one}"
        for (place, at, one), (other_place, other_at, other) in combinations(places, 2)
        if other_place < place and at <= other_at
    ]
    webhooks = [one["webhook"] for one in mine if one["webhook"] is not None]
    return late if webhooks == sorted(webhooks) else [*late, f"the webhooks were taken as {webhooks}"]


def deed(delivery: Mapping[str, Any]) -> str:
    """What Trakt does for a delivery, in the words of its journal."""
    if delivery["mark"]:
        return "watched"
    return "start" if delivery["action"] in ("start", "resume") else "pause"


def promptly(holds: Callable[[], bool], seconds: float) -> bool:
    """Whether it comes true in time."""
    with contextlib.suppress(AssertionError):
        eventually(holds, "", seconds)
        return True
    return False
