"""Anime lists as small as a test needs: the places of `anime-list-master.xml`, the ids of `anime-list-full.json`."""

from __future__ import annotations

from typing import Any

import orjson

from webhook.domain.anime import read_list
from webhook.domain.anime_ids import read_id_list
from webhook.domain.anime_index import AnimeIndex

TITANS, HUNTERS = 267440, 252322
PLACES = b"""<?xml version="1.0" encoding="utf-8"?>
<anime-list>
  <anime anidbid="9541" tvdbid="267440" defaulttvdbseason="1" episodeoffset="" tmdbtv="1429" tmdbseason="1"/>
  <anime anidbid="13241" tvdbid="267440" defaulttvdbseason="3" episodeoffset="" tmdbtv="1429" tmdbseason="3"/>
  <anime anidbid="14444" tvdbid="267440" defaulttvdbseason="3" episodeoffset="12"/>
  <anime anidbid="9888" tvdbid="267440" defaulttvdbseason="0" episodeoffset="">
    <mapping-list><mapping anidbseason="1" tvdbseason="0">;2-12;3-13+14;</mapping></mapping-list>
  </anime>
  <anime anidbid="8550" tvdbid="252322" defaulttvdbseason="a" episodeoffset="">
    <mapping-list>
      <mapping anidbseason="1" tvdbseason="1" start="1" end="58" offset="0"/>
      <mapping anidbseason="1" tvdbseason="2" start="59" end="136" offset="-58"/>
      <mapping anidbseason="1" tvdbseason="3" start="137" end="148" offset="-136"/>
      <mapping anidbseason="0" tvdbseason="0">;1-1;</mapping>
    </mapping-list>
  </anime>
</anime-list>"""


def anime_row(anidb: int, anilist: int, mal: int, kind: str = "TV", **more: Any) -> dict[str, Any]:
    return {"type": kind, "anidb_id": anidb, "anilist_id": anilist, "mal_id": mal, **more}


ROWS: list[Any] = [
    anime_row(9541, 16498, 16498, tvdb_id=TITANS, season={"tvdb": 1, "tmdb": 1}, themoviedb_id={"tv": 1429}),
    anime_row(13241, 99147, 35760, tvdb_id=TITANS, season={"tvdb": 3, "tmdb": 3}, themoviedb_id={"tv": 1429}),
    anime_row(
        *(14444, 104578, 38524),
        tvdb_id="267440",
        season={"tvdb": 3, "tmdb": 3},
        episode_offset={"tvdb": 12, "tmdb": 12},
        themoviedb_id={"tv": 1429},
    ),
    anime_row(16177, 131681, 48583, tvdb_id=TITANS, season={"tvdb": 4}, episode_offset={"tvdb": 16}),
    anime_row(
        17303, 146984, 51535, "SPECIAL", tvdb_id=TITANS, season={"tvdb": 4}, episode_offset={"tvdb": 28}
    ),
    anime_row(9888, 18397, 18397, "OVA", tvdb_id=TITANS, season={"tvdb": 1}),
    anime_row(8550, 11061, 11061, tvdb_id=HUNTERS, imdb_id="tt2098220,tt9999999"),
    anime_row(11829, 21519, 32281, "MOVIE", themoviedb_id={"movie": 372058}, imdb_id=["tt5311514"]),
    anime_row(20526, 120526, 220526, "MOVIE", themoviedb_id=20526),
    anime_row(1396, 101396, 201396, tvdb_id=81189, season={"tvdb": 1}),
    {"type": "TV", "anidb_id": 77, "mal_id": "777", "tvdb_id": 7700, "season": {"tvdb": 1}},
    *(None, "no row", {"type": 5}, {"anilist_id": {"a": 1}}, {"anilist_id": True, "tvdb_id": -3}),
]
"""The first and third series of one show, a film, what the shared suites send, and rows that nobody can read."""

IDS = orjson.dumps(ROWS)
INDEX = AnimeIndex(read_id_list(IDS), read_list(PLACES))
