"""Floppy, from its own source: https://github.com/dannyvfilms/Floppy."""

from __future__ import annotations

from tests.contracts._schema import DIGITS, TEXT, Contract, Operation, exactly, matching, thing

SIGNED = {"user-agent": ".+", "authorization": "Bearer .+"}
SENT = {**SIGNED, "content-type": "application/json"}
AT = matching(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
"""Never null, which means now."""

PAGE = {"limit!": matching("[1-9]|[1-9][0-9]|1[0-9][0-9]|200"), "offset!": DIGITS}
FILM = "/api/v1/media/movie/tmdb/{film:[1-9][0-9]*}"
SEASON = "/api/v1/media/tv/tmdb/{show:[1-9][0-9]*}/{season:[0-9]+}"
EPISODE = f"{SEASON}/{{number:[0-9]+}}"

CONTRACT = Contract(
    [
        Operation(method="GET", path="/api/v1/lists", headers=SIGNED, query={"limit!": exactly("1")}),
        Operation(
            method="POST",
            path=f"{FILM}/watch",
            headers=SENT,
            body=thing(**{"end_date!": AT, "external_id!": TEXT}),
        ),
        Operation(
            method="POST",
            path=f"{SEASON}/episodes/{{number:[0-9]+}}/watch",
            headers=SENT,
            body=thing(**{"end_date!": AT}),
        ),
        Operation(method="GET", path=f"{FILM}/history", headers=SIGNED, query=PAGE),
        Operation(method="GET", path=f"{EPISODE}/history", headers=SIGNED, query=PAGE),
        Operation(method="GET", path="/api/v1/media/episode", headers=SIGNED, query=PAGE),
        Operation(
            method="GET",
            path="/api/v1/media/movie",
            headers=SIGNED,
            query={**PAGE, "status": exactly("0", "1", "2", "3", "4")},
        ),
        # Never `DELETE …/watch`, which takes the newest play, whosever it is.
        Operation(method="DELETE", path=f"{FILM}/history/{{id:[0-9]+}}", headers=SIGNED),
        Operation(method="DELETE", path=f"{EPISODE}/history/{{id:[0-9]+}}", headers=SIGNED),
    ]
)
