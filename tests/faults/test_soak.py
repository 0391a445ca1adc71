"""Hostile and plentiful: mutated payloads at every door, and a day of a busy server in some minutes."""

# ruff: noqa: S311 - dice need no cryptography

from __future__ import annotations

import copy
import itertools
import json
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import Connection

from tests.evening import plex
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.fakes.tvtime import TVTime
from tests.faults.house import Altered, at, evening, lost_and_doubled, number_of, recorded
from tests.running import started
from tests.soak_report import RecordProperty
from webhook import sources
from webhook.accounts import accounts
from webhook.domain.event import Ignored, Unreadable
from webhook.domain.items import keys
from webhook.people import identities, people
from webhook.pipeline.planning import event_json
from webhook.service import Service

HELD_UP = 1.0
"""Seconds for which the service may hold up its own event loop, on a machine that is busy with other tests."""

MANY_PAYLOADS, MANY_WEBHOOKS = 100_000, 10_000
PAYLOADS = Path(__file__).parents[1] / "payloads"
AT = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
HOSTILE: list[Any] = [
    None, "", " ", 0, -1, 1, True, False, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 1e308, -0.0, 0.5,
    [], {}, [[]], [{}], [None], {"": ""}, {"id": None}, [{"id": []}],
    "\x00", "a\x00b", "\u202e", "🎬" * 50, "x" * 5000, "9" * 400, "-1", "1e999", "NaN", "١٢٣", "0x10", "²",
    "null", "undefined", "true", "[]", "{}", "%s", "{0}", "'; DROP TABLE play; --", "../../etc/passwd",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "2026-02-30", "2026-11-22T20:00:00+99:99", "24:61",
    253_402_300_800, -62_135_596_801, 10**17, "plex://", "tvdb://", "imdb://tt", "tvdb://" + "9" * 30,
    "com.plexapp.agents.hama://anidb-/0/0", "com.plexapp.agents.thetvdb://1/2?lang", "local://", "://", "tmdb:",
]  # fmt: skip


def corpus() -> list[tuple[str, Any]]:
    """Every payload of the repository, with its source."""
    files = sorted(PAYLOADS.glob("*/*.json"))
    return [(file.parent.name, json.loads(file.read_text(encoding="utf-8"))) for file in files]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a JSON value with each of its keys or indexes."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def mutated(payload: Any, dice: random.Random) -> Any:
    """The payload with a few things in it that are not as they should be."""
    whole = [copy.deepcopy(payload)]
    for _ in range(dice.randint(1, 4)):
        holder, key = dice.choice(list(places(whole))[1:] or [(whole, 0)])
        match dice.randrange(6):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[str(key).swapcase()] = holder.pop(key)
            case 2:
                holder[key] = [holder[key]]
            case 3:
                holder[key] = str(holder[key])
            case 4:
                other, there = dice.choice(list(places(whole)))
                holder[key] = copy.deepcopy(other[there])
            case _:
                holder[key] = copy.deepcopy(dice.choice(HOSTILE))
    return whole[0]


def bitten(body: bytes, dice: random.Random) -> bytes:
    """Bytes that are no longer quite what they were."""
    changed = bytearray(body)
    for _ in range(dice.randint(1, 8)):
        at_byte = dice.randrange(len(changed) + 1)
        match dice.randrange(3):
            case 0:
                changed[at_byte : at_byte + dice.randint(1, 20)] = b""
            case 1:
                changed[at_byte:at_byte] = dice.randbytes(dice.randint(1, 6))
            case _:
                changed[at_byte:] = changed[at_byte:][: dice.randint(0, 4000)]
        if not changed:
            break
    return bytes(changed)


def resident(pid: int | str = "self") -> float:
    """Megabytes that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


# --- fuzz


def fuzz_sources(count: int, seed: int) -> None:
    """Nothing but Unreadable comes out of a source, and what it reads can be kept."""
    dice = random.Random(seed)
    known = corpus()
    before = 0.0
    for number in range(count):
        source, payload = dice.choice(known)
        raw = json.dumps(mutated(payload, dice)).encode()
        try:
            given = orjson.loads(raw)
        except orjson.JSONDecodeError:
            continue
        if not isinstance(given, dict):
            continue  # the receiver keeps it aside
        try:
            read_and_kept(source, given)
        except Unreadable:
            pass
        except Exception as error:
            raise AssertionError(f"seed {seed}, {source}: {raw.decode()}") from error
        if number == count // 5:
            before = resident()
    if count > 10_000:
        assert resident() - before < 25


def read_and_kept(source: str, given: dict[str, Any]) -> None:
    read = sources.read_webhook(source, given, AT)
    if isinstance(read, Ignored):
        assert read.reason
        return
    assert read
    for event in read:
        orjson.dumps(event_json(event)).decode("utf-8")
        assert all(len(key) <= 300 and "\x00" not in key for key in keys(event.item, event.server, "1"))
        assert event.at.tzinfo is not None


def fuzz_door(folder: Path, count: int, seed: int) -> None:
    """Mutated webhooks over HTTP: no 5xx, no fault of ours in the log, and the service is as it was."""
    dice = random.Random(seed)
    known = corpus()
    process = Altered(folder, "hasty").prepare()
    with started(process), httpx.Client(timeout=30) as http:
        assert process.process is not None
        answers: Counter[int] = Counter()
        before = 0.0
        for number in range(count):
            source, payload = dice.choice(known)
            body = json.dumps(mutated(payload, dice)).encode()
            answer = http.post(process.ready["webhooks"][source], **shaped(body, dice))
            assert answer.status_code < 500, (seed, source, body)
            answers[answer.status_code] += 1
            if number == count // 5:
                before = resident(process.process.pid)
        process.drain(60 + count / 50)

        assert answers[200] > count / 3
        webhooks = process.everything("/webhooks", state="quarantined")
        faults = [entry["reason"] for entry in webhooks if "Error: " in (entry["reason"] or "")[:40]]
        assert faults == []
        assert "Traceback" not in process.log()
        assert process.healthy()
        assert process.held_up() < HELD_UP
        if count > 2000:
            assert resident(process.process.pid) - before < 60


def shaped(body: bytes, dice: random.Random) -> dict[str, Any]:
    """A request as some sender makes it, or as none does."""
    match dice.randrange(8):
        case 0 | 1:
            return {"content": body, "headers": {"content-type": "application/json"}}
        case 2:
            return {"content": body, "headers": {"content-type": "text/plain; charset=utf-8"}}
        case 3:
            return {"content": bitten(body, dice), "headers": {"content-type": "application/json"}}
        case 4:
            kind = dice.choice(
                ["multipart/form-data", "multipart/form-data; boundary=x", "text/html", "a/b;" * 50]
            )
            return {"content": bitten(body, dice), "headers": {"content-type": kind}}
        case 5:
            form = httpx.Request("POST", "http://x", files={"payload": (None, body)})
            raw = bitten(form.read(), dice)
            return {"content": raw, "headers": {"content-type": form.headers["content-type"]}}
        case 6:
            return {"data": {dice.choice(["payload", "data", "x"]): body.decode()}}
    return {
        "files": {dice.choice(["payload", "data"]): (None, body), "thumb": ("t.jpg", dice.randbytes(900))}
    }


def test_mutated_payloads_are_read_or_refused_in_words() -> None:
    fuzz_sources(1_500, random.randrange(10**6))


def test_mutated_webhooks_are_answered_without_a_fault(tmp_path: Path) -> None:
    fuzz_door(tmp_path, 150, random.randrange(10**6))


@pytest.mark.soak
def test_a_hundred_thousand_mutated_payloads_are_read_or_refused_in_words(
    record_property: RecordProperty,
) -> None:
    fuzz_sources(MANY_PAYLOADS, random.randrange(10**6))
    record_property("mutated payloads", MANY_PAYLOADS)


@pytest.mark.soak
def test_ten_thousand_mutated_webhooks_are_answered_without_a_fault(
    tmp_path: Path, record_property: RecordProperty
) -> None:
    fuzz_door(tmp_path, MANY_WEBHOOKS, random.randrange(10**6))
    record_property("mutated webhooks", MANY_WEBHOOKS)


# --- a busy day


class Day:
    """So many webhooks of so many people, to two trackers that fail now and then."""

    def __init__(self, folder: Path, webhooks: int, names: list[str], seconds: float) -> None:
        self.names, self.seconds = names, seconds
        self.trakt, self.tvtime = Trakt(window_minutes=0), TVTime()
        self.servers = [Server(self.trakt), Server(self.tvtime)]
        for server in self.servers:
            server.__enter__()
        more = {"TVTIME_URL": self.servers[1].url, "TVTIME_WRITES_PER_SECOND": "0"}
        self.process = Altered(folder, "hasty", settings=at(self.servers[0].url, **more)).prepare(
            self.moved_in
        )
        self.post = self.written(webhooks)
        self.acknowledged: dict[str, set[int]] = {name: set() for name in names}
        self.ids: set[int] = set()
        self.lock = threading.Lock()
        self.outages = 0

    def moved_in(self, connection: Connection, service: Service) -> None:
        for name in self.names:
            people.add_person(connection, name, service.started_at)
            person_id = people.find_person(connection, name).id
            identities.claim_identities(connection, name, f"plex:{name}", service.started_at)
            for tracker, tokens in (
                ("trakt", self.trakt.sign_in(name)),
                ("tvtime", self.tvtime.add_user(name, "secret").tokens),
            ):
                sealed = service.seal.seal(dict(tokens))
                accounts.store_tokens(
                    connection, person_id, service.trackers[tracker], sealed, name, service.started_at
                )

    def written(self, webhooks: int) -> queue.SimpleQueue[tuple[str, str, int]]:
        """What is posted, in order: evenings of all the people, interleaved."""
        dice, waiting = random.Random(1), queue.SimpleQueue[tuple[str, str, int]]()
        left = webhooks
        for number in itertools.count(1):
            evenings = [(name, event) for name in self.names for event in evening(dice)]
            for name, event in evenings[:left]:
                waiting.put((name, event, number))
            left -= len(evenings)
            if left <= 0:
                return waiting
        raise AssertionError

    def run(self) -> None:
        self.process.start()
        pace = self.seconds / self.post.qsize()
        senders = [threading.Thread(target=self.send, args=(4 * pace,), daemon=True) for _ in range(4)]
        for sender in senders:
            sender.start()
        assert self.process.process is not None
        marks: list[float] = []
        while any(sender.is_alive() for sender in senders):
            self.outage(max(self.seconds / 40, 0.1))
            marks.append(resident(self.process.process.pid))
        self.process.drain(60 + self.seconds)
        self.memory = marks[len(marks) // 4], resident(self.process.process.pid)

    def outage(self, seconds: float) -> None:
        """One of the trackers fails for a while, in one way or another."""
        fake = random.choice([self.trakt, self.tvtime])
        what: dict[str, Any] = random.choice(
            [{"status": 503}, {"status": 500}, {"reset": True}, {"record_then": 502}, {"status": 429}]
        )
        fault = fake.faults.add("POST /", times=-1, **what)
        time.sleep(seconds * random.random())
        self.outages += 1
        fault.times = 0
        time.sleep(seconds)

    def send(self, pace: float) -> None:
        with httpx.Client(timeout=30) as http:
            while True:
                try:
                    name, event, number = self.post.get_nowait()
                except queue.Empty:
                    return
                body = json.dumps(plex(event, number, user=name))
                answer = http.post(
                    self.process.ready["webhooks"]["plex"],
                    files={"payload": (None, body, "application/json")},
                )
                assert answer.status_code == 200
                with self.lock:
                    self.ids.add(answer.json()["webhook"])
                    if event == "media.scrobble":
                        self.acknowledged[name].add(number_of(number))
                time.sleep(pace * random.random() * 1.5)

    def close(self) -> None:
        if self.process.process is not None:
            self.process.kill()
        self.process.http.close()
        for server in self.servers:
            server.__exit__()


def busy(folder: Path, webhooks: int, persons: int, seconds: float) -> Day:
    day = Day(folder, webhooks, [f"person{number}" for number in range(persons)], seconds)
    try:
        day.run()

        assert len(day.ids) == webhooks
        assert {entry["id"] for entry in day.process.everything("/webhooks")} == day.ids
        for name, acknowledged in day.acknowledged.items():
            assert lost_and_doubled(acknowledged, day.process.watched(name)) == ([], [])
            assert lost_and_doubled(acknowledged, recorded(day.trakt, name)) == ([], [])
            marked = day.tvtime.users[name].watched
            assert set(marked) >= acknowledged
            assert not any(viewing.rewatch_count for viewing in marked.values())
        deliveries = day.process.everything("/deliveries")
        states = Counter(entry["state"] for entry in deliveries)
        # A pause of which the position is not known for sure leaves a better resume point alone.
        assert states.keys() <= {"done", "superseded", "expired", "skipped"}, states
        assert {entry["state"] for entry in deliveries if entry["mark"]} == {"done"}
        assert day.process.held_up() < HELD_UP
    finally:
        day.close()
    return day


def test_a_busy_evening_comes_out_as_it_went_in(tmp_path: Path) -> None:
    busy(tmp_path, webhooks=400, persons=5, seconds=3)


@pytest.mark.soak
def test_a_day_of_a_busy_server_comes_out_as_it_went_in(
    tmp_path: Path, record_property: RecordProperty
) -> None:
    day = busy(tmp_path, webhooks=20_000, persons=50, seconds=500)

    record_property("webhooks", len(day.ids))
    record_property("outages of trackers", day.outages)
    early, late = day.memory
    assert late - early < 60
