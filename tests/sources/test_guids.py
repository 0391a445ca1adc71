from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.domain.event import Ids, Kind
from webhook.domain.guids import Guid, GuidForm, parse_guid, parse_guids, provider_ids

AGENTS = "com.plexapp.agents"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("imdb://tt7700009", Ids(imdb="tt7700009")),
        ("tmdb://770009", Ids(tmdb=770009)),
        ("tvdb://9900009", Ids(tvdb=9900009)),
        (
            "mbid://3D1F6A52-0000-4000-8000-0123456789AB",
            Ids(musicbrainz="3d1f6a52-0000-4000-8000-0123456789ab"),
        ),
        ("plex://episode/5f00000000000000000000e1", Ids(plex="5f00000000000000000000e1")),
        ("plex://movie/paper-boats-2016", Ids(plex="paper-boats-2016")),
        (f"{AGENTS}.imdb://tt7711001?lang=en", Ids(imdb="tt7711001")),
        (f"{AGENTS}.themoviedb://771100?lang=de", Ids(tmdb=771100)),
        (f"{AGENTS}.thetvdb://880001?lang=en", Ids(tvdb=880001)),
        (f"{AGENTS}.xbmcnfo://tt7711001", Ids(imdb="tt7711001")),
        (f"{AGENTS}.xbmcnfo://771100", Ids(tmdb=771100)),
        (f"{AGENTS}.xbmcnfotv://880001", Ids(tvdb=880001)),
        ("xbmcnfo://tt7711001", Ids(imdb="tt7711001")),
        (f"{AGENTS}.hama://anidb-88010?lang=en", Ids(anidb=88010)),
        ("net.fribbtastic.coding.plex.myanimelist://88100", Ids(mal=88100)),
        ("tv.plex.agents.nfo.movie://movie/tmdb_771100", Ids(tmdb=771100)),
        ("tv.plex.agents.nfo.series://episode/tvdb_9900009", Ids(tvdb=9900009)),
        ("tv.plex.agents.nfo.movie://movie/tt7711001", Ids(imdb="tt7711001")),
        ("tv.plex.agents.custom.someone.tmdb://movie/tmdb-movie-771100", Ids(tmdb=771100)),
        ("tt7711001", Ids(imdb="tt7711001")),
    ],
)
def test_an_id_without_a_path_is_the_items_own(text: str, ids: Ids) -> None:
    guid = parse_guid(text)

    assert guid.ids == ids
    assert not guid.show_ids
    assert guid.season is None


@pytest.mark.parametrize(
    ("text", "show_ids", "season", "number"),
    [
        ("tvdb://880001/3/9", Ids(tvdb=880001), 3, 9),
        (f"{AGENTS}.thetvdb://880001/3/9?lang=en", Ids(tvdb=880001), 3, 9),
        (f"{AGENTS}.themoviedb://88001/0/1?lang=en", Ids(tmdb=88001), 0, 1),
        (f"{AGENTS}.thetvdb://880001/3?lang=en", Ids(tvdb=880001), 3, None),
        (f"{AGENTS}.xbmcnfotv://tt8800001/3/9", Ids(imdb="tt8800001"), 3, 9),
        (f"{AGENTS}.hama://tvdb-880001/22/70?lang=en", Ids(tvdb=880001), 22, 70),
        (f"{AGENTS}.hama://tsdb-88001/1/2", Ids(tmdb=88001), 1, 2),
        (f"{AGENTS}.hama://imdb-tt8800001/1/2", Ids(imdb="tt8800001"), 1, 2),
        (f"{AGENTS}.hama://anidb-88010/1/5?lang=en", Ids(anidb=88010), 1, 5),
        (f"{AGENTS}.hama://88010/1/5", Ids(anidb=88010), 1, 5),
        ("net.devvsbugs.coding.plex.myanimelist://88100/1/5", Ids(mal=88100), 1, 5),
    ],
)
def test_an_id_with_a_path_is_the_shows(text: str, show_ids: Ids, season: int, number: int | None) -> None:
    guid = parse_guid(text)

    assert guid == Guid(
        form=guid.form,
        show_ids=show_ids,
        season=season,
        number=number,
        kind=Kind.SEASON if number is None else Kind.EPISODE,
    )


@pytest.mark.parametrize("agent", ["thetvdb", "themoviedb", "hama"])
def test_a_legacy_agents_id_on_an_episode_is_the_shows_even_without_a_path(agent: str) -> None:
    guid = parse_guid(f"{AGENTS}.{agent}://880001?lang=en", Kind.EPISODE)

    assert not guid.ids
    assert guid.show_ids


@pytest.mark.parametrize(
    "text",
    [
        *(f"{AGENTS}.hama://tvdb{mode}-880001/5/312" for mode in range(2, 7)),
        f"{AGENTS}.hama://anidb2-88010/1/5",
        f"{AGENTS}.hama://anidb-88010/2/5",
        f"{AGENTS}.hama://anidb-88010/0/1",
        f"{AGENTS}.thetvdbdvdorder://880001/3/9",
        f"{AGENTS}.abstvdb://880001/1/312",
    ],
)
def test_numbers_that_do_not_count_as_aired_need_mapping(text: str) -> None:
    assert parse_guid(text).numbering == "mapped"


@pytest.mark.parametrize("text", [f"{AGENTS}.hama://tvdb-880001/5/312", f"{AGENTS}.hama://anidb-88010/1/5"])
def test_plain_tvdb_and_single_season_anidb_numbers_are_as_aired(text: str) -> None:
    assert parse_guid(text).numbering == "aired"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (f"{AGENTS}.none://0abc?lang=xn", GuidForm.NONE),
        ("tv.plex.agents.none://68178", GuidForm.NONE),
        ("local://4101", GuidForm.LOCAL),
        ("tv.plex.xmltv://channel/1", GuidForm.LIVE),
        ("iva://api.example/Assets(1)", GuidForm.EXTRA),
        ("file:///extras/making-of.mkv", GuidForm.EXTRA),
        ("collection://12", GuidForm.COLLECTION),
        (f"{AGENTS}.hama://notSet-12/1/2", GuidForm.HAMA),
        ("imdb://", GuidForm.EXTERNAL),
        ("imdb://{imdb_id}", GuidForm.EXTERNAL),
        ("tvdb://0", GuidForm.EXTERNAL),
        ("tvdb://99999999999999999999", GuidForm.EXTERNAL),
        ("plexmusic://gracenote/track/1", GuidForm.OTHER),
        ("unknown", GuidForm.OTHER),
        ("", GuidForm.OTHER),
    ],
)
def test_what_holds_no_usable_id_gives_none(text: str, form: GuidForm) -> None:
    guid = parse_guid(text)

    assert (guid.form, guid.ids, guid.show_ids) == (form, Ids(), Ids())


def test_the_numbers_of_a_home_videos_date_are_not_taken() -> None:
    assert parse_guid(f"{AGENTS}.none://4000/2026/41103?lang=xn").season is None


def test_an_own_id_and_a_path_together_give_an_item_and_a_show() -> None:
    guid = parse_guids(["imdb://", "tvdb://9900009", "tvdb://880001/3/9"])

    assert guid.ids == Ids(tvdb=9900009)
    assert guid.show_ids == Ids(tvdb=880001)
    assert (guid.season, guid.number) == (3, 9)


def test_of_two_ids_of_one_namespace_the_first_is_kept() -> None:
    assert parse_guids(["tmdb://5", "tmdb://6"]).ids == Ids(tmdb=5)


@pytest.mark.parametrize(
    ("mapping", "ids"),
    [
        (
            {"Tvdb": "9900009", "IMDB": "tt7700009", "tmdb": 770009},
            Ids(tvdb=9900009, imdb="tt7700009", tmdb=770009),
        ),
        ({"TmdbCollection": "5", "official website": "https://example.org"}, Ids()),
        ({"Tmdb": None, "Imdb": "", "Tvdb": "n/a", "anidb": [1]}, Ids()),
        ({"Tmdb": "5", "tmdb": None}, Ids(tmdb=5)),
        ({"tmdb": True, "tvdb": 10**30}, Ids()),
        (
            {
                "musicbrainztrack": "3d1f6a52-0000-4000-8000-0123456789ab",
                "musicbrainzalbum": "3d1f6a52-0000-4000-8000-0123456789ac",
            },
            Ids(musicbrainz="3d1f6a52-0000-4000-8000-0123456789ab"),
        ),
    ],
)
def test_provider_ids_are_read_in_any_case_and_nothing_else_is(mapping: dict[str, Any], ids: Ids) -> None:
    assert provider_ids(mapping) == ids


@given(
    st.one_of(
        st.text(),
        st.builds(
            lambda scheme, rest: scheme + "://" + rest,
            st.sampled_from(
                ["tvdb", "plex", f"{AGENTS}.hama", f"{AGENTS}.thetvdb", "local", "tv.plex.agents.nfo.movie"]
            ),
            st.text(alphabet="tanidb0123456789-/?{}_"),
        ),
    )
)
def test_no_text_makes_it_raise(text: str) -> None:
    assert isinstance(parse_guid(text, Kind.EPISODE), Guid)
