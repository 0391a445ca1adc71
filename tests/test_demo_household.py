"""The household of the demo, in a data folder of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from webhook import app as house
from webhook.demo import catalogue, drawing, motifs, posters
from webhook.demo.household import MIRA, TASTES, THEO, make_sittings, outage_began
from webhook.demo.populate import Home, populate
from webhook.demo.stage import surroundings
from webhook.domain.event import Episode
from webhook.domain.pictures import picture_key
from webhook.history import shows, stats
from webhook.history.stats_span import zone_of
from webhook.service import Service
from webhook.storage.tables import delivery, library, play
from webhook.web import visible
from webhook.web.needs_you.queries import find_needs
from webhook.web.visible import Visitor

NOW = datetime(2026, 11, 26, 20, 41, tzinfo=UTC)
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Furnished:
    service: Service
    home: Home
    opened: datetime

    @property
    def owner(self) -> Visitor:
        return Visitor(person_id=self.home.people[MIRA.name], name=MIRA.name, is_admin=True)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    environ = {
        **surroundings(), "DATA_DIR": str(tmp_path_factory.mktemp("demo")), "TRAKT_CLIENT_ID": "id",
        "TRAKT_CLIENT_SECRET": "secret", "TRAKT_API_URL": NOWHERE, "SIMKL_CLIENT_ID": "id", "SIMKL_API_URL": NOWHERE,
    }  # fmt: skip
    service = house.open_service(environ)
    tokens = {taste.name: {"access_token": "a", "refresh_token": "r"} for taste in (MIRA, THEO)}
    opened = datetime.now(ZoneInfo("Europe/Berlin"))
    yield Furnished(service, populate(service, opened, tokens, "an evening at home"), opened)
    asyncio.run(service.http.aclose())
    service.database.close()


def test_the_same_seed_tells_the_same_story() -> None:
    assert make_sittings(NOW) == make_sittings(NOW)


def test_three_people_have_watched_for_two_years() -> None:
    sittings = make_sittings(NOW)

    assert {one.person for one in sittings} == {taste.name for taste in TASTES}
    assert 2_200 < len(sittings) < 2_800
    assert sittings[0].began < NOW - timedelta(days=725)
    assert NOW - timedelta(days=2) < sittings[-1].end < NOW


def test_nobody_watches_an_episode_before_it_is_on_air() -> None:
    for one in make_sittings(NOW):
        if isinstance(one.item, Episode):
            show = catalogue.SHOW_BY_TITLE[str(one.item.show)]
            assert show.air_day(one.item, NOW.date()) <= one.began.date()


def test_there_are_titles_that_are_long_and_in_many_scripts() -> None:
    titles = [film.title for film in catalogue.FILMS] + [show.title for show in catalogue.SHOWS]

    assert max(map(len, titles)) > 100
    for letter in "雨حה우í":
        assert any(letter in title for title in titles)


def test_every_viewing_is_in_the_history(furnished: Furnished) -> None:
    elsewhere, playing = 3, 2
    count = furnished.service.database.ask(
        lambda connection: connection.execute(select(func.count()).select_from(play)).scalar_one()
    )

    assert count == furnished.home.viewings + elsewhere + playing


def test_two_players_are_on(furnished: Furnished) -> None:
    playing = furnished.service.database.ask(
        lambda connection: visible.current_plays(connection, furnished.owner)
    )

    assert {one["person"] for one in playing} == {MIRA.name, THEO.name}
    assert all(one["state"] == "playing" for one in playing)


def test_a_guest_a_film_and_a_refusal_need_the_owner(furnished: Furnished) -> None:
    needs = furnished.service.database.ask(
        lambda connection: find_needs(connection, furnished.owner, furnished.opened.astimezone(UTC), 3)
    )

    assert [one["user"] for one in needs.unclaimed] == ["edda"]
    assert {name: count for name, count in needs.counts.items() if count} == {
        "unclaimed": 1, "unmatched": 1, "dead": 1,
    }  # fmt: skip


def test_one_tracker_is_down_since_the_afternoon(furnished: Furnished) -> None:
    accounts = furnished.service.database.ask(
        lambda connection: visible.accounts(connection, furnished.owner)
    )
    waiting = furnished.service.database.ask(
        lambda connection: connection.execute(
            select(delivery.c.attempts, delivery.c.reason).where(
                delivery.c.state == "waiting", delivery.c.attempts > 0
            )
        ).all()
    )

    assert {one["tracker"] for one in accounts if one["tracker"] != "tvtime"} == {"trakt", "simkl"}
    assert {one.reason for one in waiting} == {"Simkl answered 503: it is in trouble"}
    assert outage_began(furnished.opened) < furnished.opened - timedelta(minutes=89)


def test_no_delivery_is_done_before_it_was_put(furnished: Furnished) -> None:
    wanted = select(delivery.c.id).where(delivery.c.settled_at < delivery.c.created_at)

    assert furnished.service.database.ask(lambda connection: list(connection.execute(wanted))) == []


def test_there_is_something_to_watch_next(furnished: Furnished) -> None:
    following = furnished.service.database.ask(
        lambda connection: shows.next_episodes(
            connection, furnished.home.people[MIRA.name], furnished.opened.date()
        )
    )

    left = [one["show"] for one in following if one["left"]]
    assert {"Bellweather", "Die Vermesserin von Oberau"} <= set(left)
    assert len(left) < len(following)


def test_the_library_has_ratings_hearts_and_wishes(furnished: Furnished) -> None:
    counts = furnished.service.database.ask(
        lambda connection: dict(
            map(
                tuple,
                connection.execute(
                    select(library.c.relation, func.count()).group_by(library.c.relation)
                ).all(),
            )
        )
    )

    assert counts.keys() == {"rating", "love", "watchlist"}
    assert min(counts.values()) >= 5


def test_each_person_has_numbers_of_all_their_years(furnished: Furnished) -> None:
    def years_of(person_id: int) -> list[int]:
        return furnished.service.database.ask(
            lambda connection: stats.list_years(connection, person_id, zone_of("UTC"))
        )

    years = [years_of(person_id) for person_id in furnished.home.people.values()]

    wanted = {furnished.opened.year - past for past in (0, 1, 2)}
    assert [set(found) for found in years] == [wanted] * 3


# --- posters


@pytest.mark.parametrize("title", ["Paper Harbour", "雨の図書室", catalogue.FILMS[-1].title])
def test_a_poster_is_the_same_each_time_and_another_for_each_title(title: str) -> None:
    poster, again, other = (
        posters.draw_picture(name, (120, 180), for_children=False, with_title=True).tobytes()
        for name in (title, title, title + "!")
    )

    assert poster == again
    assert poster != other


def test_every_motif_can_be_drawn() -> None:
    for draw in {*motifs.MOTIFS, *motifs.WORDS, motifs.draw_clouds}:
        scene = drawing.Scene((60, 90), drawing.PALETTES[0], "a title")
        sky = scene.image.tobytes()

        draw(scene)

        assert scene.image.tobytes() != sky


def test_all_but_a_few_titles_get_a_picture_of_their_own() -> None:
    wanted = list(posters.list_commissions())
    keys = [picture_key(one.item) for one in wanted]

    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert {one.title for one in wanted} > posters.UNDRAWN
    assert {one.title for one in wanted} > {show.title for show in catalogue.SHOWS}


def test_a_title_is_as_large_as_it_fits() -> None:
    sizes = [drawing.fit_title(title)[1] for title in ("Low Sun", "The Salt Merchant's Son", "word " * 30)]

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]
