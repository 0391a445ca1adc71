"""The fake receivers against the contract: what each reads, what it demands, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.fakes._inside import Inside
from tests.fakes._server import Clock, Server
from tests.fakes.webhook_out import WebhookOut

NOW = datetime(2026, 11, 22, 20, 15, 9, tzinfo=UTC)
TICKS = 28_200_000_000
NESTED: dict[str, Any] = {
    "Event": "Stop",
    "Item": {
        "Type": "Episode",
        "Name": "Breakage",
        "ParentIndexNumber": 2,
        "IndexNumber": 5,
        "RunTimeTicks": TICKS,
        "ProviderIds": {"Imdb": "tt1232249"},
        "UserData": {"Played": True},
    },
    "Series": {"ProviderIds": {"Tmdb": "1396"}},
    "Session": {"PlayState": {"PositionTicks": TICKS}},
}
FLAT: dict[str, Any] = {
    "NotificationType": "PlaybackStop",
    "ItemType": "Movie",
    "PlayedToCompletion": True,
    "Provider_tmdb": "496243",
    "UtcTimestamp": "2026-11-20T21:00:00.0000000Z",
}


@pytest.fixture
def server() -> Iterator[Server]:
    with Inside(WebhookOut(clock=Clock(NOW))) as server:
        server.fake.home = server.url
        yield server


def tell(server: Server, kind: str, body: Any) -> httpx.Response:
    """A call to the receiver of this kind, whose person is called as it is."""
    return httpx.post(server.fake.sign_in(kind, kind)["url"], json=body)


def change(body: Any, path: str, value: Any = None) -> Any:
    """The body with another value at a path; without it where there is none."""
    name, _, rest = path.partition(".")
    if rest:
        return {**body, name: change(body[name], rest, value)}
    others = {key: one for key, one in body.items() if key != name}
    return others if value is None else {**others, name: value}


def plays(server: Server, kind: str) -> list[dict[str, Any]]:
    return list(server.fake.user(kind).plays)


def test_yamtrack_adds_a_play_for_each_watched_stop_and_dates_it_now(server: Server) -> None:
    answers = [tell(server, "yamtrack", NESTED) for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"")] * 2
    assert plays(server, "yamtrack") == [{"item": "Imdb:tt1232249", "at": NOW.isoformat()}] * 2


@pytest.mark.parametrize(
    ("path", "value"), [("Item.UserData", None), ("Item.IndexNumber", "5"), ("Item.Name", None)]
)
def test_yamtrack_fails_where_a_field_is_missing_or_text(server: Server, path: str, value: Any) -> None:
    assert tell(server, "yamtrack", change(NESTED, path, value)).status_code == 500


@pytest.mark.parametrize(("path", "value"), [("Event", "Play"), ("Item.UserData", {"Played": False})])
def test_yamtrack_leaves_what_is_not_finished_in_progress(server: Server, path: str, value: Any) -> None:
    assert tell(server, "yamtrack", change(NESTED, path, value)).status_code == 200
    assert plays(server, "yamtrack") == []
    assert server.fake.user("yamtrack").playing == ["Imdb:tt1232249"]


@pytest.mark.parametrize(
    ("kind", "status"), [("yamtrack", 401), ("scrob", 401), ("movary", 404), ("ryot", 202)]
)
def test_a_wrong_token_is_answered_as_each_does(server: Server, kind: str, status: int) -> None:
    url = server.fake.sign_in("anna", kind)["url"]
    server.fake.revoke("anna")

    assert httpx.post(url, json=NESTED).status_code == status
    assert plays(server, "anna") == []


def test_ryot_takes_any_body_for_progress_and_an_items_own_tmdb_id_for_the_shows(server: Server) -> None:
    tell(server, "ryot", change(NESTED, "Event", "Play"))
    tell(server, "ryot", change(NESTED, "Item.ProviderIds", {"Tmdb": "62092"}))

    assert [play["item"] for play in plays(server, "ryot")] == ["Tmdb:1396", "Tmdb:62092"]


@pytest.mark.parametrize(("percent", "kept", "playing"), [(1, 0, 0), (50, 0, 1), (94, 0, 1), (96, 1, 0)])
def test_ryot_reckons_by_the_position_alone(server: Server, percent: int, kept: int, playing: int) -> None:
    body = change(NESTED, "Session.PlayState.PositionTicks", TICKS * percent // 100)

    answer = tell(server, "ryot", change(body, "Item.UserData", {"Played": False}))

    assert (answer.status_code, answer.text) == (202, "Webhook queued for processing")
    assert (len(plays(server, "ryot")), len(server.fake.user("ryot").playing)) == (kept, playing)


@pytest.mark.parametrize("path", ["Item.RunTimeTicks", "Item.ProviderIds", "Session", "Series"])
def test_ryot_counts_what_it_cannot_read_as_a_failure_and_says_nothing(server: Server, path: str) -> None:
    assert tell(server, "ryot", change(NESTED, path)).status_code == 202
    assert server.fake.user("ryot").failures == 1


def test_movary_keeps_the_day_and_one_play_more_each_time(server: Server) -> None:
    for _ in range(2):
        assert tell(server, "movary", FLAT).status_code == 200

    assert plays(server, "movary") == [{"item": "Tmdb:496243", "at": "2026-11-20"}] * 2


@pytest.mark.parametrize(
    ("path", "value", "status"),
    [
        ("UtcTimestamp", "yesterday", 500),
        ("UtcTimestamp", None, 500),
        ("ItemType", "Episode", 200),
        ("PlayedToCompletion", False, 200),
        ("Provider_tmdb", None, 200),
        ("NotificationType", "PlaybackStart", 200),
    ],
)
def test_movary_keeps_nothing_else(server: Server, path: str, value: Any, status: int) -> None:
    assert tell(server, "movary", change(FLAT, path, value)).status_code == status
    assert plays(server, "movary") == []


@pytest.mark.parametrize("body", [NESTED, FLAT], ids=["nested", "flat"])
def test_scrob_reads_either_shape_and_ignores_the_same_within_five_minutes(server: Server, body: Any) -> None:
    first, second = tell(server, "scrob", body), tell(server, "scrob", body)
    server.fake.clock.advance(timedelta(minutes=6))
    third = tell(server, "scrob", body)

    said = [answer.json()["status"] for answer in (first, second, third)]
    assert said == ["ok", "ignored", "ok"]
    assert len(plays(server, "scrob")) == 2


def test_an_item_that_none_knows_is_answered_like_any_other(server: Server) -> None:
    server.fake.switches.unknown = True

    said = [tell(server, kind, NESTED).status_code for kind in ("yamtrack", "ryot", "scrob")]

    assert said == [200, 202, 200]
    assert not any(plays(server, kind) for kind in ("yamtrack", "ryot", "scrob"))
