"""Last.fm: https://www.last.fm/api/scrobbling. Libre.fm, Maloja and others speak the same elsewhere.

Every call is a signed form: `{"method": "track.scrobble", "artist[0]": …, "track[0]": …, "timestamp[0]": …, …}`. The
status says nothing; an error comes as `{"error": CODE, "message": …}` (https://www.last.fm/api/errorcodes):

| answer | outcome |
|---|---|
| 4, 9, 14, 15 | parked: the sign-in does not hold |
| 10, 13, 26 | parked: the API key, or the secret |
| 29 | snoozed for its Retry-After, else five minutes |
| 8, 11, 16, 5xx | tried again |
| other errors, 404 | dead |
| `ignoredMessage` 5 | snoozed alone for a day: the limit of scrobbles |
| `ignoredMessage` 1 to 4 | dead, with the reason |
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson
from pydantic import Field, SecretStr

from webhook.client import USER_AGENT, call, excerpt, read_json
from webhook.domain.event import Track
from webhook.domain.outcome import Dead, Done, Park, Retry, Snooze, Undelivered
from webhook.domain.retry import BUSY_PAUSE, UNSURE_PAUSE, decide, retry_after
from webhook.settings import Address
from webhook.trackers import Access, Delivery, DeviceCode, SignIn, SignInFailed, Tokens, WatchedItem
from webhook.trackers._base import Outcome, TrackerSettings, WritesPerSecond, require_date
from webhook.trackers._json import JsonObject, as_int, as_rows, as_text, child, parse_object, unknown_shape
from webhook.trackers._music import MusicTracker, clean_name
from webhook.trackers._viewings import is_since, play_start

LABEL = "Last.fm"
PURPOSE = "Shows what you are listening to, scrobbles your music, and loves the tracks that you love."
SETUP: tuple[str, ...] = (
    "Sign in at Last.fm and open https://www.last.fm/api/account/create",
    "Fill in a name, a description and a homepage of your choice. Leave the callback URL empty.",
    "After Submit, Last.fm shows an API key and a shared secret. Copy both into the fields below, and save.",
    "Then sign in: a page of Last.fm opens, on which you agree.",
)
MIN_LENGTH = timedelta(seconds=30)
"""A track must be longer than this to count (https://www.last.fm/api/scrobbling)."""

TOO_SHORT = "not sent: Last.fm takes no track of 30 seconds or less"
HISTORY_PAGE_SIZE = 100
"""Last.fm gives up to 200 on a page, but names in other scripts can make those larger than we read."""

LIMIT_REST = timedelta(days=1)
DAILY_LIMIT = 5
IGNORED_BECAUSE: Mapping[int, str] = {
    1: "Last.fm does not take this artist: its filter ignores the name",
    2: "Last.fm does not take this track: its filter ignores the title",
    3: "Last.fm takes nothing that was played more than about two weeks ago",
    4: "Last.fm takes this for a play in the future: check the clock of this machine and of the media server",
    DAILY_LIMIT: "Last.fm takes no more scrobbles of this account today",
}
NOT_AGREED, EXPIRED, BAD_TOKEN, FAILED, RATE_LIMIT = 14, 15, 4, 8, 29
PARKING_ERRORS: Mapping[int, tuple[Park, str]] = {
    4: (Park.SIGNED_OUT, "it does not accept the sign-in"),
    9: (Park.SIGNED_OUT, "it no longer accepts the sign-in"),
    10: (Park.APP_DELETED, "it does not know the API key: check LASTFM_API_KEY"),
    13: (Park.APP_DELETED, "the signature is wrong: check LASTFM_SECRET"),
    14: (Park.SIGNED_OUT, "the sign-in was never agreed to"),
    15: (Park.SIGNED_OUT, "the sign-in has expired"),
    26: (Park.APP_DELETED, "the API key is suspended"),
}
PASSING_ERRORS: Mapping[int, str] = {
    FAILED: "it failed inside",
    11: "it is closed for the moment",
    16: "it is not available for the moment",
}
SIGN_IN_ERRORS: Mapping[int, str] = {
    BAD_TOKEN: "Last.fm does not know this sign-in, or it was used already; start again",
    EXPIRED: "the sign-in has expired; start again",
}
WRONG_ADDRESS = "Last.fm's API is not at this address: check LASTFM_API_URL"
POLL_INTERVAL, TOKEN_LIFE = timedelta(seconds=5), timedelta(minutes=60)
FORM_HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": USER_AGENT}
UNSIGNED = frozenset({"format", "callback", "api_sig"})


class Settings(TrackerSettings):
    api_key: str = Field(
        description="API key of your API account (free: https://www.last.fm/api/account/create)"
    )
    secret: SecretStr = Field(description="Shared secret of the same API account")
    api_url: Address = Field(
        default="https://ws.audioscrobbler.com/2.0/",
        description="Where Last.fm's API is, or another's like it",
    )
    auth_url: Address = Field(
        default="https://www.last.fm/api/auth/",
        description="The page on which a person agrees to the sign-in",
    )
    writes_per_second: WritesPerSecond = 1.0


def build(settings: Settings, http: httpx.AsyncClient) -> LastFM:
    return LastFM(settings, http)


class LastFM(MusicTracker):
    """Shows what is playing, scrobbles what was played; a scrobble that is sent twice counts once.

    What was scrobbled stays: Last.fm's API has no call that takes a scrobble back.
    """

    name = "lastfm"
    label = LABEL
    sign_in: SignIn = "web"
    batch = 50

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        super().__init__(http, settings.api_url, settings.writes_per_second)
        self.settings = settings

    async def show_current(self, delivery: Delivery, access: Access) -> Done:
        body = await self.sign_and_post("track.updateNowPlaying", self.fields(delivery), access)
        outcome = parse_outcome(child(body, "nowplaying"))
        if isinstance(outcome, Undelivered):
            raise outcome
        return Done(answer=f"now playing: {outcome.answer}")

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        """Scrobble up to fifty in one call; one that cannot be sent is settled without it."""
        outcomes = [self.decide_unsent(delivery) for delivery in deliveries]
        sendable = [delivery for delivery, known in zip(deliveries, outcomes, strict=True) if known is None]
        answers = iter(await self.scrobble(sendable, access) if sendable else ())
        return [next(answers) if known is None else known for known in outcomes]

    async def scrobble(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        fields = {
            f"{name}[{index}]": value
            for index, delivery in enumerate(deliveries)
            for name, value in {
                **self.fields(delivery),
                "timestamp": unix_time(play_start(delivery)),
            }.items()
        }
        return parse_outcomes(await self.sign_and_post("track.scrobble", fields, access), len(deliveries))

    async def love(self, delivery: Delivery, access: Access) -> Done:
        await self.sign_and_post("track.love", self.names(delivery), access)
        return Done(answer="loved")

    async def unlove(self, delivery: Delivery, access: Access) -> Done:
        await self.sign_and_post("track.unlove", self.names(delivery), access)
        return Done(answer="no longer loved")

    def names(self, delivery: Delivery) -> dict[str, str]:
        artist, title = self.artist_and_title(delivery)
        return {"artist": artist, "track": title}

    def fields(self, delivery: Delivery) -> dict[str, str]:
        """The track as its calls take it. Our MusicBrainz id is a track's; theirs is a recording's."""
        item = self.track(delivery)
        known = {
            "album": clean_name(item.album),
            "albumArtist": clean_name(item.album_artist),
            "trackNumber": str(item.number or ""),
            "duration": str(round((delivery.duration_ms or 0) / 1000) or ""),
        }
        return {**self.names(delivery), **{name: value for name, value in known.items() if value}}

    def decide_unsent(self, delivery: Delivery) -> Outcome | None:
        """The outcome of a mark that is not to be sent, or None."""
        try:
            self.names(delivery)
            require_date(delivery, LABEL)
        except Undelivered as decision:
            return decision
        if delivery.duration_ms and timedelta(milliseconds=delivery.duration_ms) <= MIN_LENGTH:
            return Done(answer=TOO_SHORT)
        return None

    # What the account holds

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """The scrobbles, the newest first; what is playing now is none."""
        fields = {"user": await self.user_name(access), "limit": str(HISTORY_PAGE_SIZE)}
        if since is not None:
            fields["from"] = unix_time(since - timedelta(seconds=1))
        before: set[WatchedItem] = set()
        for page in itertools.count(1):
            body = await self.sign_and_post("user.getRecentTracks", {**fields, "page": str(page)}, access)
            recent = child(body, "recenttracks")
            if not recent:
                raise Retry(f"{LABEL} sent an answer of an unknown shape", after=UNSURE_PAUSE)
            viewings = [
                viewing for row in one_or_more(recent.get("track")) if (viewing := parse_scrobble(row))
            ]
            # New scrobbles move the older ones on to the next page.
            new = [viewing for viewing in viewings if viewing not in before]
            for viewing in new:
                if is_since(viewing.at, since):
                    yield viewing
            pages = as_int(child(recent, "@attr").get("totalPages")) or 0
            if page >= pages if pages else not new:
                return
            before = set(viewings)

    # The sign-in

    async def check(self, access: Access) -> str:
        body = await self.sign_and_post("user.getInfo", {}, access)
        return str(child(body, "user").get("name") or access.tokens.get("name") or "?")

    async def begin(self) -> DeviceCode:
        """A page to agree on. There is no code to type in: the page's address holds it."""
        try:
            token = parse_answer(await self.post("auth.getToken", {})).get("token")
        except Undelivered as error:
            raise SignInFailed(error.reason) from error
        if not isinstance(token, str) or not token:
            raise SignInFailed(f"{LABEL} sent no token to sign in with")
        query = {"api_key": self.settings.api_key, "token": token}
        url = str(httpx.URL(self.settings.auth_url).copy_merge_params(query))
        return DeviceCode(
            user_code="", url=url, interval=POLL_INTERVAL, expires_in=TOKEN_LIFE, device_code=token
        )

    async def poll(self, code: DeviceCode) -> Tokens | None:
        try:
            response = await self.post("auth.getSession", {"token": code.device_code})
            error_code = parse_error(response)
            if error_code == NOT_AGREED:
                return None
            if reason := SIGN_IN_ERRORS.get(error_code or 0):
                raise SignInFailed(reason)
            session = child(parse_answer(response), "session")
        except Retry:
            return None  # the token outlives a hiccup
        except Undelivered as error:
            if isinstance(error, Snooze) and error.park is None:
                return None
            raise SignInFailed(error.reason) from error
        if not session.get("key"):
            raise SignInFailed(f"{LABEL} sent no session key; start again")
        return {"sk": str(session["key"]), "name": str(session.get("name") or "")}

    # Calls

    async def sign_and_post(self, method: str, fields: Mapping[str, str], access: Access) -> JsonObject:
        key = {"sk": str(access.tokens.get("sk", ""))}
        return parse_answer(await self.post(method, {**fields, **key}))

    async def post(self, method: str, fields: Mapping[str, str]) -> httpx.Response:
        """A signed call. Reads use POST as well, since their secrets must not be in a URL."""
        app = {"method": method, "api_key": self.settings.api_key}
        params = {name: value for name, value in {**fields, **app}.items() if value}
        params["api_sig"] = signature(params, self.settings.secret.get_secret_value())
        form = urlencode({**params, "format": "json"}).encode()
        # A JSON fragment is inserted unchanged, so the body is the form itself.
        body = orjson.Fragment(form)
        return await call(self.http, LABEL, "POST", self.settings.api_url, headers=FORM_HEADERS, json=body)


def signature(params: Mapping[str, str], secret: str) -> str:
    """Over the parameters in the order of their names as text: `artist[10]` before `artist[1]`."""
    signed = "".join(name + params[name] for name in sorted(params) if name not in UNSIGNED)
    return hashlib.md5((signed + secret).encode(), usedforsecurity=False).hexdigest()


def unix_time(at: datetime) -> str:
    return str(int(at.timestamp()))


# Answers


def parse_answer(response: httpx.Response) -> JsonObject:
    """The answer's object. An error in it decides, whatever the status: Last.fm's statuses say nothing."""
    if code := parse_error(response):
        raise decide_error(code, response)
    if response.status_code == 404:
        raise Dead(WRONG_ADDRESS, answer=excerpt(response))
    if not response.is_success:
        raise decide(LABEL, response.status_code, response.headers, excerpt(response))
    body = read_json(LABEL, response)
    if isinstance(body, dict):
        return body
    raise unknown_shape(LABEL, response, unsure=True)


def parse_error(response: httpx.Response) -> int | None:
    error = parse_object(response).get("error")
    return as_int(error.get("code") if isinstance(error, dict) else error) or None


def decide_error(code: int, response: httpx.Response) -> Undelivered:
    answer, after = excerpt(response), retry_after(response.headers)
    reason = f"{LABEL} answered error {code}"
    if code in PARKING_ERRORS:
        park, words = PARKING_ERRORS[code]
        return Snooze(f"{reason}: {words}", answer=answer, park=park)
    if code == RATE_LIMIT:
        pause = BUSY_PAUSE if after is None else after
        return Snooze(f"{reason}: it asks for a slower pace", answer=answer, after=pause)
    if code in PASSING_ERRORS:
        return Retry(f"{reason}: {PASSING_ERRORS[code]}", answer=answer, after=after, suspect=code == FAILED)
    if response.status_code >= 500:
        return decide(LABEL, response.status_code, response.headers, answer)
    return Dead(f"{reason}: it refused the call", answer=answer)


def parse_outcomes(body: JsonObject, count: int) -> list[Outcome]:
    """The outcome of each of so many scrobbles."""
    scrobbles = child(body, "scrobbles")
    found = one_or_more(scrobbles.get("scrobble"))
    if len(found) != count:
        reason = f"{LABEL} did not say what became of every scrobble"
        raise Retry(reason, after=UNSURE_PAUSE, unsure=True, suspect=True)
    outcomes = [parse_outcome(row) for row in found]
    counts = child(scrobbles, "@attr") or scrobbles
    ignored = as_int(counts.get("ignored")) or 0
    if ignored >= count and all(isinstance(outcome, Done) for outcome in outcomes):
        return [Dead(f"{LABEL} ignored it without saying why") for _ in found]
    return outcomes


def parse_outcome(row: JsonObject) -> Outcome:
    """The outcome of one track, by its part of an answer."""
    message = child(row, "ignoredMessage")
    code, answer = as_int(message.get("code")) or 0, element_text(message) or None
    if code == DAILY_LIMIT:
        # The limit is that of scrobbles: what is loved, and what is playing, goes on.
        return Snooze(IGNORED_BECAUSE[code], answer=answer, after=LIMIT_REST, lane=False)
    if code:
        reason = IGNORED_BECAUSE.get(code, f"{LABEL} ignored it (code {code})")
        return Dead(reason, answer=answer)
    theirs = f"{element_text(row.get('artist'))} – {element_text(row.get('track'))}"
    corrected = any(as_int(child(row, name).get("corrected")) for name in ("artist", "track"))
    return Done(answer=theirs, note=f"{LABEL} corrected it to {theirs}" if corrected else None)


def parse_scrobble(row: JsonObject) -> WatchedItem | None:
    """A played track; None for the one that is playing now, which has no date.

    Its MusicBrainz id is the recording's, and ours are tracks' ids: it is left out.
    """
    played_at = as_int(child(row, "date").get("uts"))
    if not played_at or child(row, "@attr").get("nowplaying") == "true":
        return None
    item = Track(
        title=element_text(row.get("name")) or None,
        artist=element_text(row.get("artist")) or None,
        album=element_text(row.get("album")) or None,
    )
    return WatchedItem(item=item, at=datetime.fromtimestamp(played_at, UTC))


def one_or_more(given: Any) -> list[JsonObject]:
    """The rows of a list, which Last.fm gives as an object where it is one row."""
    return as_rows(given if isinstance(given, list) else [given])


def element_text(value: Any) -> str:
    """The text of an element, which stands alone or beside its attributes."""
    return as_text(value.get("#text") if isinstance(value, dict) else value) or ""
