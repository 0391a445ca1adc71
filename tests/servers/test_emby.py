from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.fakes._inside import Inside as Running
from tests.fakes.emby_server import EmbyServer
from tests.servers._asked import AT, assert_met, payload, played, webhook
from webhook.servers import Found, emby

NORA = "d2" * 16


@pytest.fixture
def running() -> Iterator[Running]:
    with Running(EmbyServer()) as server:
        yield server


def history(running: Running) -> list[Found]:
    return played(emby, {"url": running.url, "api_key": running.fake.switches.key})


@pytest.mark.parametrize(
    "name", ["episode-marked-watched", "movie-stopped-at-the-end", "double-episode-without-a-season"]
)
def test_the_record_of_a_play_is_the_webhooks_item_user_and_server(running: Running, name: str) -> None:
    told = webhook(f"emby/{name}")
    running.fake.play(NORA, "nora", payload(f"emby/{name}")["Item"], AT)

    first, *_ = history(running)

    assert_met(told, first.event)
    assert first.event.item == told.item
    assert first.event.at == AT
    assert first.event.duration_ms == told.duration_ms


def test_a_file_with_two_episodes_is_two_plays_as_in_the_webhook(running: Running) -> None:
    running.fake.play(NORA, "nora", payload("emby/double-episode-without-a-season")["Item"], AT)

    first, second = history(running)

    assert (first.event.item_key, second.event.item_key) == ("811", None)
    assert [getattr(found.event.item, "number", None) for found in (first, second)] == [9, 10]


def test_items_with_the_short_numbers_of_emby_are_told_apart(running: Running) -> None:
    item = payload("emby/movie-stopped-at-the-end")["Item"]
    running.fake.play(NORA, "nora", item, AT)
    running.fake.play(NORA, "nora", {**item, "Id": "813", "Name": "Paper Ships"}, AT + timedelta(hours=2))

    found = history(running)

    assert [one.event.item_key for one in found] == ["812", "813"]
    assert len({one.key for one in found}) == 2
