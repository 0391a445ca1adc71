"""TheTVDB v4: https://thetvdb.github.io/v4-api; of v3 what servers that still speak it are asked."""

from __future__ import annotations

from tests.contracts._schema import DIGITS, TEXT, Contract, Operation, Schema, any_of, exactly, thing

ID = "[0-9]+"
AGENT = {"user-agent": ".+"}
SIGNED = {**AGENT, "authorization": "Bearer .+"}
JSON = {**AGENT, "content-type": "application/json"}
ORDERS = "default|official|dvd|absolute|alternate|regional"


def asked(path: str, **query: Schema) -> Operation:
    return Operation(method="GET", path=path, headers=SIGNED, query=query)


CONTRACT = Contract(
    [
        Operation(
            method="POST",
            path="{version:/v4|}/login",
            headers=JSON,
            body=any_of(
                thing(**{"apikey!": TEXT, "pin": TEXT}),
                thing(**{"apikey!": TEXT, "username!": TEXT, "userkey!": TEXT}),
            ),
        ),
        asked("{version:/v4|}/search/remoteid/{id}"),
        asked(
            "{version:/v4|}/search",
            **{"query!": TEXT, "type": exactly("movie", "series"), "year": DIGITS, "limit": DIGITS, "remote_id": TEXT},
        ),
        asked(
            f"{{version:/v4|}}/series/{{id:{ID}}}/episodes/{{order:{ORDERS}}}",
            **{"page!": DIGITS, "season": DIGITS, "episodeNumber": DIGITS, "airDate": TEXT},
        ),
        asked(f"{{version:/v4|}}/episodes/{{id:{ID}}}/extended"),
        asked(f"{{version:/v4|}}/series/{{id:{ID}}}"),
        asked(f"{{version:/v4|}}/series/{{id:{ID}}}/extended", meta=TEXT, short=exactly("true")),
        asked(f"{{version:/v4|}}/movies/{{id:{ID}}}/extended"),
        # v3
        asked("/search/series", name=TEXT, imdbId=TEXT, slug=TEXT),
        asked(f"/series/{{id:{ID}}}/episodes", page=DIGITS),
        asked(
            f"/series/{{id:{ID}}}/episodes/query",
            airedSeason=DIGITS, airedEpisode=DIGITS, absoluteNumber=DIGITS, imdbId=TEXT, page=DIGITS,
        ),
        asked(f"/episodes/{{id:{ID}}}"),
        asked(f"/movies/{{id:{ID}}}"),
        asked("/refresh_token"),
    ]
)  # fmt: skip
