"""Notices: once when a person is needed, once when all is well again; silence is noticed. On both databases."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from tests.evening import film
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.running import Process, eventually, started
from tests.watchlist.home import films, listed
from webhook import clock, settings
from webhook.accounts import accounts
from webhook.domain.event import Action, Movie
from webhook.domain.outcome import DISCONNECTED, Park
from webhook.history import watchlist_reads
from webhook.history.watchlist import Watchlist
from webhook.maintenance import notifications
from webhook.maintenance.backup_schedule import store_outcome
from webhook.maintenance.notifications import Notice, Notifier, Watcher
from webhook.people import people
from webhook.queries.senders import SilentServerJson, find_repeats, find_silent_servers, find_wrong_clocks
from webhook.queues import inbox, outbox, parking
from webhook.queues.inbox import ReceivedWebhook
from webhook.queues.outbox import NewDelivery
from webhook.storage.db import Database
from webhook.storage.tables import account, identity, note, webhook

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # in Apprise

DAYS = 3
LONG = timedelta(days=10)


class Kept:
    """A notifier that keeps what it is given; `fails` is what it answers."""

    def __init__(self, fails: str | None = None) -> None:
        self.notices: list[Notice] = []
        self.fails = fails

    async def send(self, notice: Notice) -> str | None:
        self.notices.append(notice)
        return self.fails


class House:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = clock.now()
        self.kept = Kept()
        self.account = database.do(self.furnished)

    def furnished(self, connection: Connection) -> int:
        person_id = people.add_person(connection, "anna", self.now)
        return accounts.insert_account(connection, person_id, "trakt", (), self.now)

    def look(self, now: datetime | None = None, days: int = DAYS) -> list[str]:
        """What is announced now; each look is another process that knows only the database."""
        self.kept.notices.clear()
        watcher = Watcher(self.database, self.kept, days)
        asyncio.run(watcher.look(now or self.now))
        return [notice.title for notice in self.kept.notices]

    def park(self, park: Park = Park.SIGNED_OUT, reason: str = "Trakt answered 401") -> None:
        self.database.do(lambda connection: parking.park(connection, self.account, park, reason, self.now))

    def unpark(self) -> None:
        self.database.do(lambda connection: parking.unpark(connection, self.account, self.now))

    def server(self, first: timedelta, last: timedelta, source: str = "plex", server: str = "attic") -> None:
        values = {"source": source, "server": server, "user": "anna", "label": "anna", "server_name": "Attic"}
        seen = {"first_seen": self.now - first, "last_seen": self.now - last}
        self.database.do(lambda connection: connection.execute(insert(identity), {**values, **seen}))

    def heard(self, ago: timedelta) -> None:
        self.database.do(
            lambda connection: connection.execute(update(identity).values(last_seen=self.now - ago))
        )

    def silent(self, days: int = DAYS) -> list[SilentServerJson]:
        return self.database.ask(lambda connection: find_silent_servers(connection, self.now, days))


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


# --- backups


def test_backups_that_fail_are_announced_once_with_the_reason_and_once_when_they_are_made_again(
    house: House,
) -> None:
    def settle(why: str | None) -> None:
        house.database.do(lambda connection: store_outcome(connection, why, house.now))

    settle("1 MB is free, and 30 MB are needed. Free some space.")
    first = house.look()
    (notice,) = house.kept.notices
    settle("1 MB is free, and 31 MB are needed. Free some space.")
    again = house.look()
    settle(None)

    assert (first, again) == (["The scheduled backup failed"], [])
    assert notice.body == (
        "1 MB is free, and 30 MB are needed. Free some space. It is tried again every hour. Earlier backups are kept."
    )
    assert house.look() == ["Backups are made again"]
    assert house.look() == []


# --- accounts


def test_a_parked_account_is_announced_once_with_what_mends_it(house: House) -> None:
    house.park()

    first = house.look()
    (notice,) = house.kept.notices
    again = house.look()

    assert first == ["Trakt of anna needs you"]
    assert "The service no longer accepts this sign-in." in notice.body
    assert "watchmark connect trakt --person anna" in notice.body
    assert again == []


def test_a_limit_is_announced_once_with_what_is_full(house: House) -> None:
    now = house.now

    def full(connection: Connection) -> None:
        putting = NewDelivery(
            account_id=house.account, action=Action.ADD, key="add", item=Movie(title="A"), at=now
        )
        parking.park_kind(connection, outbox.enqueue(connection, putting, now), Park.ACCOUNT_LIMIT)

    house.database.do(full)

    first = house.look()
    (notice,) = house.kept.notices
    again = house.look()
    house.database.do(lambda connection: parking.unpark(connection, house.account, now))

    assert first == ["Trakt of anna has reached a limit"]
    assert "Trakt takes no more for the collection of this account" in notice.body
    assert again == []
    assert house.look() == []


def test_titles_that_are_gone_from_a_watchlist_are_announced_once(house: House) -> None:
    def lose(connection: Connection, number: int) -> None:
        mine = Watchlist(connection, 1, {}, clock.now())
        watchlist_reads.apply_read(mine, house.account, "Trakt", listed(films(number)))

    house.database.do(lambda connection: connection.execute(update(account).values(tokens=b"sealed")))
    house.database.do(lambda connection: lose(connection, 12))
    assert house.look() == []
    house.database.do(lambda connection: lose(connection, 1))

    first = house.look()
    (notice,) = house.kept.notices
    again = house.look()
    house.database.do(lambda connection: lose(connection, 12))

    assert (first, again, house.look()) == (["The watchlist of anna needs a decision"], [], [])
    assert "11 titles are gone from it at Trakt" in notice.body
    house.database.do(lambda connection: lose(connection, 1))
    assert house.look() == first


def test_that_it_works_again_is_announced_once(house: House) -> None:
    house.park()
    house.look()
    house.unpark()

    assert house.look() == ["Trakt of anna works again"]
    assert house.look() == []


def test_an_account_that_never_needed_anybody_is_not_announced(house: House) -> None:
    assert house.look() == []


def test_what_came_and_went_unseen_is_not_announced(house: House) -> None:
    house.park()
    house.unpark()

    assert house.look() == []


def test_another_need_is_another_notice(house: House) -> None:
    house.park(Park.SIGNED_OUT)
    house.look()
    house.park(Park.VIP_REQUIRED)

    house.look()

    (notice,) = house.kept.notices
    assert "paid membership" in notice.body


def test_who_disconnects_an_account_is_not_told_so(house: House) -> None:
    house.park(Park.SIGNED_OUT, DISCONNECTED)

    assert house.look() == []


def test_an_account_that_is_gone_is_forgotten_without_a_word(house: House) -> None:
    house.park()
    house.look()
    house.database.do(lambda connection: connection.execute(delete(account)))

    assert house.look() == []
    assert house.database.do(lambda connection: connection.execute(select(note.c.name)).all()) == []


def test_what_the_service_said_is_not_passed_on(house: House) -> None:
    house.park(reason="401 for Bearer secret-of-hers")

    house.look()

    assert "secret-of-hers" not in repr(house.kept.notices)


def test_of_several_processes_one_announces_it(house: House) -> None:
    house.park()
    watchers = [Watcher(house.database, house.kept, DAYS) for _ in range(8)]

    async def together() -> None:
        await asyncio.gather(*(watcher.look(house.now) for watcher in watchers))

    asyncio.run(together())

    assert len(house.kept.notices) == 1


def test_a_notice_that_does_not_go_out_is_in_the_log_and_stops_nothing(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.park()
    house.kept.fails = "nobody answers"

    with caplog.at_level(logging.WARNING):
        announced = asyncio.run(Watcher(house.database, house.kept, DAYS).look(house.now))

    assert announced == 0
    assert house.look() == []


# --- silence


@pytest.mark.parametrize(
    ("first", "last", "days", "silent"),
    [
        (LONG, timedelta(days=3, minutes=1), 3, True),
        (LONG, timedelta(days=2, hours=23), 3, False),
        (timedelta(days=6, hours=23), timedelta(days=4), 3, False),
        (timedelta(days=7, minutes=1), timedelta(days=4), 3, True),
        (LONG, timedelta(days=9), 0, False),
        (LONG, timedelta(days=4), 5, False),
    ],
)
def test_a_server_is_silent_after_its_days_once_it_was_known_for_a_week(
    house: House, first: timedelta, last: timedelta, days: int, silent: bool
) -> None:
    house.server(first, last)

    assert bool(house.silent(days)) is silent


def test_silence_names_the_server_and_since_when(house: House) -> None:
    house.server(LONG, timedelta(days=4))

    (one,) = house.silent()

    assert (one["source"], one["server"], one["server_name"], one["days"]) == ("plex", "attic", "Attic", 4)
    since = house.now - timedelta(days=4)
    assert one["says"] == f"No webhook from plex server Attic since {since:%Y-%m-%d %H:%M} UTC."


def test_one_server_is_silent_while_another_sends(house: House) -> None:
    house.server(LONG, timedelta(days=4))
    house.server(LONG, timedelta(minutes=1), server="cellar")

    assert [one["server"] for one in house.silent()] == ["attic"]


def test_a_claim_of_somebody_never_seen_is_no_server(house: House) -> None:
    values = {"source": "plex", "server": "", "user": "anna", "label": "anna", "first_seen": house.now - LONG}
    house.database.do(lambda connection: connection.execute(insert(identity), values))

    assert house.silent() == []


def test_a_server_that_goes_on_through_a_persons_own_address_is_not_silent(house: House) -> None:
    house.server(LONG, timedelta(days=4))
    heard(house, [{"action": "start", "server": "attic"}], timedelta(hours=1))

    assert house.silent() == []


def test_silence_and_its_end_are_announced_once_each(house: House) -> None:
    house.server(LONG, timedelta(days=4))

    fell = [house.look(), house.look()]
    house.heard(timedelta(minutes=1))
    back = [house.look(), house.look()]

    assert fell == [["Silence from the plex server Attic"], []]
    assert back == [["The plex server Attic sends again"], []]


def test_silence_that_is_switched_off_ends_without_a_word(house: House) -> None:
    house.server(LONG, timedelta(days=4))
    house.look()

    assert house.look(days=0) == []


# --- senders that behave oddly


def heard(
    house: House, events: list[dict[str, Any]], ago: timedelta, source: str = "plex", raw: bytes = b"{}"
) -> None:
    at = house.now - ago
    one = ReceivedWebhook(source=source, token_id=None, received_at=at, content_type=None, raw=raw)

    def kept(connection: Connection) -> None:
        (made,) = inbox.store_webhooks(connection, [one])
        here = webhook.c.id == made
        connection.execute(update(webhook).where(here).values(state="interpreted", events=events))

    house.database.do(kept)


@pytest.mark.parametrize(("apart", "repeats"), [(timedelta(seconds=9), 1), (timedelta(seconds=11), 0)])
def test_a_sender_that_repeats_itself_is_told_apart(house: House, apart: timedelta, repeats: int) -> None:
    heard(house, [], timedelta(minutes=5), raw=b'{"a": 1}')
    heard(house, [], timedelta(minutes=5) - apart, raw=b'{"a": 1}')
    heard(house, [], timedelta(minutes=5) - apart, raw=b'{"a": 2}')

    found = house.database.ask(find_repeats)

    assert [one["repeats"] for one in found] == [repeats] * bool(repeats)


def late(house: House, source: str, off: timedelta, action: str = "start", count: int = 3) -> None:
    for number in range(count):
        ago = timedelta(minutes=number)
        at = (house.now - ago + off).isoformat()
        heard(house, [{"action": action, "at": at, "server": "attic", "server_name": "Attic"}], ago, source)


@pytest.mark.parametrize("source", ["jellyfin", "emby"])
def test_a_sender_of_which_the_clock_is_off_is_told_apart(house: House, source: str) -> None:
    late(house, source, timedelta(hours=-2))

    (one,) = house.database.ask(find_wrong_clocks)

    assert (one["source"], one["server"], one["seconds"]) == (source, "attic", -7200)


@pytest.mark.parametrize(
    ("source", "off", "action", "count"),
    [
        ("jellyfin", timedelta(minutes=4), "start", 3),
        ("jellyfin", timedelta(hours=2), "start", 2),
        ("jellyfin", timedelta(hours=-2), "watched", 3),
        ("plex", timedelta(hours=-2), "start", 3),
    ],
)
def test_no_clock_is_blamed_without_reason(
    house: House, source: str, off: timedelta, action: str, count: int
) -> None:
    late(house, source, off, action, count)

    assert house.database.ask(find_wrong_clocks) == []


# --- sending


class Post(BaseHTTPRequestHandler):
    """An address that takes notices."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(json.loads(body))  # type: ignore[attr-defined]
        time.sleep(self.server.slow)  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        if location := self.server.location:  # type: ignore[attr-defined]
            self.send_header("Location", location)
        self.end_headers()

    def log_message(self, *given: Any) -> None:
        return


@contextmanager
def post_office(status: int = 200, slow: float = 0, location: str = "") -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Post)
    server.got, server.status, server.slow, server.location = [], status, slow, location
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def address(server: Any, path: str = "hush-hush") -> str:
    return f"json://127.0.0.1:{server.server_port}/{path}/"


def send(urls: str) -> str | None:
    told = settings.load({"NOTIFY_URLS": urls})
    return asyncio.run(Notifier(told).send(Notice(title="Trakt of anna needs you", body="Sign in again")))


def test_a_notice_goes_to_every_address() -> None:
    with post_office() as one, post_office() as two:
        failed = send(f"{address(one)}, {address(two)}")

    assert failed is None
    assert [server.got[0]["title"] for server in (one, two)] == ["Trakt of anna needs you"] * 2
    assert one.got[0]["message"] == "Sign in again"


def test_an_address_that_refuses_is_said_without_itself(caplog: pytest.LogCaptureFixture) -> None:
    with post_office(status=500) as server, caplog.at_level(logging.DEBUG):
        failed = send(address(server))

    assert failed == "at least one address in NOTIFY_URLS did not take it"
    assert len(server.got) == 1
    assert "hush-hush" not in caplog.text


def test_a_notice_follows_no_redirect() -> None:
    with post_office() as elsewhere:
        with post_office(status=307, location=f"http://127.0.0.1:{elsewhere.server_port}/") as server:
            failed = send(address(server))

        assert failed == "at least one address in NOTIFY_URLS did not take it"
        assert len(server.got) == 1
        assert elsewhere.got == []


def test_an_address_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "SEND_TIMEOUT", 0.3)
    with post_office(slow=2) as server:
        began = time.monotonic()
        failed = send(address(server))
        took = time.monotonic() - began

    assert failed == "it took longer than 0 seconds"
    assert took < 1.5


def test_what_is_no_address_is_refused_without_being_repeated() -> None:
    failed = send("nonsense://hush-hush")

    assert failed is not None
    assert "NOTIFY_URLS" in failed
    assert "hush-hush" not in failed


# --- as a process


def test_a_person_hears_of_a_lost_sign_in_and_of_its_mending(tmp_path: Path) -> None:
    with Server(Trakt()) as trakt, post_office() as office:
        fake = trakt.fake
        app = {"TRAKT_CLIENT_ID": "fake-client-id", "TRAKT_CLIENT_SECRET": "fake-client-secret"}
        process = Process(
            tmp_path, **app, TRAKT_API_URL=trakt.url, TRAKT_AUTH_URL=trakt.url, TRAKT_WRITES_PER_SECOND="0",
            NOTIFY_URLS=address(office),
        ).prepare()  # fmt: skip
        process.connect(
            "trakt", {**fake.sign_in("anna"), "access_token": "worn out", "refresh_token": "gone"}
        )
        with started(process):
            process.post("plex", film("media.scrobble"))
            eventually(lambda: state(process) == "signed_out", "it is parked")
            process.stop()
            process.start()
            eventually(lambda: len(office.got) == 1, "one notice has come")
            process.stop()
            process.connect("trakt", fake.sign_in("anna"))
            process.start()
            eventually(lambda: len(office.got) == 2, "another has come")
            eventually(lambda: len(fake.user("anna").history) == 1, "what waited is told")

    assert [got["title"] for got in office.got] == ["Trakt of me needs you", "Trakt of me works again"]
    assert "hush-hush" not in process.log()


def state(process: Process) -> str:
    found = [one["state"] for one in process.api("/accounts")["items"] if one["tracker"] == "trakt"]
    return str(found[0])
