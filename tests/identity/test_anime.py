from __future__ import annotations

from pathlib import Path

import pytest

from tests.identity.world import ANIME_LIST
from webhook.domain import anime
from webhook.domain.anime import Unusable
from webhook.domain.event import Episode, Ids

LISTS = anime.read_list(ANIME_LIST)


@pytest.mark.parametrize(
    ("anidb", "season", "number", "place"),
    [
        (900, 1, 3, (1, 3)),
        (900, 0, 1, (0, 2)),
        (900, 0, 2, None),
        (900, 0, 3, None),
        (900, 0, 4, None),
        (901, 1, 3, (2, 3)),
        (902, 1, 2, (2, 5)),
        (903, 1, 2, (None, 8)),
        (904, 1, 4, (1, 4)),
        (904, 1, 5, (1, 6)),
        (904, 1, 7, (2, 1)),
    ],
)
def test_a_list_says_where_an_episode_lies(
    anidb: int, season: int, number: int, place: tuple[int | None, int] | None
) -> None:
    assert LISTS[anidb].place(season, number) == place


def test_an_episode_whose_place_the_list_leaves_open_is_told_to_nobody_by_its_numbers() -> None:
    special = Episode(show="Kaze Club", season=0, number=2, show_ids=Ids(anidb=900))

    assert anime.map_episode(special, LISTS).numbering == "mapped"


def test_an_anime_that_no_list_knows_stays_as_it_is() -> None:
    item = Episode(show="Kaze Club", season=1, number=2, show_ids=Ids(anidb=999))

    assert anime.map_episode(item, LISTS) is item


@pytest.mark.parametrize(
    "raw",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]><anime-list/>',
        b'<!DOCTYPE a SYSTEM "file:///etc/hostname"><anime-list/>',
        b"<anime-list><anime",
        b"no xml at all",
        b"",
    ],
)
def test_a_list_that_could_do_harm_or_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(Unusable):
        anime.read_list(raw)


def test_of_two_lists_the_first_decides(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine.xml", tmp_path / "theirs.xml"
    mine.write_bytes(b'<anime-list><anime anidbid="900" tvdbid="1" defaulttvdbseason="1"/></anime-list>')
    theirs.write_bytes(ANIME_LIST)

    lists = anime.merge_lists(anime.load_contents(f"{mine}:{theirs}"))

    assert lists[900].tvdb == 1
    assert lists[901].tvdb == 7100


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"none\.xml"):
        anime.load_contents(str(tmp_path / "none.xml"))
