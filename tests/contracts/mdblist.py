"""MDBList: https://api.mdblist.com/docs/."""

from __future__ import annotations

from tests.contracts._schema import (
    DIGITS,
    IMDB,
    NUMBER,
    TEXT,
    WHOLE,
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
READS = {"user-agent": ".+", "accept": "application/json"}
WRITES = {**READS, "content-type": "application/json"}
FORM = {"user-agent": ".+", "content-type": "application/x-www-form-urlencoded"}
KEY: dict[str, Schema] = {"apikey": TEXT}
IDS: Schema = {**thing(tmdb=NUMBER, imdb=IMDB, trakt=NUMBER, tvdb=NUMBER, kitsu=NUMBER), "minProperties": 1}
EPISODE_IDS: Schema = {**thing(tmdb=NUMBER, tvdb=NUMBER), "minProperties": 1}
AT = matching(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
RATING: Schema = {"type": "integer", "minimum": 1, "maximum": 10}


def progress(below: float | None = None) -> Schema:
    most = {"maximum": 100} if below is None else {"exclusiveMaximum": below}
    return {"type": "number", "minimum": 0, **most}


def scrobbled(most: Schema) -> Schema:
    """A film, or an episode inside its show; a show alone is never sent."""
    episode = thing(**{"number!": WHOLE, "ids": EPISODE_IDS})
    season = thing(**{"number!": WHOLE, "episode!": episode})
    said: dict[str, Schema] = {"progress!": most, "app_version": TEXT}
    return one_of(
        thing(**{"movie!": thing(**{"ids!": IDS}), **said}),
        thing(**{"show!": thing(**{"ids!": IDS, "season!": season}), **said}),
    )


def marks(**said: Schema) -> Schema:
    """Films and episodes; a show or a season that would stand for all its episodes is never sent."""
    numbered = thing(**{"number!": WHOLE, "ids": EPISODE_IDS, **said})
    season = thing(**{"number!": WHOLE, "episodes!": many(numbered, most=MOST)})
    return {
        **thing(
            movies=many(thing(**{"ids!": IDS, **said}), most=MOST),
            shows=many(thing(**{"ids!": IDS, "seasons!": many(season)}), most=MOST),
            episodes=many(thing(**{"ids!": thing(**{"tmdb!": NUMBER}), **said}), most=MOST),
        ),
        "minProperties": 1,
    }


def ratings(**said: Schema) -> Schema:
    """As marks; a show and a season have a rating of their own."""
    numbered = thing(**{"number!": WHOLE, "ids": EPISODE_IDS, **said})
    season = any_of(
        thing(**{"number!": WHOLE, "episodes!": many(numbered)}), thing(**{"number!": WHOLE, **said})
    )
    show = any_of(thing(**{"ids!": IDS, "seasons!": many(season)}), thing(**{"ids!": IDS, **said}))
    own = thing(**{"ids!": thing(**{"tmdb!": NUMBER}), **said})
    return {
        **thing(movies=many(thing(**{"ids!": IDS, **said})), shows=many(show), episodes=many(own)),
        "minProperties": 1,
    }


def listed(title: Schema) -> Schema:
    return thing(**{"movies!": many(title, least=0, most=MOST), "shows!": many(title, least=0, most=MOST)})


def post(path: str, body: Schema, **query: Schema) -> Operation:
    return Operation(method="POST", path=path, headers=WRITES, query={**KEY, **query}, body=body)


def form(path: str, body: Schema) -> Operation:
    return Operation(method="POST", path=path, headers=FORM, body=body)


CONTRACT = Contract(
    [
        Operation(method="GET", path="/user", headers=READS, query=KEY),
        post("/scrobble/start", scrobbled(progress(below=80))),
        post("/scrobble/{verb:pause|stop}", scrobbled(progress())),
        Operation(method="GET", path="/sync/playback", headers=READS, query=KEY),
        Operation(
            method="GET",
            path="/sync/watched",
            headers=READS,
            query={
                **KEY,
                "plays!": exactly("all"),  # without it come states, whose dates mean nothing
                "limit": DIGITS,
                "cursor": TEXT,
                "offset": DIGITS,
                "mediatype": exactly("movie", "episode"),
                "since": AT,
            },
        ),
        post("/sync/watched", marks(**{"watched_at!": AT}), report_added=exactly("true")),
        post("/sync/watched/remove", marks()),
        post("/sync/watched/plays/remove", thing(**{"play_ids!": many(NUMBER)})),
        post("/sync/ratings", ratings(**{"rating!": RATING, "rated_at": AT})),
        post("/sync/ratings/remove", ratings()),
        post("/sync/collection", marks()),
        post("/sync/collection/remove", marks()),
        Operation(
            method="GET",
            path="/watchlist/items",
            headers=READS,
            query={**KEY, "limit": DIGITS, "cursor": TEXT, "offset": DIGITS},
        ),
        post("/watchlist/items/{verb:add|remove}", one_of(listed(IDS), listed(thing(**{"ids!": IDS})))),
        form("/oauth/device-authorization", thing(**{"client_id!": TEXT, "scope!": exactly("write")})),
        form(
            "/oauth/token",
            one_of(
                thing(
                    **{
                        "grant_type!": exactly("urn:ietf:params:oauth:grant-type:device_code"),
                        "device_code!": TEXT,
                        "client_id!": TEXT,
                    }
                ),
                thing(
                    **{
                        "grant_type!": exactly("refresh_token"),
                        "refresh_token!": TEXT,
                        "client_id!": TEXT,
                    }
                ),
            ),
        ),
        form("/oauth/revoke_token", thing(**{"token!": TEXT, "client_id!": TEXT})),
    ],
    free=("/without-slash",),
)
