"""Trakt: https://docs.trakt.tv and https://github.com/trakt/trakt-api."""

from __future__ import annotations

from tests.contracts._schema import (
    DIGITS,
    IMDB,
    MOMENT,
    NUMBER,
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

MOST = 100  # no maximum is documented; a client keeps to this
JSON = {"content-type": "application/json", "user-agent": r"[^/\s]+/\S+.*"}
APP = {**JSON, "trakt-api-version": "2", "trakt-api-key": ".+"}
SIGNED = {**APP, "authorization": "Bearer .+"}

KNOWN: dict[str, dict[str, Schema]] = {
    "movie": {"trakt": NUMBER, "slug": TEXT, "imdb": IMDB, "tmdb": NUMBER},
    "show": {"trakt": NUMBER, "slug": TEXT, "imdb": IMDB, "tmdb": NUMBER, "tvdb": NUMBER},
    "season": {"trakt": NUMBER, "tmdb": NUMBER, "tvdb": NUMBER},
    "episode": {"trakt": NUMBER, "imdb": IMDB, "tmdb": NUMBER, "tvdb": NUMBER},
}
WATCHED_AT = any_of(matching(MOMENT), exactly("unknown", "released"))
AT = matching(MOMENT)


def ids(kind: str) -> Schema:
    return {**thing(**KNOWN[kind]), "minProperties": 1}


def named(kind: str, **said: Schema) -> Schema:
    """A film or a show by ids, or by title and year; never by its title alone."""
    return any_of(
        thing(**{"ids!": ids(kind), "title": TEXT, "year": YEAR, **said}),
        thing(**{"title!": TEXT, "year!": YEAR, **said}),
    )


def leaves(**said: Schema) -> Schema:
    """What a sync call says of films, of episodes by their ids and of episodes and seasons inside their shows.

    A show or a season that stands for all its episodes is never sent: what is said of one is said of it alone.
    """
    numbered = thing(**{"number!": WHOLE, **said})
    season = thing(**{"number!": WHOLE, "episodes!": many(numbered, most=MOST)})
    show = named("show", **{"seasons!": many(season, most=MOST)})
    return {
        **thing(
            movies=many(named("movie", **said), most=MOST),
            shows=many(show, most=MOST),
            episodes=many(thing(**{"ids!": ids("episode"), **said}), most=MOST),
        ),
        "minProperties": 1,
    }


def anything(**said: Schema) -> Schema:
    """The same of what can be rated as a whole: shows and seasons too."""
    numbered = thing(**{"number!": WHOLE, **said})
    whole_season = thing(**{"number!": WHOLE, **said})
    season = thing(**{"number!": WHOLE, "episodes!": many(numbered, most=MOST)})
    inside = named("show", **{"seasons!": many(any_of(season, whole_season), most=MOST)})
    return {
        **thing(
            movies=many(named("movie", **said), most=MOST),
            shows=many(any_of(named("show", **said), inside), most=MOST),
            seasons=many(thing(**{"ids!": ids("season"), **said}), most=MOST),
            episodes=many(thing(**{"ids!": ids("episode"), **said}), most=MOST),
        ),
        "minProperties": 1,
    }


def played(least: float, below: float | None = None) -> Schema:
    """A scrobble, with the progress that the call takes."""
    bounds: Schema = {"minimum": least, "maximum": 100}
    progress = {"type": "number", **bounds, **({} if below is None else {"exclusiveMaximum": below})}
    place = any_of(thing(**{"season!": WHOLE, "number!": WHOLE}), thing(**{"number_abs!": NUMBER}))
    return one_of(
        thing(**{"progress!": progress, "movie!": named("movie")}),
        thing(**{"progress!": progress, "episode!": thing(**{"ids!": ids("episode")})}),
        thing(**{"progress!": progress, "show!": named("show"), "episode!": place}),
    )


PAGED = {"page": DIGITS, "limit": matching("[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|250"), "extended": TEXT}
DAY_OR_MOMENT = matching(rf"{MOMENT}|\d{{4}}-\d\d-\d\d")
WINDOW = {"start_at": DAY_OR_MOMENT, "end_at": DAY_OR_MOMENT, **PAGED}
APP_SECRET = {"client_id!": TEXT, "client_secret!": TEXT}
GROUPS = "movies|shows|seasons|episodes"

CONTRACT = Contract(
    [
        Operation(method="POST", path="/scrobble/start", headers=SIGNED, body=played(0)),
        Operation(method="POST", path="/scrobble/pause", headers=SIGNED, body=played(1, 80)),
        Operation(method="POST", path="/scrobble/stop", headers=SIGNED, body=played(1)),
        Operation(method="GET", path="/sync/last_activities", headers=SIGNED),
        Operation(method="GET", path="/sync/playback", headers=SIGNED, query=WINDOW),
        Operation(method="GET", path="/sync/playback/{kind:movies|episodes}", headers=SIGNED, query=WINDOW),
        Operation(method="DELETE", path="/sync/playback/{id:[0-9]+}", headers=SIGNED),
        Operation(method="POST", path="/sync/history", headers=SIGNED, body=leaves(watched_at=WATCHED_AT)),
        Operation(
            method="POST",
            path="/sync/history/remove",
            headers=SIGNED,
            body=thing(**{"ids!": many(NUMBER, most=MOST)}),
        ),
        Operation(method="GET", path="/sync/history", headers=SIGNED, query=WINDOW),
        Operation(method="GET", path=f"/sync/history/{{kind:{GROUPS}}}", headers=SIGNED, query=WINDOW),
        Operation(
            method="GET", path=f"/sync/history/{{kind:{GROUPS}}}/{{id:[0-9]+}}", headers=SIGNED, query=WINDOW
        ),
        Operation(
            method="POST",
            path="/sync/ratings",
            headers=SIGNED,
            body=anything(**{"rating!": {"type": "integer", "minimum": 1, "maximum": 10}, "rated_at": AT}),
        ),
        Operation(method="POST", path="/sync/ratings/remove", headers=SIGNED, body=anything()),
        Operation(method="POST", path="/sync/collection", headers=SIGNED, body=anything(collected_at=AT)),
        Operation(method="POST", path="/sync/collection/remove", headers=SIGNED, body=anything()),
        Operation(method="GET", path="/sync/watchlist", headers=SIGNED, query=PAGED),
        Operation(method="GET", path=f"/sync/watchlist/{{kind:{GROUPS}}}", headers=SIGNED, query=PAGED),
        Operation(method="POST", path="/sync/watchlist", headers=SIGNED, body=anything(notes=TEXT)),
        Operation(method="POST", path="/sync/watchlist/remove", headers=SIGNED, body=anything()),
        Operation(method="GET", path="/users/settings", headers=SIGNED),
        Operation(method="GET", path="/users/{id}/watching", headers=SIGNED),
        Operation(
            method="GET",
            path="/search/{namespace:trakt|imdb|tmdb|tvdb}/{id}",
            headers=APP,
            query={"type!": matching("(movie|show|episode|person)(,(movie|show|episode|person))*"), **PAGED},
        ),
        Operation(
            method="GET",
            path="/search/{type:movie|show|episode|person}",
            headers=APP,
            query={"query!": TEXT, "fields": TEXT, "years": matching(r"\d{4}(-\d{4})?"), **PAGED},
        ),
        Operation(method="GET", path="/movies/{id}", headers=APP, query={"extended": TEXT}),
        Operation(method="GET", path="/shows/{id}", headers=APP, query={"extended": TEXT}),
        Operation(method="GET", path="/shows/{id}/seasons", headers=APP, query={"extended": TEXT}),
        Operation(
            method="GET",
            path="/shows/{id}/seasons/{season:[0-9]+}/episodes/{number:[0-9]+}",
            headers=APP,
            query={"extended": TEXT},
        ),
        Operation(method="POST", path="/oauth/device/code", headers=JSON, body=thing(**{"client_id!": TEXT})),
        Operation(
            method="POST",
            path="/oauth/device/token",
            headers=JSON,
            body=thing(**{"code!": TEXT, **APP_SECRET}),
        ),
        Operation(
            method="POST",
            path="/oauth/token",
            headers=JSON,
            body=thing(
                **{
                    "grant_type!": exactly("refresh_token"),
                    "refresh_token!": TEXT,
                    "redirect_uri!": TEXT,
                    **APP_SECRET,
                }
            ),
        ),
        Operation(
            method="POST", path="/oauth/revoke", headers=JSON, body=thing(**{"token!": TEXT, **APP_SECRET})
        ),
    ]
)
