"""Which anime an episode or a film is, by mapping lists alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.anime import HUNTERS, IDS, INDEX, PLACES, TITANS, anime_row
from webhook.domain.anime import Unusable
from webhook.domain.anime_ids import read_id_list
from webhook.domain.anime_index import AnimeIndex, load_anime
from webhook.domain.event import Episode, Ids, Movie, Track
from webhook.domain.outcome import Unmatched

pytestmark = pytest.mark.unit


def episode(season: int | None, number: int, numbering: str = "aired", **show: Any) -> Episode:
    return Episode(
        show="Attack on Titan", season=season, number=number, numbering=numbering, show_ids=Ids(**show)
    )


def find(item: Any, namespace: Any = "anilist", index: AnimeIndex = INDEX) -> tuple[int, int]:
    entry = index.find(item, namespace)
    return entry.id, entry.number


@pytest.mark.parametrize(
    ("item", "entry"),
    [
        (episode(1, 5, tvdb=TITANS), (16498, 5)),
        (episode(3, 12, tvdb=TITANS), (99147, 12)),
        (episode(3, 13, tvdb=TITANS), (104578, 1)),
        (episode(4, 17, tvdb=TITANS), (131681, 1)),
        (episode(4, 28, tvdb=TITANS), (131681, 12)),
        (episode(0, 12, tvdb=TITANS), (18397, 2)),
        (episode(3, 13, tmdb=1429), (104578, 1)),
        (episode(3, 13, tmdb=1429, tvdb=TITANS), (104578, 1)),
        (episode(1, 5, tmdb=1429, tvdb=99), (16498, 5)),
        (episode(1, 5, tvdb=HUNTERS), (11061, 5)),
        (episode(2, 1, tvdb=HUNTERS), (11061, 59)),
        (episode(3, 1, tvdb=HUNTERS), (11061, 137)),
        (episode(None, 60, "absolute", tvdb=HUNTERS), (11061, 60)),
        (episode(1, 7, anidb=14444), (104578, 7)),
        (episode(1, 7, "mapped", anidb=16177), (131681, 7)),
        (episode(3, 19, anidb=14444, tvdb=TITANS), (104578, 7)),
        (episode(1, 7, mal=38524), (104578, 7)),
        (Movie(ids=Ids(tmdb=372058)), (21519, 1)),
        (Movie(ids=Ids(imdb="tt5311514")), (21519, 1)),
        (Movie(ids=Ids(anidb=11829)), (21519, 1)),
    ],
)
def test_the_lists_say_which_anime_it_is(item: Any, entry: tuple[int, int]) -> None:
    assert find(item) == entry


def test_each_service_has_its_own_id() -> None:
    assert find(episode(3, 13, tvdb=TITANS), "mal") == (38524, 1)


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (episode(0, 2, tvdb=TITANS), "not which of its anime"),  # a special without a pair
        (episode(0, 13, tvdb=TITANS), "not which of its anime"),  # a part of an episode
        (episode(0, 1, tvdb=HUNTERS), "not which of its anime"),  # a special of the anime's own
        (episode(2, 1, tvdb=TITANS), "not which of its anime"),
        (episode(2, 5, anidb=14444), "not which of its anime"),
        (episode(1, 5, anidb=14444, tvdb=TITANS), "not which of its anime"),
        (episode(1, 5, "mapped", tvdb=TITANS), "which anime"),
        (episode(1, 5, anidb=14444, tvdb=99), "not which of its anime"),
        (episode(1, 5, tvdb=99), "which anime"),
        (episode(1, 5), "which anime"),
        (replace(episode(1, 5, tvdb=TITANS), number=None), "which anime"),
        (Movie(title="A Silent Voice", year=2016), "which anime"),
        (Movie(ids=Ids(tmdb=1)), "which anime"),
        (Track(title="Roygbiv"), "which anime"),
        (episode(1, 2, tvdb=7700), "no id of it at AniList"),
    ],
)
def test_what_the_lists_leave_open_is_not_guessed(item: Any, why: str) -> None:
    with pytest.raises(Unmatched, match=why):
        find(item)


@pytest.mark.parametrize("kinds", [("TV", "TV"), ("OVA", "SPECIAL")])
def test_of_two_that_lie_at_one_place_none_is_taken(kinds: tuple[str, str]) -> None:
    rows = [
        anime_row(1 + n, 11 + n, 21 + n, kind, tvdb_id=5, season={"tvdb": 1}) for n, kind in enumerate(kinds)
    ]

    with pytest.raises(Unmatched, match="more than one"):
        find(episode(1, 1, tvdb=5), index=AnimeIndex(read_id_list(orjson.dumps(rows))))


def test_where_the_numbers_of_two_services_mean_two_anime_none_is_taken() -> None:
    rows = [
        anime_row(1, 11, 21, tvdb_id=5, season={"tvdb": 1}),
        anime_row(2, 12, 22, season={"tmdb": 1}, themoviedb_id={"tv": 6}),
    ]

    with pytest.raises(Unmatched, match="more than one"):
        find(episode(1, 1, tvdb=5, tmdb=6), index=AnimeIndex(read_id_list(orjson.dumps(rows))))


def test_without_a_list_of_ids_the_sentence_says_which_one_is_missing() -> None:
    with pytest.raises(Unmatched, match=r"anime-list-full\.json"):
        find(episode(1, 5, tvdb=TITANS), index=AnimeIndex())


@pytest.mark.parametrize("content", [b"[]", b"{}", b"[{}]", b'[{"anilist_id": 1', b"[1, null]"])
def test_a_list_that_names_nothing_is_refused(content: bytes) -> None:
    with pytest.raises(Unusable):
        read_id_list(content)


def test_lists_of_both_kinds_are_read_and_an_earlier_one_decides(tmp_path: Path) -> None:
    mine, theirs, places = tmp_path / "mine.json", tmp_path / "theirs.json", tmp_path / "places.xml"
    mine.write_bytes(orjson.dumps([anime_row(9541, 1, 2, tvdb_id=TITANS, season={"tvdb": 1})]))
    theirs.write_bytes(IDS)
    places.write_bytes(PLACES)

    found, index = load_anime(f"{mine}:{places}:{theirs}")

    assert found[9541].tvdb == TITANS
    assert find(episode(1, 5, tvdb=TITANS), index=index) == (1, 5)
    assert find(episode(2, 1, tvdb=HUNTERS), index=index) == (11061, 59)
