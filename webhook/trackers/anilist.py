"""AniList: https://docs.anilist.co. One address, `POST https://graphql.anilist.co`, one entry for each anime.

| call | |
|---|---|
| `Viewer` | whose token it is |
| `Media(id: 16498)` | the anime, with the account's entry in `mediaListEntry`, or null |
| `SaveMediaListEntry` | writes the variables that are given; null clears one, and one that is left out stays |
| `DeleteMediaListEntry(id: 90001)` | removes an entry |

An answer may be a 200 that holds `errors`, each with a `status` of its own, which counts.

| status | outcome |
|---|---|
| 401, and 400 or 403 with "token" or "Unauthorized" | parked: signed out |
| 403 otherwise, such as a page of a guard | waits a quarter of an hour |
| 404 | unmatched: no such anime |
| 400 with `validation`, other 4xx | dead |
| 429 | waits for as long as it says |
| 5xx | tried again |

A token is good for a year and cannot be renewed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
from pydantic import Field

from webhook import clock
from webhook.client import excerpt
from webhook.domain.outcome import Dead, Park, Snooze, Undelivered, Unmatched
from webhook.domain.retry import decide
from webhook.settings import Address
from webhook.trackers import Access, Tokens
from webhook.trackers._base import TrackerSettings
from webhook.trackers._json import JsonObject, as_int, as_rows, as_text, child, parse_object, unknown_shape
from webhook.trackers._progress import ProgressTracker
from webhook.trackers._progress_rules import AnimeState, ListEntry, ListStatus
from webhook.trackers._sign_in import PastedToken

LABEL = "AniList"
PURPOSE = "Keeps how far you are in each anime, and how often you watched it again. Free."
SETUP: tuple[str, ...] = (
    "Anime only. Download anime-list-full.json of Fribb/anime-lists, better with anime-list-master.xml of Anime-Lists/anime-lists, and name both in the environment or .env, as ANIME_LISTS: they say which anime an episode is.",
    "Open https://anilist.co/settings/developer, create a client with the redirect URL https://anilist.co/api/v2/oauth/pin, and enter its ID as the client id under Settings below.",
    "Each person opens the link beside the field for the token, agrees, and pastes the token that AniList shows.",
    "A token is good for a year. In its last two weeks each play that is sent says so.",
)
API = "https://graphql.anilist.co"
SITE = "https://anilist.co"
GUARD_PAUSE = timedelta(minutes=15)
WARNING_TIME = timedelta(days=14)

VIEWER = "query{Viewer{id,name,mediaListOptions{scoreFormat}}}"
ENTRY = "id,status,progress,repeat,updatedAt,startedAt{year,month,day},completedAt{year,month,day}"
READ = "query($id:Int){Media(id:$id,type:ANIME){id,format,episodes,status,mediaListEntry{" + ENTRY + "}}}"
WRITE = (
    "mutation($mediaId:Int,$status:MediaListStatus,$progress:Int,$repeat:Int,$startedAt:FuzzyDateInput,"
    "$completedAt:FuzzyDateInput){SaveMediaListEntry(mediaId:$mediaId,status:$status,progress:$progress,"
    "repeat:$repeat,startedAt:$startedAt,completedAt:$completedAt){" + ENTRY + "}}"
)
REMOVE = "mutation($id:Int){DeleteMediaListEntry(id:$id){deleted}}"

ENTRY_STATUSES: Mapping[ListStatus, str] = {
    ListStatus.WATCHING: "CURRENT",
    ListStatus.COMPLETED: "COMPLETED",
    ListStatus.PAUSED: "PAUSED",
    ListStatus.DROPPED: "DROPPED",
    ListStatus.PLANNED: "PLANNING",
    ListStatus.REWATCHING: "REPEATING",
}
STATUS_OF = {wire: status for status, wire in ENTRY_STATUSES.items()}


class Settings(TrackerSettings):
    calls_per_minute: float = Field(default=30, ge=0, description="Calls a minute, at most; 0: no limit")
    client_id: str = Field(
        description="ID of your client, from https://anilist.co/settings/developer", min_length=1
    )
    api_url: Address = Field(default=API, description="Address of AniList's API")


def build(settings: Settings, http: httpx.AsyncClient) -> AniList:
    return AniList(settings, http)


class AniList(PastedToken, ProgressTracker):
    """Keeps the progress in anime at AniList."""

    name = "anilist"
    label = LABEL
    anime_ids = "anilist"

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        super().__init__(http, settings.api_url, settings.calls_per_minute)
        query = httpx.QueryParams({"client_id": settings.client_id, "response_type": "token"})
        self.token_page = f"{SITE}/api/v2/oauth/authorize?{query}"

    # Entries

    async def read_anime(self, anime: int, access: Access) -> AnimeState:
        response = await self.query(access.tokens, READ, id=anime)
        media = child(child(parse_object(response), "data"), "Media")
        if as_int(media.get("id")) != anime:
            raise unknown_shape(LABEL, response, unsure=False)
        total = 1 if media.get("format") == "MOVIE" else as_int(media.get("episodes")) or None
        entry = child(media, "mediaListEntry")
        known = parse_entry(entry) if entry else None
        if entry and known is None:
            raise unknown_shape(LABEL, response, unsure=False)
        return AnimeState(total=total, finished=media.get("status") == "FINISHED", entry=known)

    async def write_entry(
        self, anime: int, before: ListEntry | None, after: ListEntry, access: Access
    ) -> ListEntry:
        """The days go along where they change: AniList sets that of a completed entry itself where it is left out."""
        variables: JsonObject = {
            "mediaId": anime,
            "status": ENTRY_STATUSES[after.status],
            "progress": after.progress,
            "repeat": after.repeat,
        }
        ends = after.status is ListStatus.COMPLETED
        if after.started != (before.started if before else ""):
            variables["startedAt"] = fuzzy_date(after.started)
        if after.completed != (before.completed if before else "") or (ends and not after.completed):
            variables["completedAt"] = fuzzy_date(after.completed)
        response = await self.query(access.tokens, WRITE, **variables)
        there = parse_entry(child(child(parse_object(response), "data"), "SaveMediaListEntry"))
        if there is None:
            raise unknown_shape(LABEL, response, unsure=True)
        return there

    async def remove_entry(self, anime: int, access: Access) -> None:
        response = await self.query(access.tokens, READ, id=anime)
        media = child(child(parse_object(response), "data"), "Media")
        entry = as_int(child(media, "mediaListEntry").get("id"))
        if entry is not None:
            await self.query(access.tokens, REMOVE, id=entry)

    async def query(self, tokens: Tokens, query: str, **variables: Any) -> httpx.Response:
        """The answer to a query; an error in it raises its outcome."""
        response = await self.call("POST", None, tokens=tokens, json={"query": query, "variables": variables})
        self.accept_object(response, "data")
        return response

    # Answers

    def error_code(self, response: httpx.Response) -> int | None:
        """The status of the first error; an answer with errors is no success, whatever its own status."""
        errors = as_rows(parse_object(response).get("errors"))
        return (as_int(errors[0].get("status")) or response.status_code) if errors else None

    def refuse(self, response: httpx.Response) -> Undelivered:
        errors = as_rows(parse_object(response).get("errors"))
        said = (as_text(errors[0].get("message")) if errors else None) or ""
        status, answer = self.error_code(response) or response.status_code, excerpt(response)
        words = f"{LABEL} answered {status}{': ' if said else ''}{said.rstrip('.')}"
        about_token = "token" in said.lower() or said.startswith("Unauthorized")
        if status == 401 or (status in (400, 403) and about_token):
            return Snooze(f"{LABEL} no longer accepts the token", answer=answer, park=Park.SIGNED_OUT)
        if status == 403:
            return Snooze(words, answer=answer, after=GUARD_PAUSE)
        if status == 404 and errors:
            return Unmatched(f"{LABEL} has no such anime: your anime lists may be old", answer=answer)
        if status < 400 or status in (400, 404, 413, 422):
            return Dead(words, answer=answer, suspect=True)
        return decide(LABEL, status, response.headers, answer)

    # The sign-in

    def headers(self, tokens: Tokens) -> dict[str, str]:
        return {**super().headers(tokens), "Accept": "application/json"}

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {tokens['token']}"} if "token" in tokens else {}

    async def validate(self, tokens: Tokens) -> str | None:
        try:
            response = await self.query(tokens, VIEWER)
        except Snooze as decision:
            if decision.park is Park.SIGNED_OUT:
                return None
            raise
        name = as_text(child(child(parse_object(response), "data"), "Viewer").get("name"))
        if name is None:
            raise unknown_shape(LABEL, response, unsure=False)
        return name

    def warning(self, access: Access) -> str | None:
        """The end of the token, in its last two weeks."""
        ends = token_end(str(access.tokens.get("token", "")))
        if ends is None or ends - clock.now() > WARNING_TIME:
            return None
        return f"The sign-in to {LABEL} ends on {ends:%Y-%m-%d}: sign in again before that"


def parse_entry(given: JsonObject) -> ListEntry | None:
    """An entry; None where it is none, or says something that cannot be read."""
    status, progress = STATUS_OF.get(str(given.get("status"))), as_int(given.get("progress"))
    repeat, changed = as_int(given.get("repeat")), as_int(given.get("updatedAt"))
    if status is None or progress is None or repeat is None:
        return None
    return ListEntry(
        status=status,
        progress=progress,
        repeat=repeat,
        started=day_text(child(given, "startedAt")),
        completed=day_text(child(given, "completedAt")),
        changed_at=datetime.fromtimestamp(changed, UTC) if changed else None,
    )


def day_text(date: JsonObject) -> str:
    """A date of which parts may be unknown, as YYYYMMDD with zeros for them; empty where all are."""
    year, month, day = (as_int(date.get(name)) or 0 for name in ("year", "month", "day"))
    return f"{year:04}{month:02}{day:02}" if year or month or day else ""


def fuzzy_date(day: str) -> JsonObject | None:
    if not day:
        return None
    parts = {"year": int(day[:4]), "month": int(day[4:6]), "day": int(day[6:])}
    return {name: part or None for name, part in parts.items()}


def token_end(token: str) -> datetime | None:
    """The end that a token says of itself; None where it says none."""
    body = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        said = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return datetime.fromtimestamp(int(said["exp"]), UTC)
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError, OSError):
        return None
