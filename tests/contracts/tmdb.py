"""TMDB v3: https://developer.themoviedb.org."""

from __future__ import annotations

from tests.contracts._schema import DIGITS, TEXT, Contract, Operation, Schema, exactly, matching

ID = "[0-9]+"
KEY: dict[str, Schema] = {"api_key": matching("[0-9a-zA-Z]+"), "language": TEXT, "append_to_response": TEXT}
AGENT = {"user-agent": ".+", "authorization": "(Bearer .+)?"}


def asked(path: str, **query: Schema) -> Operation:
    return Operation(method="GET", path=path, headers=AGENT, query={**KEY, **query})


CONTRACT = Contract(
    [
        asked("/3/configuration"),
        asked("/3/authentication"),
        asked(
            "/3/find/{id}",
            **{
                "external_source!": exactly(
                    "imdb_id", "tvdb_id", "wikidata_id", "facebook_id", "instagram_id", "twitter_id", "tiktok_id",
                    "youtube_id",
                )
            },
        ),
        asked("/3/search/movie", **{"query!": TEXT, "page": DIGITS, "year": DIGITS, "primary_release_year": DIGITS}),
        asked("/3/search/tv", **{"query!": TEXT, "page": DIGITS, "year": DIGITS, "first_air_date_year": DIGITS}),
        asked("/3/search/multi", **{"query!": TEXT, "page": DIGITS, "include_adult": TEXT}),
        asked(f"/3/movie/{{id:{ID}}}"),
        asked(f"/3/movie/{{id:{ID}}}/external_ids"),
        asked(f"/3/tv/{{id:{ID}}}"),
        asked(f"/3/tv/{{id:{ID}}}/external_ids"),
        asked(f"/3/tv/{{id:{ID}}}/season/{{season:{ID}}}"),
        asked(f"/3/tv/{{id:{ID}}}/season/{{season:{ID}}}/episode/{{number:{ID}}}"),
        asked(f"/3/tv/{{id:{ID}}}/season/{{season:{ID}}}/episode/{{number:{ID}}}/external_ids"),
        asked("/t/p/{size:w92|w154|w185|w342|w500|w780|original}/{file}"),
    ]
)  # fmt: skip
