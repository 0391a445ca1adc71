"""Answers: how what Simkl sends is read, and what it means for a delivery."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from webhook.client import accept, read, shown
from webhook.domain.event import Item
from webhook.domain.outcome import Dead, Done, Retry, Snooze, Unmatched
from webhook.domain.retry import GATEWAY, retry_after, word
from webhook.trackers import DeviceCode, SignInFailed
from webhook.trackers._shared import Json, inner, inner_json, rows

LABEL = "Simkl"
KINDS = ("movie", "show", "anime")
BUSY = timedelta(seconds=3)
"""Simkl works on one scrobble of a person at a time; another one is in hand for seconds."""

FIRST_REST = timedelta(seconds=1)
"""The first rest on a 429: Simkl does not say how long to wait, and asks for 1, 2, 4 and so on up to 60 seconds."""

HOUR = timedelta(hours=1)
OURS = "by item"
"""The handle of a mark of ours that Simkl gave no id for. It keeps one play per item, so the item says which."""

APP_REFUSED = (
    "Simkl does not accept the client id: it is wrong, or the app's limit of calls is used up; "
    "look at https://simkl.com/settings/developer/"
)


def accepted(response: httpx.Response) -> httpx.Response:
    """The response if it is a success; otherwise raises what its status, or its own word, asks for."""
    error = inner_json(response).get("error")
    if response.status_code == 400 and error == "RATE_LIMIT":
        # The lock is this person's: it is no trouble of the service, and nobody else waits for it.
        reason = f"{LABEL} is still at another scrobble of this person"
        raise Snooze(reason, answer=shown(response), after=BUSY)
    if response.status_code == 429 and retry_after(response.headers) is None:
        reason = f"{LABEL} answered 429: {word(429)}"
        raise Snooze(reason, answer=shown(response), after=FIRST_REST, lengthens=True)
    if response.status_code == 412:
        raise Snooze(APP_REFUSED, answer=shown(response), after=HOUR)
    return accept(LABEL, response)


def known(body: Json) -> Json:
    """The item that an answer says it was about, {} where Simkl recognised none."""
    item = next((found for name in KINDS if (found := inner(body, name))), {})
    return item if text_or_number(inner(item, "ids").get("simkl")) else {}


def told(wanted: str, body: Json, response: httpx.Response) -> Done:
    """What an answer to a scrobble call comes to."""
    action = text(body.get("action"))
    if action is None:
        reason = f"{LABEL}'s answer does not say what it did"
        raise Retry(reason, answer=shown(response), after=GATEWAY, unsure=True, suspect=True)
    if wanted == "scrobble" != action:
        raise Dead(f"{LABEL} did not count it as watched, but as {action}", answer=shown(response))
    note = f"{LABEL} counted it as watched" if action == "scrobble" != wanted else None
    handle = text_or_number(body.get("id")) if action == "scrobble" else None
    return Done(answer=f"{action}: {described(body)}", remote_id=handle, note=note)


def already(said: Json, *, ours: bool) -> Done:
    """Marked within the last hour: by ourselves, if an answer to us was lost."""
    watched_at = text(said.get("watched_at"))
    at = f", watched at {watched_at}" if watched_at else ""
    return Done(answer=f"already there{at}", remote_id=OURS if ours else None)


def place(body: Json) -> tuple[int | None, int | None]:
    """Season and number as they were sent: of an anime Simkl counts its own beside TVDB's."""
    episode = inner(body, "episode")
    tvdb = whole(episode.get("tvdb_season")), whole(episode.get("tvdb_number"))
    if None not in tvdb or "anime" in body:
        return tvdb
    return whole(episode.get("season")), whole(episode.get("number"))


def described(body: Json) -> str:
    item, episode = known(body), inner(body, "episode")
    title, year = text(item.get("title")) or "?", item.get("year")
    if not episode:
        return f"{title} ({year})" if year else title
    season, number = place(body)
    numbers = "" if season is None or number is None else f" {season}x{number:02}"
    return f"{title}{numbers} {text(episode.get('title')) or ''}".strip()


def unmatched(item: Item, wrong: Sequence[str], answer: str | None = None) -> Unmatched:
    if not wrong:
        return Unmatched(f"{LABEL} does not know this {item.kind}", answer=answer)
    named = " and ".join(dict.fromkeys(wrong))
    return Unmatched(f"{LABEL} took this for {named}, which is another {item.kind}; that was taken back")


def shaped(response: httpx.Response, *names: str) -> Json:
    """The object in the answer, with these objects in it. Raises Retry (unsure) on any other shape."""
    body = read(LABEL, response)
    if isinstance(body, dict) and all(isinstance(body.get(name), dict) for name in names):
        return body
    reason = f"{LABEL} sent an answer of an unknown shape"
    raise Retry(reason, answer=shown(response), after=GATEWAY, unsure=True, suspect=True)


def listed(response: httpx.Response) -> list[Json]:
    """The rows of a search; `null` is none."""
    return rows(read(LABEL, response))


def missing(body: Json) -> list[tuple[str, Json]]:
    """What was not found, with the list it stands in."""
    lists = inner(body, "not_found").items()
    return [(group, echo) for group, echoes in lists for echo in rows(echoes)]


def whole(value: Any) -> int | None:
    """A number of an answer, which may be a text. Ids go beyond what a float holds."""
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else None


def text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def text_or_number(value: Any) -> str | None:
    """An id as a text; 0 and "" are none."""
    return str(value) if value and isinstance(value, str | int) else None


def device_code(response: httpx.Response) -> DeviceCode:
    """The `device_code` of the answer is a word that says nothing: the code that is shown is the one asked with."""
    body = shaped(response)
    code, url = text(body.get("user_code")), text(body.get("verification_url"))
    if not code:
        raise SignInFailed(f"{LABEL} sent no code to sign in with")
    return DeviceCode(
        user_code=code,
        url=url or "https://simkl.com/pin",
        interval=timedelta(seconds=whole(body.get("interval")) or 5),
        expires_in=timedelta(seconds=whole(body.get("expires_in")) or 900),
        device_code=code,
    )


def iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
