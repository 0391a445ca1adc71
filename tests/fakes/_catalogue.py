"""The films and shows that the fake Trakt knows from the start, with the collisions of the real one.

Numbers mean nothing without their kind: 1396 is Breaking Bad among TMDB's shows and part of another show
among its episodes. Two runs without end, of which tests take as many as they need, follow a rule:

    Tidewater   its episode (season 1-9, number n) is "Part n", TheTVDB id season * 100000 + n
    Reel n      a film of 2000, TMDB id 800000 + n, IMDb id tt8 and n in six digits
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TIDEWATER: Json = {"title": "Tidewater", "year": 2014, "ids": {"trakt": 7000, "tvdb": 88, "tmdb": 70_002}}
PARTS_A_SEASON = 100_000
FIRST_REEL, REELS = 800_000, 100_000

MOVIES: list[Json] = [
    {
        "title": "TRON: Legacy",
        "year": 2010,
        "ids": {"trakt": 12601, "slug": "tron-legacy-2010", "imdb": "tt1104001", "tmdb": 20526},
        "aliases": ["Tron: El legado"],
        "runtime": 125,
    },
    {"title": "Tron", "year": 1982, "ids": {"trakt": 1, "imdb": "tt0084827", "tmdb": 97}},
    {"title": "The Lighthouse Keeper", "year": 2019, "ids": {"imdb": "tt9000001", "tmdb": 900_001}},
    {"title": "Another Keeper", "year": 2020, "ids": {"tmdb": 5}},
    # The numbers of a pilot (below) as a film's.
    {"title": "The Fog Horn", "year": 1958, "ids": {"trakt": 73482, "tmdb": 62085, "imdb": "tt0051555"}},
    # A film and its remake.
    {"title": "Paper Boats", "year": 1961, "ids": {"trakt": 9101, "tmdb": 9201, "imdb": "tt0055555"}},
    {"title": "Paper Boats", "year": 2001, "ids": {"trakt": 9102, "tmdb": 9202, "imdb": "tt0255555"}},
]
SHOWS: list[Json] = [
    {
        "title": "Breaking Bad",
        "year": 2008,
        "ids": {"trakt": 1388, "slug": "breaking-bad", "tvdb": 81189, "imdb": "tt0903747", "tmdb": 1396},
        "aliases": ["Totál szívás"],
        "episodes": [
            {
                "season": 0,
                "number": 1,
                "title": "Good Cop / Bad Cop",
                "ids": {"trakt": 73481, "tvdb": 3859781},
            },
            {
                "season": 1,
                "number": 1,
                "title": "Pilot",
                "ids": {"trakt": 73482, "tvdb": 349232, "imdb": "tt0959621", "tmdb": 62085},
            },
            {
                "season": 1,
                "number": 2,
                "title": "Cat's in the Bag...",
                "ids": {"trakt": 73483, "tvdb": 349233, "imdb": "tt1054724", "tmdb": 62086},
            },
            {
                "season": 2,
                "number": 1,
                "title": "Seven Thirty-Seven",
                "ids": {"trakt": 73489, "tvdb": 438909},
            },
        ],
    },
    {
        "title": "Harbour Lights",
        "year": 1999,
        "ids": {"trakt": 2201, "tvdb": 76_543, "tmdb": 5501},
        "episodes": [
            # The numbers of a show (above) as an episode's.
            {
                "season": 1,
                "number": 1,
                "title": "Low Tide",
                "ids": {"trakt": 1388, "tvdb": 81189, "tmdb": 1396},
            },
            {
                "season": 4,
                "number": 7,
                "title": "The Pier",
                "ids": {"trakt": 2207, "tvdb": 76_550, "tmdb": 5507},
            },
        ],
    },
    # Two shows of one title.
    {
        "title": "Galactica",
        "year": 1978,
        "ids": {"trakt": 3301, "tvdb": 71_173, "tmdb": 501},
        "episodes": [{"season": 1, "number": 1, "title": "Saga", "ids": {"trakt": 3311, "tvdb": 160_051}}],
    },
    {
        "title": "Galactica",
        "year": 2004,
        "ids": {"trakt": 3302, "tvdb": 73_545, "tmdb": 1972},
        "episodes": [{"season": 1, "number": 1, "title": "33", "ids": {"trakt": 3312, "tvdb": 299_987}}],
    },
]
SEASONS: list[Json] = [{"show": 1388, "number": 1, "ids": {"trakt": 3950, "tvdb": 30272, "tmdb": 3572}}]


def part(season: int, number: int) -> Json | None:
    """An episode of Tidewater; None where there is none."""
    if not (1 <= season <= 9 and 1 <= number < PARTS_A_SEASON):
        return None
    tvdb = season * PARTS_A_SEASON + number
    return {"season": season, "number": number, "title": f"Part {number}", "ids": {"tvdb": tvdb}}


def part_by_tvdb(tvdb: Any) -> Json | None:
    return part(*divmod(tvdb, PARTS_A_SEASON)) if isinstance(tvdb, int) else None


def reel(number: int) -> Json | None:
    """One of the films that follow a rule; None where there is none."""
    if not 1 <= number < REELS:
        return None
    ids = {"tmdb": FIRST_REEL + number, "imdb": f"tt8{number:06}"}
    return {"title": f"Reel {number}", "year": 2000, "ids": ids}


def reel_by_id(namespace: str, value: Any) -> Json | None:
    if namespace == "tmdb" and isinstance(value, int):
        return reel(value - FIRST_REEL)
    if namespace == "imdb" and isinstance(value, str) and value.startswith("tt8") and len(value) == 9:
        return reel(int(value[3:])) if value[3:].isdecimal() else None
    return None
