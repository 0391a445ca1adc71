"""MyAnimeList: https://myanimelist.net/apiconfig/references/api/v2, one entry for each anime.

| call | |
|---|---|
| `GET /anime/16498?fields=…,my_list_status{…}` | the anime, with the account's entry where there is one |
| `PUT /anime/16498/my_list_status` | a form; a field that is left out stays as it is |
| `DELETE /anime/16498/my_list_status` | removes the entry; 404: there is none |
| `POST /v1/oauth2/token` | tokens for a code, or for a refresh token, which is good once |

What is read as `num_episodes_watched` is written as `num_watched_episodes`.

| answer | outcome |
|---|---|
| 401 | the sign-in is renewed, then parked: signed out |
| 403 | this address is refused for a while: waits five minutes |
| 404 with an `error` | unmatched: no such anime |
| 404 without, 30x | the address is wrong |
| other 4xx | dead |
| 429 | waits for as long as it says, or five minutes |
| 5xx | tried again |

The sign-in is OAuth 2 with PKCE, "plain" only: the person is sent to an address of their own, where nothing answers, and
pastes it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from pydantic import Field, SecretStr

from webhook.client import excerpt
from webhook.domain.outcome import Dead, Park, Snooze, Undelivered, Unmatched
from webhook.domain.retry import BUSY_PAUSE
from webhook.settings import Address
from webhook.trackers import Access, SignIn, SignInFailed, Tokens
from webhook.trackers._base import TrackerSettings
from webhook.trackers._json import JsonObject, as_int, as_text, as_time, child, unknown_shape
from webhook.trackers._oauth import AgingSignIn, add_times, error_of
from webhook.trackers._progress import ProgressTracker
from webhook.trackers._progress_rules import AnimeState, ListEntry, ListStatus
from webhook.trackers._refusals import park_as, snooze_for
from webhook.trackers._sign_in import end_sign_in

LABEL = "MyAnimeList"
PURPOSE = "Keeps how far you are in each anime, and how often you watched it again. Free."
SETUP: tuple[str, ...] = (
    "Anime only. Download anime-list-full.json of Fribb/anime-lists, better with anime-list-master.xml of Anime-Lists/anime-lists, and name both in the environment or .env, as ANIME_LISTS: they say which anime an episode is.",
    "Open https://myanimelist.net/apiconfig, create an ID of the type other with http://localhost/watchmark as the App Redirect URL, and enter the Client ID under Settings below.",
    "Each person opens the link beside the field for the token and allows access. The page after that does not open: paste its whole address into the field.",
)
NO_ANIME = "MyAnimeList has no such anime: your anime lists may be old"
NO_API = "MyAnimeList's API is not at this address: check MAL_API_URL"
FIELDS = "num_episodes,media_type,status,my_list_status{num_times_rewatched,start_date,finish_date}"
ENTRY_STATUSES: Mapping[ListStatus, str] = {
    ListStatus.WATCHING: "watching",
    ListStatus.COMPLETED: "completed",
    ListStatus.PAUSED: "on_hold",
    ListStatus.DROPPED: "dropped",
    ListStatus.PLANNED: "plan_to_watch",
    ListStatus.REWATCHING: "completed",  # and `is_rewatching`
}
STATUS_OF = {wire: status for status, wire in ENTRY_STATUSES.items() if status is not ListStatus.REWATCHING}


class Settings(TrackerSettings):
    client_id: str = Field(
        description="Client ID of your app, from https://myanimelist.net/apiconfig", min_length=1
    )
    client_secret: SecretStr = Field(
        default=SecretStr(""), description="Client secret, where your app has one"
    )
    redirect_url: Address = Field(
        default="http://localhost/watchmark",
        description="App Redirect URL, exactly as it is entered at MyAnimeList",
    )
    calls_per_minute: float = Field(default=60, ge=0, description="Calls a minute, at most; 0: no limit")
    api_url: Address = Field(
        default="https://api.myanimelist.net/v2", description="Address of MyAnimeList's API"
    )
    auth_url: Address = Field(
        default="https://myanimelist.net", description="Address of the sign-in to MyAnimeList"
    )


def build(settings: Settings, http: httpx.AsyncClient) -> MyAnimeList:
    return MyAnimeList(settings, http)


class MyAnimeList(AgingSignIn, ProgressTracker):
    """Keeps the progress in anime at MyAnimeList."""

    name = "mal"
    label = LABEL
    anime_ids = "mal"
    sign_in: SignIn = "token"
    token_path = "/v1/oauth2/token"
    statuses = {401: park_as(Park.SIGNED_OUT), 403: snooze_for(BUSY_PAUSE)}

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        super().__init__(http, settings.api_url, settings.calls_per_minute)
        self.client_id, self.redirect_url = settings.client_id, settings.redirect_url
        self.client_secret = settings.client_secret.get_secret_value()
        self.oauth_url = settings.auth_url.rstrip("/")
        self.secret = secrets.token_bytes(32)

    # Entries

    async def read_anime(self, anime: int, access: Access) -> AnimeState:
        response = await self.ask(access, "GET", f"/anime/{anime}", params={"fields": FIELDS})
        body = self.accept_object(response)
        total = 1 if body.get("media_type") == "movie" else as_int(body.get("num_episodes")) or None
        given = child(body, "my_list_status")
        entry = parse_entry(given, as_int(given.get("num_times_rewatched"))) if given else None
        if as_int(body.get("id")) != anime or (given and entry is None):
            raise unknown_shape(LABEL, response, unsure=False)
        return AnimeState(total=total, finished=body.get("status") == "finished_airing", entry=entry)

    async def write_entry(
        self, anime: int, before: ListEntry | None, after: ListEntry, access: Access
    ) -> ListEntry:
        path, form = f"/anime/{anime}/my_list_status", list_fields(before, after)
        response = await self.ask(access, "PUT", path, form=form)
        body = self.accept_object(response)
        repeat = as_int(body.get("num_times_rewatched"))
        there = parse_entry(body, after.repeat if repeat is None else repeat)
        if there is None:
            raise unknown_shape(LABEL, response, unsure=True)
        return there

    async def remove_entry(self, anime: int, access: Access) -> None:
        response = await self.ask(access, "DELETE", f"/anime/{anime}/my_list_status")
        if response.status_code != 404 or not error_of(response):
            self.accept(response)

    def refuse(self, response: httpx.Response) -> Undelivered:
        if response.status_code != 404:
            return super().refuse(response)
        if error_of(response):
            return Unmatched(NO_ANIME, answer=excerpt(response))
        return Dead(NO_API, answer=excerpt(response))

    # The sign-in

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {tokens['access_token']}"} if "access_token" in tokens else {}

    async def check(self, access: Access) -> str:
        response = await self.ask(access, "GET", "/users/@me")
        name = as_text(self.accept_object(response).get("name"))
        if name is None:
            raise unknown_shape(LABEL, response, unsure=False)
        return name

    @property
    def token_page(self) -> str:
        """The page where a person allows access."""
        state = secrets.token_urlsafe(16)
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "state": state,
            "redirect_uri": self.redirect_url,
            "code_challenge": self.verifier(state),
            "code_challenge_method": "plain",
        }
        return f"{self.oauth_url}/v1/oauth2/authorize?{httpx.QueryParams(query)}"

    def verifier(self, state: str) -> str:
        """The verifier of a link, which belongs to its state and to this process: no other can be passed off as ours."""
        return hmac.new(self.secret, state.encode(), hashlib.sha256).hexdigest()

    async def accept_token(self, token: str) -> Tokens:
        """The sign-in that a pasted address is good for; raises SignInFailed."""
        given = dict(parse_qsl(urlsplit(token.strip()).query))
        if "error" in given:
            raise SignInFailed(f"{LABEL} says that access was not allowed")
        if "code" not in given or "state" not in given:
            raise SignInFailed("Paste the whole address that you were sent to: it has code= and state= in it")
        fields = {
            "grant_type": "authorization_code",
            "code": given["code"],
            "code_verifier": self.verifier(given["state"]),
            "redirect_uri": self.redirect_url,
        }
        with end_sign_in():
            response = await self.call_oauth(self.token_path, **fields)
        if response.status_code in (400, 401, 403):
            raise SignInFailed(
                f"{LABEL} does not accept this address. Open the link again: each is good once, "
                "and until Watchmark is restarted"
            )
        with end_sign_in():
            body = self.accept_object(response)
        if not as_text(body.get("access_token")) or not as_text(body.get("refresh_token")):
            raise SignInFailed(f"{LABEL} sent no tokens")
        return add_times(body)

    async def call_oauth(self, path: str, **fields: str) -> httpx.Response:
        secret = {"client_secret": self.client_secret} if self.client_secret else {}
        response = await super().call_oauth(path, **fields, **secret)
        if response.status_code == 403 and not error_of(response):
            raise Snooze(
                f"{LABEL} refuses this address for a while", answer=excerpt(response), after=BUSY_PAUSE
            )
        return response


def list_fields(before: ListEntry | None, after: ListEntry) -> dict[str, str]:
    """The fields of a form that make the one entry the other; a day can be set, and not cleared."""
    fields = {"status": ENTRY_STATUSES[after.status], "num_watched_episodes": str(after.progress)}
    rewatching = [entry is not None and entry.status is ListStatus.REWATCHING for entry in (before, after)]
    if any(rewatching):
        fields["is_rewatching"] = "true" if rewatching[1] else "false"
    if after.repeat != (before.repeat if before else 0):
        fields["num_times_rewatched"] = str(after.repeat)
    for name, day, was in (
        ("start_date", after.started, before.started if before else ""),
        ("finish_date", after.completed, before.completed if before else ""),
    ):
        if day and day != was and not day.endswith("00"):
            fields[name] = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    return fields


def parse_entry(given: JsonObject, repeat: int | None) -> ListEntry | None:
    """An entry; None where it says something that cannot be read."""
    status, progress = STATUS_OF.get(str(given.get("status"))), as_int(given.get("num_episodes_watched"))
    if status is None or progress is None or repeat is None:
        return None
    return ListEntry(
        status=ListStatus.REWATCHING if given.get("is_rewatching") is True else status,
        progress=progress,
        repeat=repeat,
        started=day_text(given.get("start_date")),
        completed=day_text(given.get("finish_date")),
        changed_at=as_time(given.get("updated_at")),
    )


def day_text(date: Any) -> str:
    """`2026-11-20`, `2026-11` or `2026` as YYYYMMDD, with zeros for what is not known."""
    digits = (as_text(date) or "").replace("-", "")
    return f"{digits:0<8}" if digits.isdecimal() and len(digits) in (4, 6, 8) else ""
