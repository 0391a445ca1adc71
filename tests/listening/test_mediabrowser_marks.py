"""Marks, favourites and ratings that are set by hand in Jellyfin and Emby.

The numbers of traps are those of the contract of media servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from tests.listening._looks import BEN, NORA, SERVERS, Evening, episode, evening
from webhook import client
from webhook.domain.event import Action, Event, Show
from webhook.domain.outcome import Undelivered
from webhook.servers._mediabrowser import polling
from webhook.servers._mediabrowser.server import MediaBrowser

WATCHED, UNWATCHED = Action.WATCHED, Action.UNWATCHED
HOUR = timedelta(hours=1)


class Marks(Evening):
    """Polls one after another, what happens between them told by steps; every one is of everything."""

    def poll(self, *steps: Callable[[], object], whole: bool = True) -> list[Event]:
        """The events of the steps; what is there before the first is from before."""
        asyncio.run(self.poll_each(steps, whole=whole))
        return self.events

    async def poll_each(self, steps: tuple[Callable[[], object], ...], *, whole: bool) -> None:
        module, _ = SERVERS[self.name]
        given = {"url": self.url, "api_key": self.fake.switches.key}
        http = client.client()
        server: MediaBrowser = module.build(module.Settings.model_validate(given), http)
        about = {"Id": self.fake.server_id, "ServerName": self.fake.server_name}
        poller = polling.MarksPoller(server, self.ears, about, server.listening, asyncio.Event())
        try:
            await poller.poll()
            for step in steps:
                step()
                poller.whole_at = None if whole else poller.whole_at
                await poller.poll()
        finally:
            await http.aclose()

    def mark(self, user: str = NORA, number: int = 9, at: datetime | None = None) -> None:
        self.fake.mark(user, episode(number), at)

    def mark_many(self, count: int) -> None:
        for number in range(count):
            self.mark(number=number)

    def unmark_many(self, count: int) -> None:
        for number in range(count):
            self.fake.unmark(NORA, str(4092 + number))


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Marks]:
    with evening(request.param) as found:
        yield Marks(request.param, found.fake, found.url)


def ids(events: list[Event]) -> list[tuple[Action, str | None, str | None]]:
    return [(event.action, event.user, event.item_key) for event in events]


@pytest.mark.parametrize("whole", [True, False])
def test_a_mark_by_hand_is_watched_by_the_next_poll(server: Marks, whole: bool) -> None:
    now = datetime.now(UTC)

    (event,) = server.poll(server.mark, whole=whole)

    assert (event.action, event.manual, event.user, event.user_id) == (WATCHED, True, "nora", NORA)
    assert (event.item_key, event.show_key, event.undated) == ("4101", "4000", False)
    assert abs(event.at - now) < timedelta(minutes=1)


def test_the_show_of_a_mark_is_known_by_its_ids(server: Marks) -> None:
    (event,) = server.poll(server.mark)

    assert getattr(event.item, "show_ids").tvdb == 880  # noqa: B009 - only an episode has them


def test_marks_from_before_are_not_told(server: Marks) -> None:
    server.mark()
    server.mark(BEN, 10)

    assert server.poll(lambda: None, lambda: None) == []


def test_each_user_has_their_own_marks(server: Marks) -> None:
    events = server.poll(lambda: server.mark(BEN), lambda: server.mark(NORA))

    assert ids(events) == [(WATCHED, "ben", "4101"), (WATCHED, "nora", "4101")]


def test_a_mark_is_told_once_over_restarts(server: Marks) -> None:
    server.poll(server.mark)
    server.poll(lambda: None)

    assert len(server.events) == 1


def test_a_show_that_is_marked_as_a_whole_is_each_of_its_episodes_once(server: Marks) -> None:
    """Trap 16."""
    events = server.poll(lambda: server.mark_many(7))

    assert sorted(event.item_key or "" for event in events) == [str(4092 + number) for number in range(7)]


def test_a_mark_with_an_old_date_is_found_by_the_whole_list_with_that_date(server: Marks) -> None:
    old = datetime(2019, 5, 1, 20, tzinfo=UTC)
    server.fake.play(NORA, "nora", episode(10), datetime.now(UTC) - HOUR)

    (event,) = server.poll(lambda: server.mark(at=old))

    assert (event.action, event.last_played_at) == (WATCHED, old)


def test_a_mark_without_a_date_has_none_and_never_now(server: Marks) -> None:
    """Trap 36."""
    (event,) = server.poll(lambda: server.fake.play(NORA, "nora", episode(), None))

    assert (event.action, event.undated, event.last_played_at) == (WATCHED, True, None)


def test_a_mark_that_is_taken_back_is_unwatched(server: Marks) -> None:
    server.mark()

    (event,) = server.poll(lambda: server.fake.unmark(NORA, "4101"))

    assert (event.action, event.manual, event.user, event.item_key) == (UNWATCHED, True, "nora", "4101")


def test_a_mark_taken_back_and_set_again_is_told_each_time(server: Marks) -> None:
    server.mark()

    events = server.poll(lambda: server.fake.unmark(NORA, "4101"), server.mark)

    assert [event.action for event in events] == [UNWATCHED, WATCHED]


@pytest.mark.parametrize("version", ["10.11.5", "12.0.0"])
def test_a_rewatch_that_begins_takes_no_mark_back(server: Marks, version: str) -> None:
    """Trap 17: neither while it plays nor after it was left, and no session need have been seen."""
    server.fake.switches.version = version
    server.fake.play(NORA, "nora", episode(), datetime.now(UTC) - HOUR)

    events = server.poll(
        lambda: server.fake.start("s1", episode(), NORA),
        lambda: server.fake.stop("s1", 1_000_000),
    )

    assert events == []


def test_many_marks_gone_at_once_are_said_to_be_so(server: Marks) -> None:
    """Trap 21: the brake holds them by that."""
    server.mark_many(264)

    events = server.poll(lambda: server.unmark_many(264), lambda: None)

    assert [(event.action, event.together) for event in events] == [(Action.UNWATCHED, 264)] * 264


def test_an_item_with_another_key_is_not_unwatched(server: Marks) -> None:
    """Trap 22: its file was renamed, the server has forgotten the mark."""
    server.mark()

    def rename() -> None:
        server.fake.remove("4101")
        server.fake.add(NORA, {**episode(), "Id": "9999"})

    assert server.poll(rename) == []


@pytest.mark.parametrize(
    "wrong", [{"status": 500}, {"status": 403}, {"body": {"Items": []}}, {"reset": True}]
)
def test_a_list_that_is_not_whole_takes_nothing_back(server: Marks, wrong: dict[str, object]) -> None:
    server.mark()
    path = {"jellyfin": "GET /Items", "emby": f"GET /Users/{NORA}"}[server.name]

    def fail() -> None:
        server.fake.unmark(NORA, "4101")
        server.fake.faults.add(path, **wrong, skip=1)

    with suppress(Undelivered):
        server.poll(fail)

    assert server.events == []
    assert server.fake.faults[0].times == 0
    assert [event.action for event in server.poll(lambda: None)] == [UNWATCHED]


def test_a_user_who_cannot_be_read_hides_no_other(server: Marks) -> None:
    server.poll()
    path = {"jellyfin": "GET /Items", "emby": f"GET /Users/{NORA}"}[server.name]

    def refuse() -> None:
        server.fake.faults.add(path, status=403)
        server.mark(BEN)

    assert ids(server.poll(refuse)) == [(WATCHED, "ben", "4101")]


def test_a_short_page_is_no_whole_list(server: Marks) -> None:
    server.mark_many(5)
    path = {"jellyfin": "GET /Items", "emby": f"GET /Users/{NORA}"}[server.name]

    def cut() -> None:
        server.fake.faults.add(path, body={"Items": [], "TotalRecordCount": 5}, skip=1)

    with pytest.raises(Undelivered):
        server.poll(cut)

    assert server.events == []


def test_a_server_that_ignores_the_order_is_read_as_a_whole_and_nothing_is_taken_back(server: Marks) -> None:
    """Trap 15."""
    server.fake.switches.sorts = False
    server.fake.play(NORA, "nora", episode(1), datetime.now(UTC) - 2 * HOUR)
    server.fake.play(NORA, "nora", episode(2), datetime.now(UTC) - HOUR)

    events = server.poll(lambda: server.mark(number=3))

    assert ids(events) == [(WATCHED, "nora", "4095")]


def test_the_walk_stops_at_what_is_known(server: Marks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "PAGE_SIZE", 10)
    for number in range(60):
        server.fake.play(NORA, "nora", episode(number), datetime(2025, 1, 1, tzinfo=UTC) + number * HOUR)
    server.poll()
    before = len(server.fake.calls)

    server.poll(lambda: None, whole=False)

    pages = [call for call in server.fake.calls[before:] if "Limit=10" in call.query]
    assert len(pages) == 4  # two polls, two users


def test_a_heart_is_told_and_taken_back(server: Marks) -> None:
    server.fake.add(NORA, episode())

    events = server.poll(
        lambda: server.fake.favour(NORA, "4101"),
        lambda: server.fake.favour(NORA, "4101", favourite=False),
    )

    assert ids(events) == [(Action.FAVOURITE, "nora", "4101"), (Action.UNFAVOURITE, "nora", "4101")]


def test_a_heart_for_a_show_is_the_shows(server: Marks) -> None:
    (event,) = server.poll(lambda: server.fake.favour(NORA, "4000"))

    assert isinstance(event.item, Show)
    assert event.item.ids.tvdb == 880


def test_a_rating_is_told_and_taken_back(server: Marks) -> None:
    server.mark()

    events = server.poll(
        lambda: server.fake.rate(NORA, "4101", 8.0),
        lambda: server.fake.rate(NORA, "4101", None),
    )

    assert [(event.action, event.rating) for event in events] == [(Action.RATE, 8.0), (Action.UNRATE, None)]
