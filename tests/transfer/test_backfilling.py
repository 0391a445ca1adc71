"""Backfill: the account gets what it lacks, once, with its date; and what it had stays as it is."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, delete, select, update

from tests.conftest import driver
from tests.evening import plex
from tests.fakes._server import Server
from tests.fakes.lastfm import LastFM
from tests.fakes.trakt import Trakt
from tests.faults.house import at
from tests.prepared import open_service
from tests.transfer.test_bringing import DAY, EVENING, FILM, HOUR, MINUTE, seen
from webhook import clock
from webhook.accounts import accounts
from webhook.domain.event import STREAMS, Episode, Ids, Movie, Track
from webhook.domain.play import Dated
from webhook.people import people
from webhook.queries.deliveries import DeliveryJson, list_deliveries
from webhook.queues import inbox, jobs
from webhook.queues.inbox import ReceivedWebhook
from webhook.storage.tables import account, delivery, play
from webhook.transfer import backfill as backfilling
from webhook.transfer.backfill import NoBackfill
from webhook.transfer.merge import merge_entries
from webhook.transfer.records import Viewing

T = TypeVar("T")


def part(number: int, **values: Any) -> Episode:
    """An episode of one show, with ids of its own."""
    known: dict[str, Any] = {"ids": Ids(tvdb=100_000 + number), "show_ids": Ids(tvdb=88)}
    return Episode(show="Tidewater", season=1, number=number, **{**known, **values})


class House:
    """A service in this process, its parts worked by hand, and the fake Trakt of its person."""

    def __init__(self, runner: asyncio.Runner, trakt: Trakt, environ: dict[str, str]) -> None:
        self.runner, self.trakt = runner, trakt
        self.environ = environ
        self.service = open_service(environ)
        self.database = self.service.database
        self.me = self.database.ask(lambda connection: people.find_person(connection, people.FIRST_PERSON).id)
        self.account = self.sign_in()

    def sign_in(self) -> int:
        """Sign in to Trakt, anew if need be; the account."""
        sealed = self.service.seal.seal(dict(self.trakt.sign_in("anna")))
        tracker = self.service.trackers["trakt"]
        return self.database.do(
            lambda connection: accounts.store_tokens(
                connection, self.me, tracker, sealed, "anna", clock.now()
            )
        )

    def reopen(self) -> None:
        """Another process takes over."""
        self.close()
        self.service = open_service(self.environ)
        self.database = self.service.database

    def close(self) -> None:
        self.run(self.service.http.aclose())
        self.service.database.close()

    def run(self, work: Awaitable[T]) -> T:
        async def worked() -> T:
            return await work

        return self.runner.run(worked())

    # --- what goes in

    def bring(self, *viewings: Viewing) -> None:
        self.database.do(lambda connection: merge_entries(connection, self.me, viewings, clock.now(), 1))

    def post(self, payload: dict[str, Any], source: str = "plex", when: datetime | None = None) -> int:
        """A webhook, received and interpreted."""
        import orjson

        received = ReceivedWebhook(
            source=source,
            token_id=None,
            received_at=when or clock.now(),
            content_type=None,
            raw=orjson.dumps(payload),
        )
        (made,) = self.database.do(lambda connection: inbox.store_webhooks(connection, [received]))
        self.interpret()
        return made

    def interpret(self) -> None:
        while self.database.do(lambda connection: self.service.interpreter.interpret(connection, [16]))[0]:
            pass

    def rules(self, **rules: Any) -> None:
        values = update(account).where(account.c.id == self.account).values(rules=rules)
        self.database.do(lambda connection: connection.execute(values))

    def hold_on(self) -> None:
        """Let what is held back for a time go on at once."""
        values = update(account).values(held_until=None, due_at=clock.now() - DAY)
        self.database.do(lambda connection: connection.execute(values))

    # --- what works

    async def deliver(self) -> None:
        """Send what is due until nothing is."""
        dispatcher = self.service.dispatcher
        while await dispatcher.claim() or dispatcher._lanes:
            await asyncio.gather(*dispatcher._lanes)

    def delivered(self) -> None:
        self.run(self.deliver())

    def begin(self) -> int:
        tracker = self.service.trackers["trakt"]
        return self.database.do(
            lambda connection: backfilling.begin(connection, tracker, self.account, clock.now())
        )

    def step(self) -> bool:
        return self.run(self.service.backfills.run_once())

    def work_off(self, job_id: int, steps: int = 30) -> jobs.JobJson:
        """Go on with the backfill until it is over; the job."""
        for _ in range(steps):
            self.step()
            self.delivered()
            if self.job(job_id)["state"] != "running":
                return self.job(job_id)
        raise AssertionError(self.job(job_id))

    def backfill(self) -> jobs.JobJson:
        return self.work_off(self.begin())

    def preview(self) -> backfilling.Preview:
        service = self.service
        found = backfilling.preview(
            self.database, service.trackers["trakt"], service.credentials, self.account
        )
        return self.run(found)

    # --- what there is

    def job(self, job_id: int) -> jobs.JobJson:
        found = self.database.ask(jobs.list_jobs)
        return next(one for one in found if one["id"] == job_id)

    def deliveries(self, state: str | None = None) -> list[DeliveryJson]:
        found = self.database.ask(
            lambda connection: list_deliveries(connection, tracker="trakt", state=state, limit=500)
        )
        return list(reversed(found["items"]))

    def plays(self) -> list[Any]:
        wanted = select(play).where(play.c.removed_at.is_(None)).order_by(play.c.id)
        return self.database.ask(lambda connection: list(connection.execute(wanted).all()))

    @property
    def history(self) -> list[dict[str, Any]]:
        return self.trakt.user("anna").history

    def times(self) -> list[datetime]:
        """When what the account holds was watched, the earliest first."""
        return sorted(datetime.fromisoformat(row["watched_at"]) for row in self.history)

    def hold(self, wanted: dict[str, Any]) -> None:
        """Put something into the account that we did not."""
        user = self.trakt.user("anna")
        tokens = self.trakt.sign_in("anna")
        import httpx

        headers = {
            "authorization": f"Bearer {tokens['access_token']}",
            "content-type": "application/json",
            "trakt-api-key": "fake-client-id",
            "trakt-api-version": "2",
        }
        before = len(user.history)
        body = json.dumps(wanted).replace("+00:00", "Z")
        answer = httpx.post(f"{self.environ['TRAKT_API_URL']}/sync/history", content=body, headers=headers)
        assert answer.is_success, answer.text
        assert len(user.history) > before
        self.trakt.calls.clear()


@pytest.fixture
def house(url: str, tmp_path: Path) -> Iterator[House]:
    with opened_house(url, tmp_path) as opened:
        yield opened


class opened_house:  # noqa: N801 - reads as a word
    """The house, with the settings that a test adds."""

    def __init__(self, url: str, folder: Path, **more: str) -> None:
        self.environ = {
            "DATABASE_URL": driver(url),
            "DATA_DIR": str(folder),
            "CLAIM_FIRST_USER": "true",
            **more,
        }

    def __enter__(self) -> House:
        self.runner = asyncio.Runner()
        self.server = Server(Trakt(window_minutes=0))
        self.server.__enter__()
        trakt: Trakt = self.server.fake
        self.house = House(self.runner, trakt, {**at(self.server.url), **self.environ})
        return self.house

    def __exit__(self, *_: object) -> None:
        self.house.close()
        self.runner.close()
        self.server.__exit__()


def writes(house: House) -> int:
    return len([call for call in house.trakt.made("POST /sync/history") if call.path == "/sync/history"])


# --- what is sent


def test_the_account_gets_what_it_lacks_with_its_dates_in_batches(house: House) -> None:
    house.bring(*(seen(part(number), EVENING + number * HOUR) for number in range(1, 121)))

    done = house.backfill()

    assert house.times() == [EVENING + number * HOUR for number in range(1, 121)]
    assert (done["state"], done["counts"]["sent"], done["counts"]["done"]) == ("done", 120, 120)
    assert writes(house) <= 4


def test_a_stream_by_its_address_is_not_among_what_it_lacks(house: House) -> None:
    stream = Movie(title="https://video.example/a")
    house.bring(seen(stream, EVENING, server=STREAMS), seen(FILM, EVENING))

    done = house.backfill()

    assert (done["state"], done["counts"]["sent"], done["counts"]["done"]) == ("done", 1, 1)


def test_a_second_backfill_sends_nothing(house: House) -> None:
    house.bring(seen(FILM, EVENING), seen(part(1), EVENING))
    house.backfill()
    house.trakt.calls.clear()

    done = house.backfill()

    assert writes(house) == 0
    assert done["counts"]["sent"] == 0
    assert done["counts"]["told"] == 2


@pytest.mark.parametrize("minutes", [-20, 0, 3])
def test_what_it_holds_is_not_sent_though_its_date_is_off(house: House, minutes: int) -> None:
    there = (EVENING + minutes * MINUTE).isoformat()
    house.hold({"episodes": [{"ids": {"tvdb": 100_001}, "watched_at": there}]})
    house.bring(seen(part(1), EVENING), seen(part(1), EVENING + DAY))

    done = house.backfill()

    assert (done["counts"]["held"], done["counts"]["sent"]) == (1, 1)
    assert house.times() == [EVENING + minutes * MINUTE, EVENING + DAY]


@pytest.mark.parametrize("there", [(0,), (30,), (62,), (1, 58)])
def test_each_viewing_that_it_holds_is_one_of_the_plays_of_that_day(
    house: House, there: tuple[int, ...]
) -> None:
    times = [EVENING + minutes * MINUTE for minutes in (0, 30, 60)]
    held = [EVENING + minutes * MINUTE for minutes in there]
    house.bring(*(seen(part(1), at) for at in times))
    for one in held:
        house.hold({"episodes": [{"ids": {"tvdb": 100_001}, "watched_at": one.isoformat()}]})

    done = house.backfill()

    lacked = [at for at in times if min(abs(at - one) for one in held) > 2 * MINUTE]
    assert (done["counts"]["held"], done["counts"]["sent"]) == (len(held), len(lacked))
    assert house.times() == sorted(held + lacked)


def test_what_it_holds_under_other_ids_is_found_by_what_they_share(house: House) -> None:
    """Theirs knows the episode by its own id, ours by its show and place."""
    held = [{"number": 1, "watched_at": EVENING.isoformat()}]
    house.hold({"shows": [{"ids": {"tvdb": 88}, "seasons": [{"number": 1, "episodes": held}]}]})
    house.bring(seen(part(1, ids=Ids(imdb="tt1")), EVENING))

    assert house.backfill()["counts"]["held"] == 1


def test_a_remake_of_the_same_title_is_not_what_it_holds(house: House) -> None:
    """A tick without a date would be any earlier viewing; of another show it is none."""
    held = {"title": "Tidewater", "ids": {"tvdb": 99}, "episodes": [{"season": 1, "number": 1}]}
    house.trakt.catalogue.load({"shows": [held]})
    of_show = {"seasons": [{"number": 1, "episodes": [{"number": 1, "watched_at": EVENING.isoformat()}]}]}
    house.hold({"shows": [{"ids": {"tvdb": 99}, **of_show}]})
    ticked = seen(part(1, ids=Ids()), EVENING + 90 * DAY, dated=Dated.TICKED)
    house.bring(ticked)

    assert house.preview().counts.to_json() == {"sent": 1, "held": 0, "told": 0, "kept_back": 0}


def test_a_ticked_play_is_any_viewing_that_it_holds(house: House) -> None:
    house.hold({"movies": [{"ids": {"tmdb": 900001}, "watched_at": "2014-01-01T12:00:00Z"}]})
    house.bring(seen(FILM, EVENING, dated=Dated.TICKED))

    assert house.backfill()["counts"] == {"sent": 0, "held": 1, "told": 0, "kept_back": 0}


@pytest.mark.parametrize("unknown", [None, "1970-01-01T00:00:00.000Z"])
def test_a_play_without_a_date_is_backfilled_without_one(house: House, unknown: str | None) -> None:
    house.trakt.switches.unknown_date = unknown
    house.bring(seen(FILM, clock.now(), dated=Dated.TICKED), seen(part(1), clock.now(), dated=Dated.TICKED))

    done = house.backfill()
    house.database.do(lambda connection: connection.execute(delete(delivery)))
    again = house.backfill()

    assert (done["counts"]["done"], again["counts"]["held"]) == (2, 2)
    assert [row["watched_at"] for row in house.history] == [unknown] * 2
    assert house.trakt.made("POST /scrobble") == []


def test_a_day_is_backfilled_as_a_day(house: House) -> None:
    noon = EVENING.replace(hour=12, minute=0, second=0)
    house.bring(seen(FILM, noon, dated=Dated.DAY))

    house.backfill()

    assert house.times() == [noon]


def test_what_was_seen_just_now_is_backfilled_with_its_date(house: House) -> None:
    at = clock.now().replace(microsecond=0) - 2 * MINUTE
    house.bring(seen(FILM, at))

    house.backfill()

    assert house.times() == [at]
    assert house.trakt.made("POST /scrobble") == []


def test_a_backfill_of_the_undated_lets_what_is_live_go_first(house: House) -> None:
    house.bring(*(seen(part(number), clock.now(), dated=Dated.TICKED) for number in range(1, 6)))
    house.begin()
    house.step()
    house.post(plex("media.play", 9, viewOffset=600_000, duration=2_400_000))

    house.delivered()

    first = next(call for call in house.trakt.calls if call.method == "POST")
    assert first.path == "/scrobble/start"


def test_an_undated_viewing_there_is_no_more_than_one_of_ours(house: House) -> None:
    house.hold({"movies": [{"ids": {"tmdb": 900001}, "watched_at": "unknown"}]})
    house.bring(seen(FILM, EVENING), seen(FILM, EVENING + 30 * DAY))

    done = house.backfill()

    assert (done["counts"]["held"], done["counts"]["sent"]) == (1, 1)


def test_where_nothing_is_kept_without_a_date_it_is_skipped_with_the_reason(url: str, tmp_path: Path) -> None:
    with Server(LastFM()) as lastfm, opened_house(url, tmp_path, **at_lastfm(lastfm)) as house:
        sealed = house.service.seal.seal(dict(lastfm.fake.sign_in("anna")))
        tracker = house.service.trackers["lastfm"]

        def keep(connection: Connection) -> int:
            return accounts.store_tokens(connection, house.me, tracker, sealed, "anna", clock.now())

        account_id = house.database.do(keep)
        song = Track(title="Roygbiv", artist="Boards of Canada")
        house.bring(seen(song, clock.now(), dated=Dated.TICKED), seen(song, clock.now() - DAY))
        shown = house.run(backfilling.preview(house.database, tracker, house.service.credentials, account_id))
        job_id = house.database.do(
            lambda connection: backfilling.begin(connection, tracker, account_id, clock.now())
        )

        done = house.work_off(job_id)

        (skipped,) = house.database.ask(
            lambda connection: list_deliveries(connection, tracker="lastfm", state="skipped")
        )["items"]
        assert skipped["reason"] == (
            "nobody knows when it was watched, and Last.fm keeps nothing without a date"
        )
        assert (shown.counts.sent, shown.counts.kept_back) == (1, 1)
        assert (done["counts"]["done"], done["counts"]["kept_back"]) == (1, 1)
        assert len(lastfm.fake.user("anna").scrobbles) == 1


def at_lastfm(server: Server) -> dict[str, str]:
    """The settings that lead to the fake Last.fm."""
    app = {"LASTFM_API_KEY": "a" * 32, "LASTFM_SECRET": "b" * 32, "LASTFM_WRITES_PER_SECOND": "0"}
    return {**app, "LASTFM_API_URL": f"{server.url}/2.0/"}


def test_what_is_no_viewing_any_more_is_not_sent(house: House) -> None:
    house.bring(seen(FILM, EVENING), seen(part(1), EVENING), seen(part(2), EVENING, watched_at=None))
    now = clock.now()
    gone = [{"removed_at": now}, {"unwatched_at": now}]
    for row, values in zip(house.plays(), gone, strict=False):
        of = update(play).where(play.c.id == row.id).values(values)
        house.database.do(lambda connection, of=of: connection.execute(of))  # type: ignore[misc]

    assert house.backfill()["counts"]["sent"] == 0


# --- beforehand


def test_a_preview_sends_nothing_and_is_what_is_sent(house: House) -> None:
    house.hold({"movies": [{"ids": {"tmdb": 900001}, "watched_at": EVENING.isoformat()}]})
    house.rules(not_libraries=["Kids"])
    house.bring(
        seen(FILM, EVENING),
        seen(part(1), EVENING + DAY, library="Kids"),
        *(seen(part(number), EVENING + number * DAY, library="Series") for number in (2, 3)),
    )

    shown = house.preview()
    assert (shown.holds, house.trakt.made("POST /"), house.deliveries()) == (1, [], [])
    done = house.backfill()

    assert shown.counts.to_json() == {"sent": 2, "held": 1, "told": 0, "kept_back": 1}
    assert shown.counts.to_json().items() <= done["counts"].items()
    assert [play["number"] for play in shown.plays] == [2, 3]
    assert (shown.first, shown.last) == (EVENING + 2 * DAY, EVENING + 3 * DAY)
    assert len(house.history) == 3


def test_an_account_in_a_dry_run_is_sent_nothing_until_it_is_over(house: House) -> None:
    house.rules(dry_run=True)
    house.bring(seen(FILM, EVENING))

    done = house.backfill()
    assert (house.trakt.made("POST /"), done["counts"]["skipped"]) == ([], 1)
    house.rules()
    house.backfill()

    assert house.times() == [EVENING]


def test_what_cannot_be_filled_is_said(house: House) -> None:
    tracker = house.service.trackers["trakt"]
    with pytest.raises(NoBackfill, match="no such account"):
        house.database.do(lambda connection: backfilling.begin(connection, tracker, 999, clock.now()))


def test_one_backfill_at_a_time(house: House) -> None:
    assert house.begin() == house.begin()


# --- meanwhile


def test_what_is_watched_meanwhile_goes_first(house: House) -> None:
    house.bring(*(seen(part(number), EVENING + number * HOUR) for number in range(1, 61)))
    job_id = house.begin()
    house.step()
    house.post(plex("media.scrobble", 900))

    house.delivered()

    first, *_ = [call.path for call in house.trakt.made("POST /")]
    assert first == "/scrobble/stop"
    done = house.work_off(job_id)
    assert (len(house.history), done["counts"]["sent"]) == (61, 60)


def test_only_so_many_wait_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfilling, "AHEAD", 5)
    house.bring(*(seen(part(number), EVENING + number * HOUR) for number in range(1, 13)))
    job_id = house.begin()

    house.step()
    house.step()

    assert len(house.deliveries("waiting")) == 5
    assert house.work_off(job_id)["counts"]["done"] == 12


def test_what_is_imported_meanwhile_is_sent_too_whatever_its_date(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfilling, "AHEAD", 2)
    house.bring(*(seen(part(number), EVENING + number * HOUR) for number in range(1, 5)))
    job_id = house.begin()
    house.step()
    house.delivered()

    house.bring(seen(part(50), EVENING - 90 * DAY), seen(part(51), EVENING + 90 * DAY))
    done = house.work_off(job_id)

    assert len(house.history) == 6
    assert done["counts"] == {"sent": 6, "held": 0, "told": 0, "kept_back": 0, "done": 6}


def test_a_cancelled_backfill_takes_back_what_waits_and_another_sends_it(house: House) -> None:
    house.bring(seen(FILM, EVENING), seen(part(1), EVENING))
    job_id = house.begin()
    house.step()

    gone = house.database.do(lambda connection: backfilling.cancel(connection, job_id, clock.now()))
    house.step()
    house.delivered()
    assert (gone, house.history, house.job(job_id)["state"]) == (2, [], "cancelled")
    done = house.backfill()

    assert (len(house.history), done["counts"]["done"]) == (2, 2)


def test_a_sign_in_that_ends_in_the_middle_is_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfilling, "AHEAD", 2)
    house.bring(*(seen(part(number), EVENING + number * HOUR) for number in range(1, 7)))
    job_id = house.begin()
    house.step()
    house.delivered()
    house.trakt.sessions.clear()

    for _ in range(3):
        house.step()
        house.delivered()
    assert (house.job(job_id)["state"], len(house.history)) == ("running", 2)
    assert {entry["reason"] for entry in house.deliveries("parked")} == {"signed_out"}
    house.reopen()
    house.step()
    assert house.job(job_id)["state"] == "running"

    house.sign_in()
    house.service.backfills.rests.clear()
    assert house.work_off(job_id)["counts"]["done"] == 6
    assert len(house.history) == 6


def test_without_a_sign_in_it_does_not_begin_and_says_why(house: House) -> None:
    house.trakt.sessions.clear()
    house.bring(seen(FILM, EVENING))

    done = house.backfill()

    assert done["state"] == "failed"
    assert done["error"]


def test_a_service_that_is_down_is_asked_again_later_and_not_at_once(house: House) -> None:
    house.trakt.faults.add("GET /sync/history", status=503, times=-1)
    house.bring(seen(FILM, EVENING))
    job_id = house.begin()

    for _ in range(5):
        house.step()

    assert len(house.trakt.made("GET /sync/history")) == 1
    assert house.job(job_id)["state"] == "running"
    assert "503" in str(house.job(job_id)["error"])
    house.trakt.faults.clear()
    house.service.backfills.rests.clear()
    done = house.work_off(job_id)
    assert (done["state"], done["error"]) == ("done", None)


def test_a_slower_pace_that_is_asked_for_is_kept(house: House) -> None:
    house.bring(*(seen(part(number), EVENING + number * HOUR) for number in range(1, 4)))
    job_id = house.begin()
    house.trakt.faults.add("POST /sync/history", status=429, headers={"retry-after": "120"}, times=1)
    house.step()

    house.delivered()
    house.delivered()

    held = select(account.c.held_until).where(account.c.id == house.account)
    until = house.database.ask(lambda connection: connection.execute(held).scalar_one())
    assert until > clock.now() + timedelta(seconds=100)
    assert writes(house) == 1
    house.hold_on()
    assert house.work_off(job_id)["counts"]["done"] == 3
    assert len(house.history) == 3


def test_another_process_goes_on_where_it_was(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfilling, "AHEAD", 3)
    house.bring(*(seen(part(number), EVENING + number * HOUR) for number in range(1, 11)))
    job_id = house.begin()
    for _ in range(5):
        house.step()
        house.delivered()
        house.reopen()

    done = house.work_off(job_id)

    assert Counter(row["episode"]["ids"]["tvdb"] for row in house.history) == Counter(range(100_001, 100_011))
    assert done["counts"] == {"sent": 10, "held": 0, "told": 0, "kept_back": 0, "done": 10}


def test_a_film_that_trakt_does_not_know_waits_for_a_person_and_holds_nothing_up(house: House) -> None:
    house.bring(seen(FILM, EVENING), seen(Movie(title="Lost Reel", ids=Ids(tmdb=4_242_420)), EVENING + DAY))

    done = house.backfill()

    assert (done["state"], done["counts"]["done"], done["counts"]["unmatched"]) == ("done", 1, 1)
