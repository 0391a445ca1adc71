"""TV Time: its app's calls through `/sidecar`, by the host and the path of what they are for (`tests.fakes.tvtime`)."""

from __future__ import annotations

from tests.contracts._schema import DIGITS, TEXT, Contract, Operation, exactly, matching, thing

API = "/sidecar/api2.tozelabs.com/v2"
AUTH = "/sidecar/auth.tvtime.com/v1"
MSAPI = "/sidecar/msapi.tvtime.com"
SEARCH = "/sidecar/search.tvtime.com/v1/search"
ID = "[0-9]+"
MOVIE = "[0-9a-f-]+"

AGENT = {"user-agent": r"(?!python|curl|Java|okhttp).+"}
SIGNED = {**AGENT, "authorization": "Bearer .+"}
KIND = {"entity_type!": exactly("episode", "movie", "series", "anime")}
PAGED = {"page_offset": DIGITS, "page_limit": matching("[1-9][0-9]?|[1-4][0-9][0-9]|500")}

CONTRACT = Contract(
    [
        Operation(
            method="POST",
            path=f"{API}/user",
            headers=AGENT,
            query={"lang": TEXT, "country_code": TEXT, "source": TEXT, "version": TEXT},
        ),
        Operation(
            method="POST",
            path=f"{AUTH}/login",
            headers={**SIGNED, "content-type": "application/json"},
            body=thing(**{"username!": TEXT, "password!": TEXT}),
        ),
        Operation(
            method="GET", path=f"{API}/user/{{id:{ID}}}/jwt", headers={**SIGNED, "jwt_refresh_token": ".+"}
        ),
        Operation(
            method="POST",
            path=f"{API}/watched_episodes/episode/{{id:{ID}}}",
            headers=SIGNED,
            query={"is_rewatch!": exactly("0", "1")},
        ),
        Operation(method="DELETE", path=f"{API}/watched_episodes/episode/{{id:{ID}}}", headers=SIGNED),
        Operation(method="GET", path=f"{API}/episode/{{id:{ID}}}", headers=SIGNED, query={"fields": TEXT}),
        Operation(
            method="GET", path=f"{API}/show/{{id:{ID}}}/extended", headers=SIGNED, query={"fields": TEXT}
        ),
        Operation(method="GET", path=f"{API}/user/{{id:{ID}}}", headers=SIGNED, query={"fields": TEXT}),
        Operation(
            method="GET",
            path=f"{SEARCH}/{{types:(movie|series)(,(movie|series))?}}",
            headers=SIGNED,
            query={"q!": TEXT, "offset": DIGITS, "limit": DIGITS},
        ),
        Operation(method="POST", path=f"{MSAPI}/prod/v1/tracking/{{uuid:{MOVIE}}}/watch", headers=SIGNED),
        Operation(method="POST", path=f"{MSAPI}/prod/v1/tracking/{{uuid:{MOVIE}}}/rewatch", headers=SIGNED),
        Operation(
            method="GET",
            path=f"{MSAPI}/prod/v1/tracking/{{list:cgw/follows|watches}}/user/{{id:{ID}}}",
            headers=SIGNED,
            query={**KIND, **PAGED, "sort": TEXT, "filter": TEXT},
        ),
        Operation(method="GET", path=f"{MSAPI}/v1/series/{{id}}/episodes", headers=SIGNED),
        # A server may follow shows by a call of its own, whose address is a setting (TVTIME_FOLLOW_URL).
        Operation(method="PUT", path=f"{API}/show/{{id:{ID}}}/follow", headers=SIGNED),
        Operation(method="DELETE", path=f"{API}/show/{{id:{ID}}}/follow", headers=SIGNED),
    ]
)
