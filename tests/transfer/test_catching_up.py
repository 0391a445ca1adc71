"""Catch-up: what webhooks missed comes in once, and what they reported is left as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import select, update

from tests.evening import plex
from tests.fakes._server import Server
from tests.fakes.jellyfin_server import JellyfinServer
from tests.fakes.plex_server import PlexServer
from tests.fakes.tautulli_server import TautulliServer
from tests.transfer.test_backfilling import House, opened_house
from tests.transfer.test_bringing import DAY, HOUR, MINUTE
from webhook import clock
from webhook.domain.event import Action, Event, Ids, Movie
from webhook.domain.outcome import Retry
from webhook.history import edits
from webhook.people import household, identities, people
from webhook.queues import inbox
from webhook.servers import Found
from webhook.storage.db import Database
from webhook.storage.tables import person, webhook
from webhook.transfer import catch_up as catching_up
from webhook.transfer import import_job
from webhook.transfer.catch_up import CatchUp, Report, catch_up
from webhook.transfer.import_counts import Counts
from webhook.transfer.import_feeds import ServerFeed

MACHINE = "a" * 40
"""The server's own id, as tests.evening's webhooks have it."""


class Attic:
    """A house with a Plex server that it may ask, and webhooks of that server."""

    def __init__(self, house: House, server: PlexServer) -> None:
        self.house, self.server = house, server
        server.machine = MACHINE
        server.accounts = {1: "anna", 2: "ben"}
        server.devices = {1: "Living Room", 2: "Kitchen"}
        claims = update(person).values(created_at=clock.now() - 30 * DAY)
        house.database.do(lambda connection: connection.execute(claims))
        self.claim("plex:anna")

    def claim(self, who: str, name: str = people.FIRST_PERSON) -> None:
        self.house.database.do(
            lambda connection: identities.claim_identities(connection, name, who, clock.now())
        )
        self.house.interpret()

    def add(self, name: str) -> int:
        return self.house.database.do(lambda connection: people.add_person(connection, name, clock.now()))

    def view(self, number: int, at: datetime, *, account: int = 1, device: int = 1) -> None:
        metadata = plex("media.scrobble", number)["Metadata"]
        self.server.view({**metadata, "librarySectionID": 2}, at, account=account, device=device)

    def catch_up(self) -> list[Report]:
        reports = self.house.run(self.house.service.catch_up.run_once())
        self.house.interpret()
        return reports

    def missed(self) -> int:
        return sum(report.missed for report in self.catch_up())

    def webhooks(self, state: str | None = None) -> list[Any]:
        wanted = select(webhook).order_by(webhook.c.id)
        wanted = wanted if state is None else wanted.where(webhook.c.state == state)
        return self.house.database.ask(lambda connection: list(connection.execute(wanted).all()))


@pytest.fixture
def attic(url: str, tmp_path: Path) -> Iterator[Attic]:
    with Server(PlexServer()) as server:
        settings = {"PLEX_URL": server.url, "PLEX_TOKEN": "owner-token"}
        with opened_house(url, tmp_path, **settings) as house:
            yield Attic(house, server.fake)


def ago(**since: float) -> datetime:
    return (clock.now() - timedelta(**since)).replace(microsecond=0)


# --- what was missed


def test_what_was_missed_is_told_with_its_date_once(attic: Attic) -> None:
    attic.view(1, ago(hours=9))
    attic.view(2, ago(hours=8))

    assert attic.missed() == 2
    attic.house.delivered()

    assert [round((clock.now() - at) / HOUR) for at in attic.house.times()] == [9, 8]
    assert attic.house.trakt.made("POST /scrobble") == []
    (first, _) = attic.house.plays()
    assert (first.person_id, first.source, first.library) == (attic.house.me, "plex", "Series")


def test_what_was_missed_a_minute_ago_is_no_live_scrobble(attic: Attic) -> None:
    at = ago(minutes=1)
    attic.view(1, at)

    attic.catch_up()
    attic.house.delivered()

    assert attic.house.times() == [at]
    assert attic.house.trakt.made("POST /scrobble") == []


def test_a_second_time_nothing_is_missed(attic: Attic) -> None:
    attic.view(1, ago(hours=9))
    attic.catch_up()
    attic.house.delivered()

    (again,) = attic.catch_up()
    attic.house.delivered()

    assert (again.missed, again.known) == (0, 0)
    assert len(attic.house.history) == len(attic.house.plays()) == 1


def test_what_was_before_this_service_is_for_an_import(attic: Attic) -> None:
    attic.view(1, ago(days=400))
    attic.view(2, ago(days=29))

    assert attic.missed() == 1


def test_what_was_played_in_the_second_of_the_beginning_is_missed(attic: Attic) -> None:
    attic.view(1, ago(days=30))

    assert attic.missed() == 1


def test_what_was_watched_offline_is_found_though_it_is_recorded_late(attic: Attic) -> None:
    attic.view(1, ago(hours=3))
    attic.catch_up()
    attic.view(2, ago(hours=27))

    assert attic.missed() == 1
    assert len(attic.house.plays()) == 2


def test_a_server_whose_clock_is_ahead_is_still_asked_for_what_comes(attic: Attic) -> None:
    attic.view(1, clock.now() + 300 * DAY)
    attic.catch_up()
    attic.view(2, ago(minutes=5))

    assert attic.missed() == 1


# --- what the webhooks reported


@pytest.mark.parametrize("minutes", [-40, 0, 40])
def test_what_a_webhook_reported_is_not_missed(attic: Attic, minutes: int) -> None:
    when = ago(hours=6)
    attic.house.post(plex("media.scrobble", 1, lastViewedAt=int(when.timestamp())), when=when)
    attic.view(1, when + minutes * MINUTE)

    (report,) = attic.catch_up()

    assert (report.missed, report.known) == (0, 1)
    assert len(attic.house.plays()) == 1


def test_an_unfinished_play_gets_its_mark_and_is_told_once(attic: Attic) -> None:
    when = ago(hours=6)
    attic.house.post(plex("media.play", 1), when=when)
    attic.view(1, when + 40 * MINUTE)

    assert attic.missed() == 1
    attic.house.delivered()

    (row,) = attic.house.plays()
    assert (row.started_at, row.watched_at) == (when, when + 40 * MINUTE)
    assert attic.house.times() == [when + 40 * MINUTE]


def test_the_mark_goes_to_the_viewing_that_is_nearest(attic: Attic) -> None:
    """The rewatch that was begun afterwards stays unfinished."""
    when = ago(hours=6)
    attic.house.post(plex("media.scrobble", 1, lastViewedAt=int(when.timestamp())), when=when)
    again = plex("media.play", 1, viewOffset=0, duration=2_400_000)
    attic.house.post(plex("media.stop", 1), when=when + MINUTE)
    attic.house.post(again, when=when + 30 * MINUTE)
    attic.view(1, when)

    assert attic.missed() == 0
    assert [row.watched_at for row in attic.house.plays()] == [when, None]


@pytest.mark.parametrize("events", [["media.scrobble"], ["media.play", "media.scrobble", "media.stop"]])
def test_a_webhook_that_comes_after_the_repair_changes_nothing(attic: Attic, events: list[str]) -> None:
    when = ago(minutes=20)
    attic.view(1, when)
    attic.catch_up()
    attic.house.delivered()

    for event in events:
        attic.house.post(plex(event, 1))
    attic.house.delivered()

    assert len(attic.house.plays()) == 1
    assert len(attic.house.history) == 1


def test_a_viewing_that_is_over_before_its_webhooks_arrive_is_one(attic: Attic) -> None:
    """Asked in the middle of a viewing, from 90 % on: the live mark is not told again."""
    attic.house.post(plex("media.play", 1), when=ago(minutes=45))
    attic.view(1, ago(minutes=2))
    attic.catch_up()
    attic.house.post(plex("media.scrobble", 1), when=ago(minutes=1))
    attic.house.post(plex("media.stop", 1))

    attic.house.delivered()

    assert len(attic.house.plays()) == len(attic.house.history) == 1


# --- several viewings of one day


def watched(attic: Attic) -> list[datetime]:
    return sorted(row.watched_at for row in attic.house.plays())


@pytest.mark.parametrize("heard", [None, 0, 1, 2])
def test_an_episode_watched_three_times_in_a_row_is_three_plays(attic: Attic, heard: int | None) -> None:
    """The server lists each of them, and a webhook told of one at most."""
    times = [ago(minutes=minutes) for minutes in (290, 190, 90)]
    if heard is not None:
        at = times[heard] + MINUTE
        attic.house.post(plex("media.scrobble", 1, lastViewedAt=int(at.timestamp())), when=at)
    before = watched(attic)
    for at in times:
        attic.view(1, at)

    missed, again = attic.missed(), attic.missed()
    attic.house.delivered()

    assert (missed, again) == (3 - len(before), 0)
    rest = [at for place, at in enumerate(times) if place != heard]
    assert watched(attic) == sorted(before + rest)
    assert sorted(attic.house.times()) == watched(attic)


def test_each_of_a_person_s_entries_is_another_play_in_whatever_parts_they_come(
    attic: Attic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "BATCH_SIZE", 1)
    at = ago(hours=5)
    attic.house.post(plex("media.scrobble", 1, lastViewedAt=int(at.timestamp())), when=at)
    for minutes in (-200, -100, 0):
        attic.view(1, at + minutes * MINUTE)

    assert attic.missed() == 2
    assert watched(attic) == [at - 200 * MINUTE, at - 100 * MINUTE, at]


@pytest.mark.parametrize(
    ("length", "minutes", "plays"),
    [(42, 10, 1), (42, 35, 1), (42, 40, 2), (100, 85, 1), (100, 95, 2), (None, 55, 1), (None, 65, 2)],
)
def test_a_second_entry_counts_where_a_viewing_fits_between(
    attic: Attic, length: int | None, minutes: int, plays: int
) -> None:
    """The server also lists looks at the end."""
    known = {} if length is None else {"duration": length * 60_000}
    metadata = {**plex("media.scrobble", 1)["Metadata"], **known}
    at = ago(hours=5)
    for one in (at, at + minutes * MINUTE):
        attic.server.view(metadata, one)

    attic.catch_up()

    assert len(attic.house.plays()) == plays


def test_a_look_at_the_end_that_was_heard_is_none_whenever_it_was(attic: Attic) -> None:
    at = ago(hours=5)
    again = at + 120 * MINUTE
    attic.house.post(plex("media.scrobble", 1, lastViewedAt=int(at.timestamp())), when=at)
    for event, seconds in (("media.play", 0), ("media.stop", 60)):
        end = plex(event, 1, viewOffset=5_900_000, duration=6_000_000)
        attic.house.post(end, when=again + timedelta(seconds=seconds))
    for one in (at, again + MINUTE):
        attic.view(1, one)

    assert attic.missed() == 0
    assert watched(attic) == [at]


def test_the_server_s_history_adds_nothing_to_what_was_caught_up_with(attic: Attic) -> None:
    at = ago(hours=5)
    attic.house.post(plex("media.scrobble", 1, lastViewedAt=int(at.timestamp())), when=at)
    for minutes in (-200, -100, 0):
        attic.view(1, at + minutes * MINUTE)
    attic.catch_up()

    async def mine(event: Event) -> bool:
        return event.user == "anna"

    feed = ServerFeed(attic.house.service.servers["plex"], mine)
    report = attic.house.run(import_job.run(attic.house.database, attic.house.me, feed))

    assert report.counts == Counts(known=3)


def test_a_removed_play_does_not_come_back(attic: Attic) -> None:
    when = ago(hours=6)
    attic.house.post(plex("media.scrobble", 1, lastViewedAt=int(when.timestamp())), when=when)
    attic.view(1, when)
    (row,) = attic.house.plays()
    attic.house.database.do(lambda connection: edits.remove_play(connection, row.id, {}, None, clock.now()))

    assert attic.missed() == 0
    assert attic.house.plays() == []


def test_a_redated_play_does_not_come_back_under_its_old_date(attic: Attic) -> None:
    when = ago(hours=6)
    attic.house.post(plex("media.scrobble", 1, lastViewedAt=int(when.timestamp())), when=when)
    attic.view(1, when)
    (row,) = attic.house.plays()
    year = when - 365 * DAY
    attic.house.database.do(
        lambda connection: edits.redate_play(connection, row.id, year, {}, None, clock.now())
    )

    assert attic.missed() == 0
    assert [one.watched_at for one in attic.house.plays()] == [year]


# --- whose it is


def test_what_nobody_claims_waits_for_a_claim_once(attic: Attic) -> None:
    attic.view(1, ago(hours=9), account=2)
    attic.catch_up()
    attic.catch_up()

    (waiting,) = attic.webhooks("unclaimed")
    assert attic.house.plays() == []
    attic.add("ben")
    attic.claim("plex:ben", "ben")

    (row,) = attic.house.plays()
    assert row.person_id != attic.house.me
    assert [one.id for one in attic.webhooks("interpreted")] == [waiting.id]


def test_filters_hold(attic: Attic) -> None:
    only = update(person).values(filters={"not_libraries": ["Series"]})
    attic.house.database.do(lambda connection: connection.execute(only))
    attic.view(1, ago(hours=9))

    attic.catch_up()

    assert attic.house.plays() == []
    assert len(attic.webhooks("ignored")) == 1


def test_a_household_s_player_counts_for_everybody_of_it(attic: Attic) -> None:
    ben = attic.add("ben")
    names = [people.FIRST_PERSON, "ben"]
    attic.house.database.do(
        lambda connection: household.add_rule(connection, ["Kitchen"], [], names, clock.now())
    )
    attic.view(1, ago(hours=9), device=2)

    attic.catch_up()
    again = attic.missed()

    assert {row.person_id for row in attic.house.plays()} == {attic.house.me, ben}
    assert again == 0


# --- when something breaks


def test_a_server_that_is_away_is_asked_again_for_the_same(attic: Attic) -> None:
    attic.view(1, ago(hours=9))
    attic.house.trakt.calls.clear()
    attic.server.faults.add("GET /status/sessions/history", status=503, times=-1)

    (away,) = attic.catch_up()
    assert not away.works
    shown = attic.house.database.ask(
        lambda connection: catching_up.server_progress(connection, attic.house.service.servers)
    )
    assert "503" in (shown[0]["error"] or "")
    assert shown[0]["read_until"] is None
    attic.server.faults.clear()

    assert attic.missed() == 1


class Record:
    """A server of the test's own: what it has, and after how many it breaks off."""

    name, label = "plex", "Plex"

    def __init__(self, count: int) -> None:
        began = ago(hours=count + 1)
        self.entries = [self.entry(number, began + number * HOUR) for number in range(1, count + 1)]
        self.breaks_after: int | None = None
        self.break_by: Callable[[], BaseException] = lambda: Retry("Plex broke off")
        self.asked: list[datetime | None] = []

    def entry(self, number: int, at: datetime) -> Found:
        item = Movie(title=f"Film {number}", year=2001, ids=Ids(tmdb=number))
        event = Event(action=Action.WATCHED, item=item, at=at, user="anna", server=MACHINE, recorded=True)
        return Found(event=event, key=str(number))

    async def plays(self, since: datetime | None) -> AsyncIterator[Found]:
        self.asked.append(since)
        for count, found in enumerate(self.entries):
            if count == self.breaks_after:
                raise self.break_by()
            if since is None or found.event.at > since:
                yield found

    async def check(self) -> str:
        return "Attic"


def test_what_came_before_the_server_broke_off_is_kept_and_the_rest_comes_later(
    attic: Attic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "BATCH_SIZE", 3)
    record = Record(10)
    record.breaks_after = 7
    house = attic.house

    broken = house.run(catch_up(house.database, record))
    house.interpret()
    assert (broken.missed, broken.works, len(house.plays())) == (6, False, 7)
    record.breaks_after = None
    whole = house.run(catch_up(house.database, record))
    house.interpret()

    assert (whole.missed, whole.works, len(house.plays())) == (3, True, 10)
    assert record.asked[0] == record.asked[1]


def test_a_process_that_dies_in_the_middle_has_stored_what_it_passed(
    attic: Attic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "BATCH_SIZE", 3)
    record = Record(10)
    record.breaks_after, record.break_by = 5, asyncio.CancelledError
    house = attic.house

    with pytest.raises(asyncio.CancelledError):
        house.run(catch_up(house.database, record))
    record.breaks_after = None
    whole = house.run(catch_up(house.database, record))
    house.interpret()

    assert whole.missed == 7
    assert len(house.plays()) == 10


# --- several servers


def test_plex_and_tautulli_asked_for_one_server_do_not_double(url: str, tmp_path: Path) -> None:
    with Server(PlexServer()) as plex_server, Server(TautulliServer()) as tautulli:
        more = {"PLEX_URL": plex_server.url, "PLEX_TOKEN": "owner-token", "TAUTULLI_URL": tautulli.url}
        more["TAUTULLI_API_KEY"] = tautulli.fake.switches.key
        with opened_house(url, tmp_path, **more) as house:
            attic = Attic(house, plex_server.fake)
            tautulli.fake.server = {"pms_identifier": MACHINE, "pms_name": "Attic"}
            when = ago(hours=5)
            house.trakt.catalogue.add("movie", title="Film 7", year=2001, ids={"tmdb": 7})
            film = {"type": "movie", "title": "Film 7", "year": 2001, "guid": "plex://movie/7"}
            film |= {"ratingKey": "7", "Guid": [{"id": "tmdb://7"}], "librarySectionID": 1}
            plex_server.fake.view(film, when)
            tautulli.fake.items["7"] = {"guids": ["tmdb://7"], "duration": "6000000"}
            row = {"media_type": "movie", "title": "Film 7", "year": 2001, "rating_key": 7}
            tautulli.fake.sit({**row, "user": "anna", "user_id": 1}, when + 9 * MINUTE)

            found = attic.catch_up()
            house.delivered()

            assert all(report.works for report in found)
            assert len(house.plays()) == len(house.history) == 1


def test_a_jellyfin_is_asked_for_each_user(url: str, tmp_path: Path) -> None:
    with Server(JellyfinServer()) as server:
        more = {"JELLYFIN_URL": server.url, "JELLYFIN_API_KEY": server.fake.switches.key}
        with opened_house(url, tmp_path, **more) as house:
            created = update(person).values(created_at=clock.now() - 30 * DAY)
            house.database.do(lambda connection: connection.execute(created))
            house.database.do(
                lambda connection: identities.claim_identities(
                    connection, people.FIRST_PERSON, "jellyfin:Nora", clock.now()
                )
            )
            dto = {
                "Id": f"{7:032x}", "Type": "Movie", "Name": "Film 7", "ProductionYear": 2001,
                "ProviderIds": {"Tmdb": "7"}, "RunTimeTicks": 60_000_000_000,
            }  # fmt: skip
            server.fake.play("d1" * 16, "Nora", dto, ago(hours=5))
            server.fake.play("d2" * 16, "Ben", dto, ago(hours=4))

            house.run(house.service.catch_up.run_once())
            house.interpret()

            (row,) = house.plays()
            assert (row.person_id, row.source) == (house.me, "jellyfin")


# --- when it is asked


def test_it_rests_until_the_night_or_as_long_as_is_set(database: Database) -> None:
    nightly = CatchUp(database, {}, asyncio.Event(), 0)
    often = CatchUp(database, {}, asyncio.Event(), 15)
    now = clock.now()

    assert timedelta(0) < nightly.rest(now) <= DAY
    assert (now + nightly.rest(now)).astimezone().time().replace(second=0, microsecond=0) == catching_up.NIGHT
    assert often.rest(now) <= 15 * MINUTE


def test_a_server_that_could_not_be_read_is_asked_again_before_the_night(database: Database) -> None:
    class Away:
        name = "plex"
        is_there = False
        viewings: Sequence[Any] = ()

        async def plays(self, since: datetime | None) -> AsyncIterator[Any]:
            stop.set()
            if not self.is_there:
                raise Retry("it starts")
            for found in self.viewings:
                yield found

    away, stop = Away(), asyncio.Event()
    nightly = CatchUp(database, {"plex": cast(Any, away)}, asyncio.Event(), 0)
    pauses = []
    for away.is_there in (False, False, True):
        stop.clear()
        asyncio.run(nightly.run(stop))
        pauses.append(nightly.rest(datetime(2026, 11, 30, 12, tzinfo=UTC)))

    assert pauses[:2] == [MINUTE, 2 * MINUTE]
    assert pauses[2] > timedelta(hours=6)


def test_an_event_found_is_kept_and_read_again_as_it_was(attic: Attic) -> None:
    attic.view(1, ago(hours=9))
    attic.catch_up()
    (row,) = attic.webhooks()
    before = [dict(one._mapping) for one in attic.house.plays()]

    attic.house.database.do(lambda connection: inbox.requeue(connection, [row.id]))
    attic.house.interpret()

    assert [dict(one._mapping) for one in attic.house.plays()] == before
