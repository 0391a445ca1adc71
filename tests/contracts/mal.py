"""MyAnimeList: https://myanimelist.net/apiconfig/references/api/v2 and the page on its OAuth."""

from __future__ import annotations

from tests.contracts._schema import (
    DIGITS,
    TEXT,
    Contract,
    Operation,
    Schema,
    any_of,
    exactly,
    matching,
    thing,
)

SIGNED = {"user-agent": ".+", "authorization": "Bearer .+"}
FORM = {"user-agent": ".+", "content-type": "application/x-www-form-urlencoded"}
API = "{base:(?:/v2)?}"
DATE = matching(r"\d{4}-\d\d-\d\d")
APP: dict[str, Schema] = {"client_id!": TEXT, "client_secret": TEXT}
ENTRY = thing(
    **{
        "status!": exactly("watching", "completed", "on_hold", "dropped", "plan_to_watch"),
        "num_watched_episodes!": DIGITS,
        "is_rewatching": exactly("true", "false"),
        "num_times_rewatched": DIGITS,
        "start_date": DATE,
        "finish_date": DATE,
    }
)

CONTRACT = Contract(
    [
        Operation(method="GET", path=f"{API}/users/@me", headers=SIGNED),
        Operation(method="GET", path=f"{API}/anime/{{id:[0-9]+}}", headers=SIGNED, query={"fields!": TEXT}),
        Operation(
            method="PUT",
            path=f"{API}/anime/{{id:[0-9]+}}/my_list_status",
            headers={**SIGNED, **FORM},
            body=ENTRY,
        ),
        Operation(method="DELETE", path=f"{API}/anime/{{id:[0-9]+}}/my_list_status", headers=SIGNED),
        Operation(
            method="POST",
            path="/v1/oauth2/token",
            headers=FORM,
            body=any_of(
                thing(
                    **{
                        **APP,
                        "grant_type!": exactly("authorization_code"),
                        "code!": TEXT,
                        "code_verifier!": matching("[0-9A-Za-z._~-]{43,128}"),
                        "redirect_uri!": TEXT,
                    }
                ),
                thing(**{**APP, "grant_type!": exactly("refresh_token"), "refresh_token!": TEXT}),
            ),
        ),
    ]
)
