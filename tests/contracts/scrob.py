"""Scrob, from its own source: https://github.com/ellite/scrob."""

from __future__ import annotations

from tests.contracts._schema import (
    DIGITS,
    NUMBER,
    WHOLE,
    Contract,
    Operation,
    Schema,
    exactly,
    matching,
    thing,
)

SIGNED = {"user-agent": ".+", "x-api-key": ".+"}
AT: Schema = {"anyOf": [matching(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), {"type": "null"}]}
"""In UTC, since an offset is thrown away; null where nobody knows."""

SEEN: dict[str, Schema] = {"watched_at!": AT, "completed!": exactly(True)}
PROXY = "(?:/api/proxy)?"


def by_kind(film: Schema, episode: Schema) -> Schema:
    is_film: Schema = {"properties": {"media_type": exactly("movie")}}
    return {"if": is_film, "then": film, "else": episode}


CONTRACT = Contract(
    [
        Operation(method="GET", path=f"{{proxy:{PROXY}}}/profile/me", headers=SIGNED),
        Operation(
            method="POST",
            path=f"{{proxy:{PROXY}}}/history",
            headers={**SIGNED, "content-type": "application/json"},
            body=by_kind(
                thing(**{"tmdb_id!": NUMBER, "media_type!": exactly("movie"), **SEEN}),
                thing(
                    **{
                        "tmdb_id!": WHOLE,
                        "media_type!": exactly("episode"),
                        "series_tmdb_id!": NUMBER,
                        "series_tvdb_id": NUMBER,
                        "season_number!": WHOLE,
                        "episode_number!": WHOLE,
                        **SEEN,
                    }
                ),
            ),
        ),
        Operation(
            method="GET",
            path=f"{{proxy:{PROXY}}}/history",
            headers=SIGNED,
            query={
                "page!": DIGITS,
                "page_size!": matching("[1-9]|[1-9][0-9]|100"),
                "type": exactly("movie", "episode"),
            },
        ),
        Operation(
            method="GET",
            path=f"{{proxy:{PROXY}}}/history/item-events",
            headers=SIGNED,
            query={
                "tmdb_id!": matching("[1-9][0-9]*"),
                "media_type!": exactly("movie", "episode"),
                "series_tmdb_id": DIGITS,
            },
        ),
        # Never `DELETE /history/item`, which takes every play of the item, nor `DELETE /history`.
        Operation(method="DELETE", path=f"{{proxy:{PROXY}}}/history/event/{{id:[0-9]+}}", headers=SIGNED),
    ]
)
