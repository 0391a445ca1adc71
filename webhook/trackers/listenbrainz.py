"""ListenBrainz: https://listenbrainz.readthedocs.io. Maloja and others speak the same elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field

from webhook.client import USER_AGENT, call, read, shown, version
from webhook.domain.event import Action, Ids, Kind, Track
from webhook.domain.outcome import Dead, Done, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.domain.retry import BUSY, GATEWAY, LONGEST, decide, retry_after
from webhook.settings import Address
from webhook.trackers import Access, Delivery, SignIn, SignInFailed, Tokens, WatchedItem
from webhook.trackers._shared import Json, began, dated_or_skip, inner, rows

Outcome = Done | Undelivered

LABEL = "ListenBrainz"
FOR = "Shows what you are listening to, and keeps your music as listens. Free and open."
SETUP: tuple[str, ...] = (
    "There is nothing to set up for the service: each person needs a token of their own.",
    "Sign in at ListenBrainz, open https://listenbrainz.org/settings/ and copy your user token.",
    "Paste it into the field for the token, and sign in.",
    "You run a server of your own that speaks the same? Before anybody signs in, the owner enters its address under Settings below, or sets LISTENBRAINZ_API_URL in the environment or .env.",
)
BATCH = 1000
PAGE = 50
"""ListenBrainz gives up to 1000 at once, but what players say of a listen can make those larger than we read."""

FIRST = datetime(2002, 10, 1, tzinfo=UTC)
"""Before it nobody scrobbled: a listen of an earlier date is refused."""

AHEAD = timedelta(hours=1)
"""How far in the future a listen may begin, as clocks differ."""

MARGIN = 0.05
LONGEST_PAUSE = timedelta(minutes=1)
"""How long the next page is waited for; where it takes longer, whoever asks is told so."""

HOUR = timedelta(hours=1)
"""How long to keep away where a guard in front of ListenBrainz turns us back."""

ELSEWHERE = "ListenBrainz has no such call at this address: check LISTENBRAINZ_API_URL"
LONGEST_TRACK = timedelta(days=24)
FUTURE = (
    "The play begins in the future, which ListenBrainz does not take: check the clock of this machine and of "
    "the media server"
)
NO_RECORDING = (
    "ListenBrainz loves recordings, and knows none of this artist and title; the media server's MusicBrainz id "
    "is the track's and will not do"
)
REFUSED = frozenset({400, 413, 422})
"""Statuses that are about what was sent: among many listens a single one may be to blame."""


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    api_url: Address = Field(
        default="https://api.listenbrainz.org", description="Where ListenBrainz is, or another server like it"
    )


def build(settings: Settings, http: httpx.AsyncClient) -> ListenBrainz:
    return ListenBrainz(settings, http)


class ListenBrainz:
    """Shows what is playing, keeps what was played; a listen that is sent twice counts once."""

    name = "listenbrainz"
    label = LABEL
    sign_in: SignIn = "token"
    kinds = frozenset({Kind.TRACK})
    # No stop: ListenBrainz has no call for it, so that what makes the mark is a WATCHED.
    tells = frozenset({Action.START, Action.WATCHED, Action.UNWATCHED, Action.FAVOURITE, Action.UNFAVOURITE})
    one_mark = False
    undated = False
    needs: Mapping[Kind, tuple[str, ...]] = {}
    writes_per_second = 0.0  # it says itself, in every answer, how many more it takes
    batch = BATCH

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self.http = http
        self.api = settings.api_url.rstrip("/")
        self.host = httpx.URL(self.api).netloc.decode()
        self._free_at: dict[str, float] = {}

    async def send(self, delivery: Delivery, access: Access) -> Done:
        tell = {
            Action.START: self.start,
            Action.WATCHED: self.mark,
            Action.UNWATCHED: self.unmark,
            Action.FAVOURITE: self.love,
            Action.UNFAVOURITE: self.unlove,
        }.get(delivery.action)
        if tell is None:
            raise Dead(f"{LABEL} has no call for {delivery.action}")
        song(delivery)
        return await tell(delivery, access)

    async def start(self, delivery: Delivery, access: Access) -> Done:
        """Shown as playing now, or not: it is never told again, so a failure is only noted."""
        try:
            await self.submit("playing_now", [{"track_metadata": metadata(delivery)}], access)
        except Undelivered as error:
            return Done(answer=f"not shown as playing now: {error.reason}")
        return Done(answer="playing now")

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        told = listen(delivery)
        return replace(await self.submit("single", [told], access), remote_id=handle(told))

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        """Import up to a thousand in one call; one that cannot be told is settled without it."""
        made = [drafted(delivery) for delivery in deliveries]
        told = [draft for draft in made if isinstance(draft, dict)]
        answers = iter(await self.divide(told, access) if told else ())
        return [next(answers) if isinstance(draft, dict) else draft for draft in made]

    async def divide(self, listens: Sequence[Json], access: Access) -> list[Outcome]:
        """One bad listen has all refused with it: the halves are tried until it stands alone.

        What breaks off the search is raised only where nothing was found out yet.
        """
        try:
            done = await self.submit("import", listens, access)
        except Dead as error:
            if len(listens) == 1 or not isinstance(error, Refusal):
                return [error for _ in listens]
        else:
            return [replace(done, remote_id=handle(told)) for told in listens]
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
        listened_at = whole(delivery.remote_id)
        if listened_at is None:
            raise Dead(f"Nothing of ours to undo: {LABEL} was not told of this play")
        msid = await self.msid(listened_at, delivery, access)
        if msid is None:
            return Done(answer="it was gone already", remote_id=delivery.remote_id)
        said = {"listened_at": listened_at, "recording_msid": msid}
        await self.ask(access.tokens, "POST", "/1/delete-listen", json=said)
        return Done(answer="to be deleted after the full hour", remote_id=delivery.remote_id)

    async def msid(self, listened_at: int, delivery: Delivery, access: Access) -> str | None:
        """The id of the listen of this artist and title at this second; None where there is none any more."""
        wanted = [folded(name) for name in names(delivery)]
        for row in await self.listens(access, await self.user_of(access), listened_at + 1):
            theirs = inner(row, "track_metadata")
            named = [folded(theirs.get("artist_name")), folded(theirs.get("track_name"))]
            if row.get("listened_at") == listened_at and named == wanted:
                return uuid(row.get("recording_msid"))
        return None

    # What the account holds

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """The listens, the newest first.

        A page ends somewhere inside a second, so the next one begins with that second again.
        """
        name, until, before = await self.user_of(access), None, set[WatchedItem]()
        while True:
            await self.pause(access)
            listened = [(row["listened_at"], held(row)) for row in await self.listens(access, name, until)]
            new = [(at, viewing) for at, viewing in listened if viewing not in before]
            for at, viewing in new:
                if since is not None and at < since.timestamp():
                    return
                yield viewing
            oldest = min((at for at, _ in listened), default=None)
            if oldest is None or (not new and until == oldest):
                return
            until = oldest + 1 if new else oldest
            before = {viewing for _, viewing in listened}

    async def listens(self, access: Access, name: str, until: int | None) -> list[Json]:
        """A page of dated listens, the newest first, of before a second (`until`)."""
        asked = {"count": str(PAGE)} | ({} if until is None else {"max_ts": str(until)})
        answer = await self.ask(access.tokens, "GET", f"/1/user/{quote(name, safe='')}/listens", params=asked)
        payload = inner(answer, "payload")
        if not isinstance(payload.get("listens"), list):
            raise Retry(f"{LABEL} sent an answer of an unknown shape", after=GATEWAY)
        return [row for row in rows(payload["listens"]) if isinstance(row.get("listened_at"), int)]

    async def user_of(self, access: Access) -> str:
        return str(access.tokens.get("name") or await self.check(access))

    async def pause(self, access: Access) -> None:
        """Until more calls are taken: many pages are more than ListenBrainz takes at once."""
        left = self._free_at.get(str(access.tokens.get("token", "")), 0.0) - time.monotonic()
        if left > 0:
            await asyncio.sleep(min(left + MARGIN, LONGEST_PAUSE.total_seconds()))

    async def love(self, delivery: Delivery, access: Access) -> Done:
        return await self.rate(delivery, access, 1)

    async def unlove(self, delivery: Delivery, access: Access) -> Done:
        return await self.rate(delivery, access, 0)

    async def rate(self, delivery: Delivery, access: Access, score: int) -> Done:
        said = {"recording_mbid": await self.recording(delivery, access), "score": score}
        await self.ask(access.tokens, "POST", "/1/feedback/recording-feedback", json=said)
        return Done(answer="loved" if score else "no longer loved")

    async def recording(self, delivery: Delivery, access: Access) -> str:
        """The id of the recording of just this artist and title. Raises Unmatched where there is none."""
        artist, title = names(delivery)
        asked = {"artist_name": artist, "recording_name": title}
        found = await self.ask(access.tokens, "GET", "/1/metadata/lookup/", params=asked)
        theirs = (found.get("artist_credit_name"), found.get("recording_name"))
        mbid = uuid(found.get("recording_mbid"))
        # The lookup guesses: what it is not asked for by name is another recording.
        if mbid is None or [folded(name) for name in theirs] != [folded(artist), folded(title)]:
            raise Unmatched(NO_RECORDING)
        return mbid

    # The sign-in

    async def check(self, access: Access) -> str:
        name = await self.user(access.tokens)
        if name is None:
            raise Snooze(f"{LABEL} does not accept the token", park=Park.SIGNED_OUT)
        return name

    async def accept(self, token: str) -> Tokens:
        """A sign-in from the token on the person's settings page. Raises SignInFailed."""
        token = token.strip()
        try:
            name = await self.user({"token": token})
        except Undelivered as error:
            raise SignInFailed(error.reason) from error
        if name is None:
            raise SignInFailed(
                f"{LABEL} does not know this token; copy it from https://listenbrainz.org/settings/"
            )
        return {"token": token, "name": name}

    async def user(self, tokens: Tokens) -> str | None:
        """Whose token it is; None where it is nobody's."""
        said = await self.ask(tokens, "GET", "/1/validate-token")
        return str(said.get("user_name") or "?") if said.get("valid") is True else None

    # Calls

    async def submit(self, kind: str, listens: Sequence[Json], access: Access) -> Done:
        said = {"listen_type": kind, "payload": list(listens)}
        answer = await self.ask(access.tokens, "POST", "/1/submit-listens", json=said)
        if answer.get("status") != "ok":
            reason = f"{LABEL} did not say that it took the listens"
            raise Retry(reason, after=GATEWAY, unsure=True, suspect=True)
        return Done(answer="listened")

    async def ask(
        self,
        tokens: Tokens,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> Json:
        """The answer's object, once the pace that ListenBrainz asked for lets the call go out."""
        token = str(tokens.get("token", ""))
        self.hold(token)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "Authorization": f"Token {token}",
        }
        response = await call(
            self.http, LABEL, method, self.api + path, headers=headers, params=params, json=json
        )
        self.note(token, response)
        if not response.is_success:
            raise refused(response)
        body = read(LABEL, response)
        if isinstance(body, dict):
            return body
        unknown = f"{LABEL} sent an answer of an unknown shape"
        raise Retry(unknown, answer=shown(response), after=GATEWAY, unsure=True, suspect=True)

    def hold(self, token: str) -> None:
        """Raises Snooze while no more calls are taken with this token."""
        left = self._free_at.get(token, 0.0) - time.monotonic()
        if left > 0:
            raise Snooze(f"{LABEL} takes no more calls for {left:.0f} seconds", after=timedelta(seconds=left))
        self._free_at.pop(token, None)

    def note(self, token: str, response: httpx.Response) -> None:
        """Remember until when the token has no more calls."""
        pause = reset_in(response)
        if pause is not None and response.headers.get("x-ratelimit-remaining") == "0":
            self._free_at[token] = time.monotonic() + pause.total_seconds()


class Refusal(Dead):
    """A call refused for what is in it."""


# What is told


def song(delivery: Delivery) -> Track:
    if not isinstance(delivery.item, Track):
        raise Dead(f"{LABEL} is told of music, not of a {delivery.item.kind}")
    return delivery.item


def names(delivery: Delivery) -> tuple[str, str]:
    item = song(delivery)
    artist, title = tidy(item.artist), tidy(item.title)
    if not artist or not title:
        raise Unmatched(f"{LABEL} knows a track by artist and title, and one of them is missing here")
    return artist, title


def drafted(delivery: Delivery) -> Json | Undelivered:
    try:
        return listen(delivery)
    except Undelivered as decision:
        return decision


def listen(delivery: Delivery) -> Json:
    """A listen by the rules of ListenBrainz, since one bad one would have a whole batch refused."""
    dated_or_skip(delivery, LABEL)
    at = began(delivery)
    if at < FIRST:
        raise Dead(f"The play is dated {at:%Y-%m-%d}, and {LABEL} takes nothing from before October 2002")
    if at > datetime.now(UTC) + AHEAD:
        raise Dead(FUTURE)
    return {"listened_at": int(at.timestamp()), "track_metadata": metadata(delivery)}


def metadata(delivery: Delivery) -> Json:
    artist, title = names(delivery)
    album = tidy(song(delivery).album)
    said: Json = {"artist_name": artist, "track_name": title, "additional_info": details(delivery)}
    return {**said, "release_name": album} if album else said


def details(delivery: Delivery) -> Json:
    item, duration = song(delivery), delivery.duration_ms or 0
    known = {
        "submission_client": "Watchmark",
        "submission_client_version": version(),
        "duration_ms": duration if 0 < duration <= LONGEST_TRACK / timedelta(milliseconds=1) else None,
        "tracknumber": item.number or None,
        # What Plex and Jellyfin know is the id of the track on its release, not of the recording.
        "track_mbid": uuid(item.ids.musicbrainz),
    }
    return {name: value for name, value in known.items() if value is not None}


def tidy(text: str | None) -> str:
    return (text or "").replace("\0", "").strip()


def folded(name: Any) -> str:
    return " ".join(str(name or "").casefold().split())


def uuid(value: Any) -> str | None:
    """An id in its one spelling, or None where it is none."""
    try:
        return str(UUID(str(value)))
    except ValueError:
        return None


def handle(told: Json) -> str:
    """What a listen of ours is found again by: the second in which it began."""
    return str(told["listened_at"])


# What the answer means


def held(row: Json) -> WatchedItem:
    told = inner(row, "track_metadata")
    details = inner(told, "additional_info")
    item = Track(
        title=tidy(told.get("track_name")) or None,
        artist=tidy(told.get("artist_name")) or None,
        album=tidy(told.get("release_name")) or None,
        number=whole(details.get("tracknumber")),
        # The id of the track on its release, as ours are; the recording's is another.
        ids=Ids(musicbrainz=uuid(details.get("track_mbid"))),
    )
    at = datetime.fromtimestamp(row["listened_at"], UTC)
    return WatchedItem(item=item, at=at, remote_id=str(row["listened_at"]))


def whole(value: Any) -> int | None:
    """A number of an answer, which may be a text."""
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else None


def refused(response: httpx.Response) -> Undelivered:
    """What an answer that is no success asks for."""
    status, answer = response.status_code, shown(response)
    reason = f"{LABEL} answered {status}: {message(response)}"
    if status == 429:
        after = retry_after(response.headers) if reset_in(response) is None else reset_in(response)
        return Snooze(reason, answer=answer, after=BUSY if after is None else after)
    if status == 401:
        return Snooze(reason, answer=answer, park=Park.SIGNED_OUT)
    if status == 403:
        return Snooze(reason, answer=answer, after=HOUR)
    if status == 404:
        return Dead(ELSEWHERE, answer=answer)
    if status in REFUSED:
        return Refusal(reason, answer=answer)
    return decide(LABEL, status, response.headers, answer)


def message(response: httpx.Response) -> str:
    try:
        said = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        said = None
    error = said.get("error") if isinstance(said, dict) else None
    return error if isinstance(error, str) and error else "it does not say why"


def reset_in(response: httpx.Response) -> timedelta | None:
    """How long until more calls are taken, where the answer says it."""
    value = response.headers.get("x-ratelimit-reset-in", "")
    return min(timedelta(seconds=int(value[:9])), LONGEST) if value.isdecimal() else None
