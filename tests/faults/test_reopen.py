"""Settings saved in the browser take effect behind the open door: no webhook is lost meanwhile.

A media server sends each webhook once, over a connection of its own or one that it keeps.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.evening import plex
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.faults.house import at, number_of, recorded
from tests.running import Process, eventually, started
from webhook.cli._reload import EMPTY
from webhook.people import passwords, people

PASSWORD = "correct horse"
PACE, SAVES = 0.005, 8


class Sender:
    """Sends webhooks one after another, and no one twice, until told to stop; every answer is kept."""

    def __init__(self, process: Process, first: int, *, keeps: bool) -> None:
        self.address = urlsplit(process.ready["webhooks"]["plex"])
        self.first, self.keeps = first, keeps
        self.sent: list[int] = []
        self.answers: list[Any] = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        door = self.connection()
        while not self.stopped.is_set():
            number = self.first + len(self.sent)
            self.sent.append(number)
            try:
                self.answers.append(self.post(door, number))
            except (OSError, HTTPException) as error:
                self.answers.append(repr(error))
                door = self.connection()
            if not self.keeps:
                door.close()
                door = self.connection()
            time.sleep(PACE)
        door.close()

    def connection(self) -> HTTPConnection:
        return HTTPConnection(str(self.address.hostname), self.address.port or 0, timeout=30)

    def post(self, door: HTTPConnection, number: int) -> int:
        body = json.dumps(plex("media.scrobble", number))
        path = f"{self.address.path}?{self.address.query}"
        door.request("POST", path, body, {"Content-Type": "application/json"})
        answer = door.getresponse()
        answer.read()
        return answer.status


def owner(connection: Any, service: Any) -> None:
    row = people.find_person(connection, people.FIRST_PERSON)
    passwords.set_password(connection, row.id, passwords.hash_password(PASSWORD))


@contextmanager
def signed_in(process: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=process.url, timeout=30) as browser:
        assert browser.post("/sign-in", data={"name": "me", "password": PASSWORD}).status_code == 303
        yield browser


def posted(browser: httpx.Client, path: str, **fields: str) -> httpx.Response:
    page = browser.get(path.rpartition("/")[0]).text
    token = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
    assert token
    return browser.post(path, data={"form_token": token.group(1), **fields})


@pytest.mark.parametrize("keeps", [False, True], ids=["a connection each", "one that is kept"])
def test_saves_lose_no_webhook_and_all_are_told(tmp_path: Path, keeps: bool) -> None:
    with Server(Trakt(window_minutes=0)) as trakt:
        process = (
            Process(tmp_path, **at(trakt.url)).prepare(owner).connect("trakt", trakt.fake.sign_in("anna"))
        )
        with started(process), signed_in(process) as browser:
            senders = [Sender(process, first, keeps=keeps) for first in (1, 10_001)]
            for sender in senders:
                sender.thread.start()

            for number in range(SAVES):
                time.sleep(0.3)
                where = {"LISTENBRAINZ_API_URL": f"http://127.0.0.1:9/{number}"}
                saved = posted(browser, "/connections/listenbrainz/settings", **where)
                assert saved.status_code == 303, saved.text
                assert where["LISTENBRAINZ_API_URL"] in browser.get("/connections/listenbrainz").text
            time.sleep(0.3)
            for sender in senders:
                sender.stopped.set()
                sender.thread.join(60)

            answers = [answer for sender in senders for answer in sender.answers]
            assert [answer for answer in answers if answer != 200] == []
            sent = sorted(number for sender in senders for number in sender.sent)
            assert len(sent) > 5 * SAVES
            eventually(lambda: len(recorded(trakt.fake)) >= len(sent), "every webhook was told", 90)
            assert recorded(trakt.fake) == {number_of(number): 1 for number in sent}


def test_keys_set_in_the_browser_take_effect_at_once(tmp_path: Path) -> None:
    with (
        Server(Trakt(auto_approve="anna", interval=1)) as trakt,
        started(Process(tmp_path).prepare(owner)) as process,
        signed_in(process) as browser,
    ):
        assert "Not set up" in browser.get("/connections/trakt").text

        began = time.monotonic()
        assert posted(browser, "/connections/trakt/settings", **at(trakt.url)).status_code == 303
        assert "Needs sign-in" in browser.get("/connections/trakt").text
        assert time.monotonic() - began < 10

        assert posted(browser, "/connections/trakt/sign-in", person="me").status_code == 303
        eventually(lambda: "Connected as anna." in browser.get("/connections/trakt").text, "it is connected")
        assert process.post("plex", plex("media.scrobble")).status_code == 200
        eventually(lambda: recorded(trakt.fake) == {number_of(1): 1}, "the webhook was told")


def test_while_a_slow_call_ends_webhooks_are_taken_in_and_pages_wait(tmp_path: Path) -> None:
    with Server(Trakt(window_minutes=0)) as trakt:
        process = (
            Process(tmp_path, **at(trakt.url)).prepare(owner).connect("trakt", trakt.fake.sign_in("anna"))
        )
        with started(process), signed_in(process) as browser:
            trakt.fake.faults.add("POST /", delay=6.0)
            assert process.post("plex", plex("media.scrobble", 1)).status_code == 200
            eventually(lambda: not trakt.fake.faults[0].times, "the slow call is under way")

            posted(browser, "/connections/listenbrainz/settings", LISTENBRAINZ_API_URL="http://127.0.0.1:9")
            told_before = len(recorded(trakt.fake))
            assert process.post("plex", plex("media.scrobble", 2)).status_code == 200
            taken_before = len(recorded(trakt.fake))
            page = browser.get("/connections/listenbrainz")

            assert told_before == taken_before == 0
            assert page.status_code == 200
            assert len(recorded(trakt.fake)) >= 1
            wanted = {number_of(1): 1, number_of(2): 1}
            eventually(lambda: recorded(trakt.fake) == wanted, "both were told, once")


def test_an_open_page_does_not_hold_it_up(tmp_path: Path) -> None:
    process = Process(tmp_path).prepare(owner)
    with started(process), signed_in(process) as browser, signed_in(process) as other:
        with other.stream("GET", "/live") as stream:
            said = stream.iter_text()
            assert next(said).startswith("retry")
            began = time.monotonic()
            posted(browser, "/connections/listenbrainz/settings", LISTENBRAINZ_API_URL="http://127.0.0.1:9")
            assert browser.get("/connections").status_code == 200

            assert time.monotonic() - began < EMPTY / 2
            for _ in said:  # it comes to its end, and the page listens anew
                pass
            assert stream.is_stream_consumed
        assert other.get("/connections").status_code == 200
