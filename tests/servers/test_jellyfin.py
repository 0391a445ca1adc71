from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes._inside import Inside as Running
from tests.fakes.jellyfin_server import JellyfinServer
from tests.servers._asked import AT, asked, assert_met, payload, played, webhook
from webhook.domain.event import Episode, Ids, Track
from webhook.servers import Found, Server, jellyfin

NORA = "d1" * 16


@pytest.fixture
def running() -> Iterator[Running]:
    with Running(JellyfinServer()) as server:
        yield server


def given(running: Running) -> dict[str, str]:
    return {"url": running.url, "api_key": running.fake.switches.key}


def history(running: Running, since: datetime | None = None) -> list[Found]:
    return played(jellyfin, given(running), since)


def dto(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Jellyfin's own item, of which its plugin writes these flat keys."""
    named = {
        "Id": "ItemId", "Type": "ItemType", "Name": "Name", "SeriesName": "SeriesName", "Album": "Album",
        "ParentIndexNumber": "SeasonNumber", "IndexNumber": "EpisodeNumber", "ProductionYear": "Year",
        "IndexNumberEnd": "EpisodeNumberEnd", "RunTimeTicks": "RunTimeTicks",
    }  # fmt: skip
    made = {name: flat[key] for name, key in named.items() if key in flat}
    providers = {
        name.removeprefix("Provider_").title(): value
        for name, value in flat.items()
        if name.startswith("Provider_")
    }
    return {**made, "ProviderIds": providers, "Artists": [flat["Artist"]] if "Artist" in flat else []}


@pytest.mark.parametrize(
    "name", ["episode-finished-saved", "episode-marked-watched", "movie-stopped-completed-early"]
)
def test_the_record_of_a_play_is_the_webhooks_item_user_and_server(running: Running, name: str) -> None:
    told = webhook(f"jellyfin/{name}")
    running.fake.play(NORA, "nora", dto(payload(f"jellyfin/{name}")), AT)

    (found,) = history(running)

    assert_met(told, found.event)
    assert found.event.item == told.item
    assert found.event.duration_ms == told.duration_ms


def test_dashed_ids_are_the_plain_ones_of_the_webhook(running: Running) -> None:
    told = webhook("jellyfin/episode-finished-saved")
    item = dto(payload("jellyfin/episode-finished-saved"))
    running.fake.server_id = "A0A0A0A0-A0A0-A0A0-A0A0-A0A0A0A0A0A0"
    item["Id"] = "b1b1b1b1-b1b1-b1b1-b1b1-b1b1b1b1b1b1"
    running.fake.play("d1d1d1d1-d1d1-d1d1-d1d1-d1d1d1d1d1d1", "nora", item, AT)

    (found,) = history(running)

    assert_met(told, found.event)


def test_a_track_is_the_webhooks(running: Running) -> None:
    item = {"Id": "b3" * 16, **dto(payload("jellyfin/track-started"))}
    running.fake.play(NORA, "nora", item, AT)

    (found,) = history(running)

    assert isinstance(found.event.item, Track)
    assert found.event.item == webhook("jellyfin/track-started").item


def test_a_file_with_two_episodes_is_two_plays_as_in_the_webhook(running: Running) -> None:
    running.fake.play(NORA, "nora", dto(payload("jellyfin/double-episode-started")), AT)

    first, second = history(running)

    assert_met(webhook("jellyfin/double-episode-started"), first.event)
    assert isinstance(second.event.item, Episode)
    assert (second.event.item.number, second.event.item.ids, second.event.item_key) == (15, Ids(), None)
    assert first.key != second.key


def test_an_item_without_ids_is_known_by_its_names(running: Running) -> None:
    bare = {"Id": "b4" * 16, "Type": "Episode", "Name": "Pilot", "SeriesName": "Tidewater"}
    running.fake.play(NORA, "nora", {**bare, "ParentIndexNumber": 1, "IndexNumber": 0}, AT)

    (found,) = history(running)

    assert found.event.item == Episode(title="Pilot", show="Tidewater", season=1, number=0)


def test_an_item_seen_again_is_a_new_entry_with_the_new_date_only(running: Running) -> None:
    item = dto(payload("jellyfin/episode-finished-saved"))
    running.fake.play(NORA, "nora", item, AT)
    (before,) = history(running)
    running.fake.play(NORA, "nora", item, AT + timedelta(days=3))

    (after,) = history(running, since=AT)

    assert after.event.at == AT + timedelta(days=3)
    assert after.key != before.key


def test_what_was_told_is_not_newer_than_itself_whatever_digits_its_date_has(running: Running) -> None:
    at = datetime(2023, 11, 14, 22, 13, 20, 987654, tzinfo=UTC)
    running.fake.play(NORA, "nora", dto(payload("jellyfin/episode-finished-saved")), at)
    (found,) = history(running)

    assert found.event.at == at.replace(microsecond=987000)
    assert history(running, since=found.event.at) == []


def test_what_was_marked_without_a_date_and_extras_are_left_out(running: Running) -> None:
    item = dto(payload("jellyfin/episode-finished-saved"))
    running.fake.play(NORA, "nora", item, None)
    running.fake.play(NORA, "nora", {**item, "Id": "b5" * 16, "ExtraType": "ThemeSong", "Type": "Audio"}, AT)
    running.fake.play(NORA, "nora", {**item, "Id": "b6" * 16}, AT)

    for since in (None, AT - timedelta(days=1)):
        assert [found.event.item_key for found in history(running, since)] == ["b6" * 16]


def test_films_come_one_by_one_where_jellyfin_groups_them_into_collections(running: Running) -> None:
    running.fake.switches.grouped = True
    film = {"Id": "b7" * 16, "Type": "Movie", "Name": "Paper Boats", "ProductionYear": 2016}
    running.fake.play(NORA, "nora", film, AT)

    assert [found.event.item.title for found in history(running)] == ["Paper Boats"]


def test_a_server_that_gives_less_than_a_page_at_a_time_is_read_to_the_end(running: Running) -> None:
    running.fake.switches.most = 25
    for number in range(1, 121):
        film = {"Id": f"{number:032x}", "Type": "Movie", "Name": f"Film {number}"}
        running.fake.play(NORA, "nora", film, AT + timedelta(minutes=number))

    for since, first in ((None, 1), (AT + timedelta(minutes=30), 31)):
        found = history(running, since)
        assert [one.event.item.title for one in found] == [f"Film {number}" for number in range(first, 121)]


def test_a_rewatch_between_two_pages_costs_no_other_play(running: Running) -> None:
    films = [{"Id": f"{number:032x}", "Type": "Movie", "Name": f"Film {number}"} for number in range(1, 121)]
    for number, film in enumerate(films, start=1):
        running.fake.play(NORA, "nora", film, AT + timedelta(minutes=number))

    async def disturbed(server: Server) -> list[str | None]:
        titles: list[str | None] = []
        async for found in server.plays(None):
            if not titles:  # page one is here; what was second is now the last, and all others moved up
                running.fake.play(NORA, "nora", films[1], AT + timedelta(days=1))
            titles.append(found.event.item.title)
        return titles

    titles = asked(jellyfin, given(running), disturbed)

    assert titles == [*(f"Film {number}" for number in range(1, 121)), "Film 2"]


def test_the_key_goes_in_the_one_header_that_every_version_reads(running: Running) -> None:
    history(running)

    assert not running.fake.switches.legacy
    assert {call.status for call in running.fake.calls} == {200}
    assert not any(running.fake.switches.key in call.query for call in running.fake.calls)
