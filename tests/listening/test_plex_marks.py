"""Marks and ratings by hand in Plex. The numbers of traps are those of the contract of media servers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes._inside import Inside
from tests.fakes.plex_server import PlexServer
from tests.listening._ears import Ears
from webhook import client
from webhook.domain.event import Action, Episode
from webhook.domain.outcome import Undelivered
from webhook.servers.plex import Settings, build
from webhook.servers.plex.polling import Poller

AT = datetime(2026, 11, 29, 20, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
BEN = 70011223


class Attic:
    """A server with films and a show, and the poller that asks it."""

    def __init__(self, fake: PlexServer, url: str) -> None:
        self.fake = fake
        self.ears = Ears()
        self.playing: set[str] = set()
        self.http = client.client()
        server = build(Settings.model_validate({"url": url, "token": fake.switches.token}), self.http)
        about = {"uuid": fake.machine, "title": fake.name}
        user = {"id": "1", "title": "Nora"}
        covers = self.playing.__contains__
        self.poller = Poller(server.listening.api, self.ears, about, user, covers)
        for number in range(1, 41):
            self.add(number, "movie", 1)
        for number in range(101, 131):
            self.add(number, "episode", 2)

    def add(self, number: int, kind: str, section: int) -> None:
        item: dict[str, Any] = {
            "ratingKey": str(number), "type": kind, "title": f"Item {number}", "year": 2001, "duration": 2_700_000,
            "librarySectionID": section, "guid": f"plex://{kind}/{number:024x}", "Guid": [{"id": f"tmdb://{number}"}],
        }  # fmt: skip
        if kind == "episode":
            item |= {"grandparentTitle": "Tidewater", "parentIndex": 1, "index": number - 100}
        self.fake.items[str(number)] = item

    def poll(self, *, whole: bool = False) -> list[tuple[Action, str | None]]:
        """What one more poll says."""
        before = len(self.ears.told)
        if whole:
            self.poller.whole_at = None
        asyncio.run(self.poller.poll())
        return [(event.action, event.item_key) for event in self.ears.events[before:]]


@pytest.fixture
def attic() -> Iterator[Attic]:
    with Inside(PlexServer()) as server:
        attic = Attic(server.fake, server.url)
        attic.fake.mark(1, "1", AT)
        attic.fake.rate(1, "1", 7.9, AT)
        attic.poll()
        yield attic
        asyncio.run(attic.http.aclose())


def test_what_was_marked_before_is_not_said(attic: Attic) -> None:
    assert attic.ears.told == []


def test_many_marks_of_one_second_are_read_no_further_than_they_are_known(attic: Attic) -> None:
    for number in range(1001, 1301):
        attic.add(number, "movie", 1)
        attic.fake.mark(1, str(number), AT + HOUR)
    assert len(attic.poll()) == 300
    before = len(attic.fake.made("GET /library/sections/1/all"))
    assert attic.poll() == []

    assert len(attic.fake.made("GET /library/sections/1/all")) - before == 2  # the newest, and ratings


def test_a_mark_by_hand_is_said_once_with_its_date(attic: Attic) -> None:
    """Trap 11."""
    attic.fake.mark(1, "7", AT + HOUR)

    assert attic.poll() == [(Action.WATCHED, "7")]
    assert attic.poll() == []
    (event,) = attic.ears.events
    assert (event.at, event.manual, event.user, event.view_count) == (AT + HOUR, True, "Nora", 1)
    assert (event.item.ids.tmdb, event.library, event.server) == (7, "Films", attic.fake.machine)


def test_a_mark_of_somebody_else_is_not_the_owners(attic: Attic) -> None:
    attic.fake.mark(BEN, "7", AT + HOUR)

    assert attic.poll() == []


def test_the_count_of_what_was_heard_playing_is_no_mark_by_hand(attic: Attic) -> None:
    attic.playing.add("7")
    attic.fake.mark(1, "7", AT + HOUR)
    attic.poll()

    (event,) = attic.ears.events
    assert event.manual is False


def test_a_show_that_is_marked_as_a_whole_is_its_episodes_once_each(attic: Attic) -> None:
    """Trap 16."""
    for number in range(101, 131):
        attic.fake.mark(1, str(number), AT + HOUR)

    said = attic.poll()

    assert sorted(said) == sorted((Action.WATCHED, str(number)) for number in range(101, 131))
    assert {event.item.number for event in attic.ears.events if isinstance(event.item, Episode)} == set(
        range(1, 31)
    )
    assert attic.poll() == []


def test_the_walk_stops_where_it_was_read_before(attic: Attic) -> None:
    """Trap 15: the server ignores filters by date, and what is older than the cursor is on the first page."""
    for number in range(2, 41):
        attic.fake.mark(1, str(number), AT - number * HOUR)
    attic.poll(whole=True)
    attic.fake.calls.clear()
    attic.fake.mark(1, "7", AT + HOUR)

    assert attic.poll() == [(Action.WATCHED, "7")]
    listed = [call for call in attic.fake.made("GET /library/sections/1/all") if "lastViewedAt" in call.query]
    assert len(listed) == 1


def test_a_server_that_ignores_the_order_is_read_as_a_whole(attic: Attic) -> None:
    """Trap 15."""
    for number, hours in ((2, 3), (3, 1), (4, 2)):
        attic.fake.mark(1, str(number), AT + hours * HOUR)
    attic.poll()
    before = len(attic.ears.told)
    attic.fake.switches.sorts = False
    attic.fake.mark(1, "40", AT + 9 * HOUR)

    attic.poll()
    said = attic.poll(whole=True)

    assert said == [(Action.WATCHED, "40")]
    assert [one.action for one in attic.ears.told[before:]] == [Action.WATCHED]


def test_a_mark_taken_back_is_said_at_the_next_whole_read(attic: Attic) -> None:
    attic.fake.unmark(1, "1")

    assert attic.poll() == []
    assert attic.poll(whole=True) == [(Action.UNWATCHED, "1")]
    assert attic.poll(whole=True) == []


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 403}, {"body": "<html>no</html>"}, {"cut": 20, "body": "{}" * 40}]
)
def test_a_read_that_fails_takes_nothing_back(attic: Attic, fault: dict[str, Any]) -> None:
    attic.fake.faults.add("GET /library/sections/1/all", times=-1, **fault)

    with pytest.raises(Undelivered):
        attic.poll(whole=True)

    attic.fake.faults.clear()
    assert attic.poll(whole=True) == []


def test_a_list_that_is_shorter_than_it_says_takes_nothing_back(attic: Attic) -> None:
    short = {"MediaContainer": {"size": 0, "totalSize": 1}}
    attic.fake.faults.add("GET /library/sections/1/all", body=short, times=-1)

    with pytest.raises(Undelivered):
        attic.poll(whole=True)


def test_many_marks_gone_at_once_are_said_to_be_so(attic: Attic) -> None:
    """Trap 21: the brake holds them by that."""
    for number in range(2, 9):
        attic.fake.mark(1, str(number), AT + number * HOUR)
    attic.poll()
    before = len(attic.ears.events)
    for number in range(2, 9):
        attic.fake.unmark(1, str(number))

    attic.poll(whole=True)

    assert [event.together for event in attic.ears.events[before:]] == [7] * 7
    assert attic.poll(whole=True) == []


def test_an_item_that_left_the_server_is_no_mark_taken_back(attic: Attic) -> None:
    del attic.fake.items["1"]

    assert attic.poll(whole=True) == []


def test_a_rating_is_said_once_and_what_it_was_before_is_not(attic: Attic) -> None:
    attic.fake.rate(1, "7", 8.0, AT + HOUR)

    assert attic.poll() == [(Action.RATE, "7")]
    assert attic.poll() == []
    (event,) = attic.ears.events
    assert (event.rating, event.at) == (8.0, AT + HOUR)


def test_a_rating_taken_back_is_said(attic: Attic) -> None:
    attic.fake.rate(1, "1", None, AT + HOUR)

    assert attic.poll(whole=True) == [(Action.UNRATE, "1")]
    assert attic.poll(whole=True) == []


def test_the_token_is_in_no_address(attic: Attic) -> None:
    attic.poll(whole=True)

    assert [call for call in attic.fake.calls if attic.fake.switches.token in call.query] == []


@pytest.mark.parametrize("whole", [False, True])
def test_a_rating_of_what_was_watched_last_is_said_once(attic: Attic, whole: bool) -> None:
    attic.fake.mark(1, "7", AT + HOUR)
    attic.poll()
    attic.fake.rate(1, "7", 9, AT + 2 * HOUR)

    assert attic.poll(whole=whole) == [(Action.RATE, "7")]
    assert attic.poll(whole=True) == []
