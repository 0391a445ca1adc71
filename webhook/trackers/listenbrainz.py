"""ListenBrainz: https://listenbrainz.readthedocs.io. Maloja and others speak the same elsewhere.

| call | body |
|---|---|
| `POST /1/submit-listens` | `{"listen_type": "single", "payload": [LISTEN]}`; also `playing_now`, `import` |
| `POST /1/delete-listen` | `{"listened_at": 1795380000, "recording_msid": …}` |
| `POST /1/feedback/recording-feedback` | `{"recording_mbid": …, "score": 1}` |

LISTEN is `{"listened_at": …, "track_metadata": {"artist_name": …, "track_name": …, "additional_info": {…}}}`.

| answer | outcome |
|---|---|
| 401 | parked: signed out |
| 403 | snoozed for an hour: a guard in front of ListenBrainz |
| 429 | snoozed for X-RateLimit-Reset-In, or Retry-After, else five minutes |
| 400, 413, 422 | dead; of many listens each half is tried by itself |
| 404, other 4xx | dead |
| 5xx, 408, 425 | tried again |
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import Field

from webhook.client import excerpt, version
from webhook.domain.event import Action, Ids, Track
from webhook.domain.outcome import Dead, Done, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.domain.retry import BUSY_PAUSE, MAX_RETRY_AFTER, UNSURE_PAUSE, decide, retry_after
from webhook.settings import Address
from webhook.trackers import Access, Delivery, SignIn, SignInFailed, Tokens, WatchedItem
from webhook.trackers._base import Outcome, TrackerSettings, require_date
from webhook.trackers._json import JsonObject, as_int, as_rows, as_text, child, expect_object, parse_object
from webhook.trackers._music import MusicTracker, clean_name
from webhook.trackers._viewings import play_start

LABEL = "ListenBrainz"
PURPOSE = "Shows what you are listening to, and keeps your music as listens. Free and open."
SETUP: tuple[str, ...] = (
    "There is nothing to set up for the service: each person needs a token of their own.",
    "Sign in at ListenBrainz, open https://listenbrainz.org/settings/ and copy your user token.",
    "Paste it into the field for the token, and sign in.",
    "You run a server of your own that speaks the same? Before anybody signs in, the owner enters its address under Settings below, or sets LISTENBRAINZ_API_URL in the environment or .env.",
)
LISTENS_PAGE_SIZE = 50
"""ListenBrainz returns up to 1000 at once, but players' metadata can make such a page too large to read."""

EARLIEST_LISTEN = datetime(2002, 10, 1, tzinfo=UTC)
"""The date before which ListenBrainz refuses a listen."""

MAX_CLOCK_LEAD = timedelta(hours=1)
"""The most that a listen may begin in the future, as clocks differ."""

PAUSE_MARGIN = 0.05
MAX_PAGE_PAUSE = timedelta(minutes=1)
"""The longest wait for the next page; a longer one ends the reading with a Snooze."""

GUARD_REST = timedelta(hours=1)
"""The rest after a guard in front of ListenBrainz turned a call back."""

WRONG_ADDRESS = "ListenBrainz has no such call at this address: check LISTENBRAINZ_API_URL"
MAX_DURATION = timedelta(days=24)
IN_FUTURE = (
    "The play begins in the future, which ListenBrainz does not take: check the clock of this machine and of "
    "the media server"
)
NO_RECORDING = (
    "ListenBrainz loves recordings, and knows none of this artist and title; the media server's MusicBrainz id "
    "is the track's and will not do"
)
BAD_BODY = frozenset({400, 413, 422})
"""Statuses that refuse the content: among many listens a single one may be the cause."""


class Settings(TrackerSettings):
    api_url: Address = Field(
        default="https://api.listenbrainz.org", description="Where ListenBrainz is, or another server like it"
    )


def build(settings: Settings, http: httpx.AsyncClient) -> ListenBrainz:
    return ListenBrainz(settings, http)


class ListenBrainz(MusicTracker):
    """Shows what is playing, keeps what was played; a listen that is sent twice counts once.

    It is not paced: each answer says how many more calls it takes.
    """

    name = "listenbrainz"
    label = LABEL
    sign_in: SignIn = "token"
    actions: ClassVar[Mapping[Action, str]] = {**MusicTracker.actions, Action.UNWATCHED: "unmark"}
    batch = 1000

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        super().__init__(http, settings.api_url)
        self._free_at: dict[str, float] = {}

    async def show_current(self, delivery: Delivery, access: Access) -> Done:
        await self.submit("playing_now", [{"track_metadata": self.metadata(delivery)}], access)
        return Done(answer="playing now")

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        listen = self.listen(delivery)
        return replace(await self.submit("single", [listen], access), remote_id=str(listen["listened_at"]))

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        """Import up to a thousand in one call; one that cannot be sent is settled without it."""
        drafts = [self.draft(delivery) for delivery in deliveries]
        listens = [draft for draft in drafts if isinstance(draft, dict)]
        answers = iter(await self.divide(listens, access) if listens else ())
        return [next(answers) if isinstance(draft, dict) else draft for draft in drafts]

    async def divide(self, listens: Sequence[JsonObject], access: Access) -> list[Outcome]:
        """One bad listen has all refused with it: the halves are tried until it stands alone.

        What breaks off the search is raised only where nothing was found out yet.
        """
        try:
            done = await self.submit("import", listens, access)
        except Dead as error:
            if len(listens) == 1 or not isinstance(error, BodyRefused):
                return [error for _ in listens]
        else:
            return [replace(done, remote_id=str(listen["listened_at"])) for listen in listens]
        middle = len(listens) // 2
        outcomes: list[Outcome] = []
        for half in (listens[:middle], listens[middle:]):
            try:
                outcomes += await self.divide(half, access)
            except Undelivered as error:
                outcomes += [error for _ in half]
        return outcomes

    async def unmark(self, delivery: Delivery, access: Access) -> Done:
        """Deletes the one listen that we made. ListenBrainz finds it by its time and an id that it gave itself."""
        listened_at = as_int(delivery.remote_id)
        if listened_at is None:
            raise Dead(f"Nothing of ours to undo: {LABEL} never got this play")
        msid = await self.find_msid(listened_at, delivery, access)
        if msid is None:
            return Done(answer="it was gone already", remote_id=delivery.remote_id)
        body = {"listened_at": listened_at, "recording_msid": msid}
        await self.ask_object(access.tokens, "POST", "/1/delete-listen", json=body)
        return Done(answer="to be deleted after the full hour", remote_id=delivery.remote_id)

    async def find_msid(self, listened_at: int, delivery: Delivery, access: Access) -> str | None:
        """The id of the listen of this artist and title at this second; None if it is gone."""
        wanted = [fold_name(name) for name in self.artist_and_title(delivery)]
        for row in await self.listens(access, await self.user_name(access), listened_at + 1):
            theirs = child(row, "track_metadata")
            names = [fold_name(theirs.get("artist_name")), fold_name(theirs.get("track_name"))]
            if row.get("listened_at") == listened_at and names == wanted:
                return parse_uuid(row.get("recording_msid"))
        return None

    async def love(self, delivery: Delivery, access: Access) -> Done:
        return await self.rate(delivery, access, 1)

    async def unlove(self, delivery: Delivery, access: Access) -> Done:
        return await self.rate(delivery, access, 0)

    async def rate(self, delivery: Delivery, access: Access, score: int) -> Done:
        body = {"recording_mbid": await self.find_recording(delivery, access), "score": score}
        await self.ask_object(access.tokens, "POST", "/1/feedback/recording-feedback", json=body)
        return Done(answer="loved" if score else "no longer loved")

    async def find_recording(self, delivery: Delivery, access: Access) -> str:
        """The id of the recording with exactly this artist and title; raises Unmatched if there is none."""
        artist, title = self.artist_and_title(delivery)
        params = {"artist_name": artist, "recording_name": title}
        found = await self.ask_object(access.tokens, "GET", "/1/metadata/lookup/", params=params)
        theirs = (found.get("artist_credit_name"), found.get("recording_name"))
        mbid = parse_uuid(found.get("recording_mbid"))
        # The lookup guesses: a result with other names is another recording.
        if mbid is None or [fold_name(name) for name in theirs] != [fold_name(artist), fold_name(title)]:
            raise Unmatched(NO_RECORDING)
        return mbid

    # Payloads

    def draft(self, delivery: Delivery) -> JsonObject | Undelivered:
        try:
            return self.listen(delivery)
        except Undelivered as decision:
            return decision

    def listen(self, delivery: Delivery) -> JsonObject:
        """A listen by the rules of ListenBrainz, since one bad one would have a whole batch refused."""
        require_date(delivery, LABEL)
        at = play_start(delivery)
        if at < EARLIEST_LISTEN:
            raise Dead(f"The play is dated {at:%Y-%m-%d}, and {LABEL} takes nothing from before October 2002")
        if at > datetime.now(UTC) + MAX_CLOCK_LEAD:
            raise Dead(IN_FUTURE)
        return {"listened_at": int(at.timestamp()), "track_metadata": self.metadata(delivery)}

    def metadata(self, delivery: Delivery) -> JsonObject:
        artist, title = self.artist_and_title(delivery)
        item, duration = self.track(delivery), delivery.duration_ms or 0
        details = {
            "submission_client": "Watchmark",
            "submission_client_version": version(),
            "duration_ms": duration if 0 < duration <= MAX_DURATION / timedelta(milliseconds=1) else None,
            "tracknumber": item.number or None,
            # What Plex and Jellyfin know is the id of the track on its release, not of the recording.
            "track_mbid": parse_uuid(item.ids.musicbrainz),
        }
        known = {name: value for name, value in details.items() if value is not None}
        body: JsonObject = {"artist_name": artist, "track_name": title, "additional_info": known}
        return {**body, "release_name": album} if (album := clean_name(item.album)) else body

    # What the account holds

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """The listens, the newest first.

        A page ends somewhere inside a second, so the next one begins with that second again.
        """
        name, until, before = await self.user_name(access), None, set[WatchedItem]()
        while True:
            await self.wait_for_calls(access)
            rows = await self.listens(access, name, until)
            page = [(row["listened_at"], parse_listen(row)) for row in rows]
            new = [(at, viewing) for at, viewing in page if viewing not in before]
            for at, viewing in new:
                if since is not None and at < since.timestamp():
                    return
                yield viewing
            oldest = min((at for at, _ in page), default=None)
            if oldest is None or (not new and until == oldest):
                return
            until = oldest + 1 if new else oldest
            before = {viewing for _, viewing in page}

    async def listens(self, access: Access, name: str, until: int | None) -> list[JsonObject]:
        """A page of dated listens, the newest first, of before a second (`until`)."""
        params = {"count": str(LISTENS_PAGE_SIZE)} | ({} if until is None else {"max_ts": str(until)})
        path = f"/1/user/{quote(name, safe='')}/listens"
        payload = child(await self.ask_object(access.tokens, "GET", path, params=params), "payload")
        if not isinstance(payload.get("listens"), list):
            raise Retry(f"{LABEL} sent an answer of an unknown shape", after=UNSURE_PAUSE)
        return [row for row in as_rows(payload["listens"]) if isinstance(row.get("listened_at"), int)]

    # The sign-in

    async def check(self, access: Access) -> str:
        name = await self.validate(access.tokens)
        if name is None:
            raise Snooze(f"{LABEL} does not accept the token", park=Park.SIGNED_OUT)
        return name

    async def accept_token(self, token: str) -> Tokens:
        """A sign-in from the token on the person's settings page. Raises SignInFailed."""
        token = token.strip()
        try:
            name = await self.validate({"token": token})
        except Undelivered as error:
            raise SignInFailed(error.reason) from error
        if name is None:
            raise SignInFailed(
                f"{LABEL} does not know this token; copy it from https://listenbrainz.org/settings/"
            )
        return {"token": token, "name": name}

    async def validate(self, tokens: Tokens) -> str | None:
        """The user's name; None if the token is invalid."""
        answer = await self.ask_object(tokens, "GET", "/1/validate-token")
        return str(answer.get("user_name") or "?") if answer.get("valid") is True else None

    # Calls

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        return {"Authorization": f"Token {tokens.get('token', '')}"}

    async def submit(self, kind: str, listens: Sequence[JsonObject], access: Access) -> Done:
        body = {"listen_type": kind, "payload": list(listens)}
        answer = await self.ask_object(access.tokens, "POST", "/1/submit-listens", json=body)
        if answer.get("status") != "ok":
            reason = f"{LABEL} did not say that it took the listens"
            raise Retry(reason, after=UNSURE_PAUSE, unsure=True, suspect=True)
        return Done(answer="listened")

    async def ask_object(self, tokens: Tokens, method: str, path: str, **more: Any) -> JsonObject:
        """The answer's object; raises Snooze while the pace that ListenBrainz asked for holds the call back."""
        token = str(tokens.get("token", ""))
        left = self.seconds_until_free(token)
        if left > 0:
            raise Snooze(f"{LABEL} takes no more calls for {left:.0f} seconds", after=timedelta(seconds=left))
        self._free_at.pop(token, None)
        response = await self.call(method, path, tokens=tokens, **more)
        pause = parse_reset(response)
        if pause is not None and response.headers.get("x-ratelimit-remaining") == "0":
            self._free_at[token] = time.monotonic() + pause.total_seconds()
        return expect_object(LABEL, self.accept(response))

    def seconds_until_free(self, token: str) -> float:
        return self._free_at.get(token, 0.0) - time.monotonic()

    async def wait_for_calls(self, access: Access) -> None:
        """Sleep until more calls are taken: many pages are more than ListenBrainz takes at once."""
        left = self.seconds_until_free(str(access.tokens.get("token", "")))
        if left > 0:
            await asyncio.sleep(min(left + PAUSE_MARGIN, MAX_PAGE_PAUSE.total_seconds()))

    def refuse(self, response: httpx.Response) -> Undelivered:
        status, answer = response.status_code, excerpt(response)
        message = as_text(parse_object(response).get("error")) or "it does not say why"
        reason = f"{LABEL} answered {status}: {message}"
        if status in BAD_BODY:
            return BodyRefused(reason, answer=answer)
        match status:
            case 401:
                return Snooze(reason, answer=answer, park=Park.SIGNED_OUT)
            case 403:
                return Snooze(reason, answer=answer, after=GUARD_REST)
            case 404:
                return Dead(WRONG_ADDRESS, answer=answer)
            case 429:
                reset = parse_reset(response)
                after = retry_after(response.headers) if reset is None else reset
                return Snooze(reason, answer=answer, after=BUSY_PAUSE if after is None else after)
        return decide(LABEL, status, response.headers, answer)


class BodyRefused(Dead):
    """A call refused for what is in it."""


def parse_listen(row: JsonObject) -> WatchedItem:
    metadata = child(row, "track_metadata")
    details = child(metadata, "additional_info")
    item = Track(
        title=clean_name(metadata.get("track_name")) or None,
        artist=clean_name(metadata.get("artist_name")) or None,
        album=clean_name(metadata.get("release_name")) or None,
        number=as_int(details.get("tracknumber")),
        # The id of the track on its release, as ours are; the recording's is another.
        ids=Ids(musicbrainz=parse_uuid(details.get("track_mbid"))),
    )
    at = datetime.fromtimestamp(row["listened_at"], UTC)
    return WatchedItem(item=item, at=at, remote_id=str(row["listened_at"]))


def parse_reset(response: httpx.Response) -> timedelta | None:
    """The time until more calls are taken, where the answer says it."""
    value = response.headers.get("x-ratelimit-reset-in", "")
    return min(timedelta(seconds=int(value[:9])), MAX_RETRY_AFTER) if value.isdecimal() else None


def fold_name(name: Any) -> str:
    return " ".join(str(name or "").casefold().split())


def parse_uuid(value: Any) -> str | None:
    """An id in its one spelling, or None where it is none."""
    try:
        return str(UUID(str(value)))
    except ValueError:
        return None
