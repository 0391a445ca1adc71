"""Simkl: https://api.simkl.org and https://simkl.docs.apiary.io."""

from __future__ import annotations

from tests.contracts._schema import (
    IMDB,
    MOMENT,
    TEXT,
    WHOLE,
    YEAR,
    Contract,
    Operation,
    Schema,
    any_of,
    exactly,
    many,
    matching,
    one_of,
    thing,
)

MOST = 100
AGENT = {"user-agent": r"[^/\s]+/\S+.*", "simkl-api-key": ".+"}
POSTED = {**AGENT, "content-type": "application/json"}
SIGNED = {**AGENT, "authorization": "Bearer .+"}
WRITES = {**POSTED, "authorization": "Bearer .+"}
APP: dict[str, Schema] = {
    "client_id!": TEXT,
    "app-name!": matching("[a-z0-9][a-z0-9-]*"),
    "app-version!": matching(r"\d+(\.\d+)*\S*"),
}
ID: Schema = any_of({"type": "integer", "minimum": 1}, TEXT)
IDS: Schema = {
    **thing(simkl=ID, imdb=IMDB, tmdb=ID, tvdb=ID, mal=ID, anidb=ID, anilist=ID, kitsu=ID, traktslug=TEXT),
    "minProperties": 1,
}
EPISODE_IDS: Schema = {**thing(simkl=ID, tvdb=ID, anidb=ID), "minProperties": 1}
AT = matching(MOMENT)
RATING: Schema = {"type": "integer", "minimum": 1, "maximum": 10}


def titled(**said: Schema) -> Schema:
    """A film or a show by ids, or by title and year; the title may stand beside the ids."""
    return any_of(
        thing(**{"ids!": IDS, "title": TEXT, "year": YEAR, **said}),
        thing(**{"title!": TEXT, "year!": YEAR, **said}),
    )


def marks(**said: Schema) -> Schema:
    """Films and episodes; a show or a season that would stand for all its episodes is never sent."""
    numbered = thing(**{"number!": WHOLE, "ids": EPISODE_IDS, **said})
    season = thing(**{"number!": WHOLE, "episodes!": many(numbered, most=MOST)})
    by_season = {"seasons!": many(season, most=MOST), "use_tvdb_anime_seasons": {"type": "boolean"}}
    return {
        **thing(
            movies=many(titled(**said), most=MOST),
            shows=many(
                any_of(titled(**by_season), titled(**{"episodes!": many(numbered, most=MOST)})), most=MOST
            ),
            episodes=many(thing(**{"ids!": EPISODE_IDS, **said}), most=MOST),
        ),
        "minProperties": 1,
    }


def rated(**said: Schema) -> Schema:
    """Films and shows as a whole; there are no ratings of episodes."""
    titles = many(titled(**said), most=MOST)
    return {**thing(movies=titles, shows=titles), "minProperties": 1}


def played() -> Schema:
    progress: Schema = {"type": "number", "minimum": 0, "maximum": 100}
    place = thing(**{"season": WHOLE, "number!": WHOLE})
    inside = thing(**{"season!": WHOLE, "number!": WHOLE})
    return one_of(
        thing(**{"progress!": progress, "movie!": titled()}),
        thing(**{"progress!": progress, "show!": titled(), "episode!": inside}),
        thing(**{"progress!": progress, "anime!": titled(), "episode!": place}),
    )


LISTS = "movies|shows|anime"
CONTRACT = Contract(
    [
        Operation(
            method="POST", path="/scrobble/{verb:start|pause|stop}", headers=WRITES, query=APP, body=played()
        ),
        Operation(method="GET", path="/sync/playback", headers=SIGNED, query=APP),
        Operation(method="GET", path="/sync/playback/{kind:movies|episodes}", headers=SIGNED, query=APP),
        Operation(method="DELETE", path="/sync/playback/{id:[0-9]+}", headers=SIGNED, query=APP),
        Operation(
            method="GET",
            path=f"/sync/all-items/{{list:{LISTS}}}",
            headers=SIGNED,
            query={
                **APP,
                "extended": exactly("full", "full_anime_seasons", "simkl_ids_only", "ids_only"),
                "episode_watched_at": exactly("yes"),
                "date_from": AT,
            },
        ),
        Operation(
            method="POST",
            path="/sync/history",
            headers=WRITES,
            query={**APP, "allow_rewatch": exactly("yes")},
            body=marks(watched_at=AT),
        ),
        Operation(
            method="POST",
            path="/sync/history/remove",
            headers=WRITES,
            query=APP,
            body=any_of(marks(), rated()),  # a title as a whole, which is only planned
        ),
        Operation(
            method="GET", path=f"/sync/all-items/{{list:{LISTS}}}/plantowatch", headers=SIGNED, query=APP
        ),
        Operation(method="GET", path="/sync/activities", headers=SIGNED, query=APP),
        Operation(
            method="POST",
            path="/sync/add-to-list",
            headers=WRITES,
            query=APP,
            body=rated(**{"to!": exactly("plantowatch")}),
        ),
        Operation(
            method="POST",
            path="/sync/ratings",
            headers=WRITES,
            query=APP,
            body=rated(**{"rating!": RATING, "rated_at": AT}),
        ),
        Operation(method="POST", path="/sync/ratings/remove", headers=WRITES, query=APP, body=rated()),
        Operation(
            method="POST",
            path="/sync/watched",
            headers=WRITES,
            query={**APP, "extended": matching("(counters|episodes|specials)(,(counters|episodes|specials))*")},
            body=many(
                thing(
                    simkl=ID, imdb=IMDB, tmdb=ID, tvdb=ID, mal=ID, anidb=ID, title=TEXT, year=YEAR,
                    type=exactly("movie", "show", "anime", "tv"),
                ),
                most=MOST,
            ),
        ),
        Operation(
            method="GET",
            path="/search/id",
            headers=AGENT,
            query={
                **APP,
                **dict.fromkeys(("imdb", "tmdb", "tvdb", "mal", "anidb"), TEXT),
                "type": exactly("movie", "show", "tv", "anime"),
            },
        ),
        Operation(
            method="GET",
            path="/search/{type:movie|tv|anime}",
            headers=AGENT,
            query={**APP, "q!": TEXT, "page": TEXT, "limit": TEXT},
        ),
        Operation(method="POST", path="/users/settings", headers=WRITES, query=APP),
        Operation(method="GET", path="/oauth/pin", headers=AGENT, query=APP),
        Operation(method="GET", path="/oauth/pin/{code}", headers=AGENT, query=APP),
    ]
)  # fmt: skip
