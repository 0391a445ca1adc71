"""A week of a household within minutes: by a fast clock, with outages of hours, tokens that age and backups at night.

Nothing waits here for days as a service does that runs for months, unless its clock is fast (`tests.faults.fast_clock`).
"""

# ruff: noqa: S311 - dice need no cryptography

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.evening import plex
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.faults.fast_clock import FakesClock, FastClock
from tests.faults.house import Altered, at, lost_and_doubled, number_of, recorded
from tests.faults.test_soak import resident
from tests.soak_report import RecordProperty
from webhook.domain import retry

DAYS, DAY_SECONDS = 7, 120.0
TOKEN_LIFE = 86_400
VIEWINGS = 12
"""Of a day."""

OUTAGE = timedelta(hours=4)
LATE = 2 * retry.LIVE
"""A live mark has the tracker's own time; a later one is sent with the time of the viewing."""

GROWTH = 60.0
"""Megabytes by which the process may grow after its first day."""


class Week:
    """A service with a fast clock, and the account of one person at a tracker that fails for hours every day."""

    def __init__(self, folder: Path, clock: FastClock) -> None:
        self.clock, self.dice = clock, random.Random()
        self.trakt = Trakt(window_minutes=0, clock=FakesClock(clock), token_life=TOKEN_LIFE)
        self.server = Server(self.trakt)
        self.server.__enter__()
        settings = at(self.server.url, FAST_CLOCK=str(clock), BACKUP_HOURS="24")
        self.process = Altered(folder, "fast_clock", settings=settings).prepare()
        self.process.connect("trakt", self.trakt.sign_in("anna"))
        self.watched: dict[int, tuple[datetime, datetime]] = {}
        """The time before and after each watched mark was sent, by the TheTVDB id of its episode."""

    def live(self, days: int) -> None:
        for _ in range(days):
            outage = self.dice.randrange(VIEWINGS - 2)
            for turn in range(VIEWINGS):
                if turn == outage:
                    fault = self.trakt.faults.add("POST /scrobble", status=503, times=-1)
                    ends = self.clock.now() + OUTAGE
                self.watch(len(self.watched) + 1)
                time.sleep(self.clock.seconds(timedelta(days=1)) / VIEWINGS * self.dice.uniform(0.8, 1.1))
                if turn >= outage and self.clock.now() > ends:
                    fault.times = 0
            fault.times = 0

    def watch(self, number: int) -> None:
        body = json.dumps(plex("media.scrobble", number))
        before = self.clock.now()
        with httpx.Client(timeout=30) as http:
            parts = {"payload": (None, body, "application/json")}
            answer = http.post(self.process.ready["webhooks"]["plex"], files=parts)
        assert answer.status_code == 200, answer.text
        self.watched[number_of(number)] = before, self.clock.now()

    def misdated(self) -> dict[int, tuple[str, tuple[datetime, datetime]]]:
        """The episodes that the tracker has at another time than they were watched."""
        rows = self.trakt.user("anna").history
        found = {row["episode"]["ids"]["tvdb"]: row["watched_at"] for row in rows}
        return {
            number: (found[number], span)
            for number, span in self.watched.items()
            if not span[0] <= datetime.fromisoformat(found[number]) <= span[1] + LATE
        }

    def close(self) -> None:
        if self.process.process is not None:
            self.process.kill()
        self.process.http.close()
        self.server.__exit__()


@contextmanager
def week(folder: Path, day_seconds: float) -> Iterator[Week]:
    made = Week(folder, FastClock.begin(86_400 / day_seconds))
    try:
        yield made
    finally:
        made.close()


def pass_days(folder: Path, days: int, day_seconds: float, record_property: RecordProperty) -> None:
    with week(folder, day_seconds) as made:
        made.process.start()
        made.live(1)
        assert made.process.process is not None
        early = resident(made.process.process.pid)
        made.live(days - 1)
        made.process.drain(60)

        record_property("days", days)
        record_property("plays", len(made.watched))
        assert lost_and_doubled(made.watched, made.process.watched()) == ([], [])
        assert lost_and_doubled(made.watched, recorded(made.trakt)) == ([], [])
        assert made.misdated() == {}
        assert made.trakt.made("POST /sync/history"), "some are late"
        assert len(made.trakt.made("POST /oauth/token")) >= days - 1
        assert len([*folder.glob("backups/*.zip")]) >= days - 1
        assert "Traceback" not in made.process.log()
        assert resident(made.process.process.pid) - early < GROWTH


@pytest.mark.soak
def test_a_week_loses_doubles_and_misdates_nothing(tmp_path: Path, record_property: RecordProperty) -> None:
    pass_days(tmp_path, DAYS, DAY_SECONDS, record_property)
