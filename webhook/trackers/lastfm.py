"""Last.fm: https://www.last.fm/api/scrobbling. Libre.fm, Maloja and others speak the same elsewhere.

Every call is a signed form: `{"method": "track.scrobble", "artist[0]": …, "track[0]": …, "timestamp[0]": …, …}`. The
status says nothing; an error comes as `{"error": CODE, "message": …}` (https://www.last.fm/api/errorcodes), and a
scrobble that does not count has an `ignoredMessage`: `ERRORS` and `IGNORED` have the outcomes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx
from pydantic import Field, SecretStr

from webhook.domain.outcome import Dead, Done, Park
from webhook.settings import Address
from webhook.trackers import Access, Delivery, DeviceCode, SignIn, SignInFailed, Tokens, WatchedItem
from webhook.trackers import _refusals as refusals
from webhook.trackers._base import Outcome, TrackerSettings, WritesPerSecond, require_date, unwrap
from webhook.trackers._facts import Anime, Cost, Dates, Facts, Rewatches
from webhook.trackers._json import JsonObject, as_int, as_one_or_more, as_text, child, parse_object
from webhook.trackers._music import MusicTracker, ViewingPages, clean_name, track_viewing
from webhook.trackers._pages import read_pages
from webhook.trackers._sign_in import DeviceSignIn
from webhook.trackers._viewings import play_start

LABEL = "Last.fm"
PURPOSE = "Shows what you are listening to, scrobbles your music, and loves the tracks that you love."
NOTE = "Takes no play that is more than about two weeks old."
SETUP: tuple[str, ...] = (
    "Sign in at Last.fm and open https://www.last.fm/api/account/create",
    "Fill in a name, a description and a homepage of your choice. Leave the callback URL empty.",
    "After Submit, Last.fm shows an API key and a shared secret. Copy both into the fields below, and save.",
    "Then sign in: a page of Last.fm opens, on which you agree.",
)
MIN_LENGTH = timedelta(seconds=30)
"""A track must be longer than this to count (https://www.last.fm/api/scrobbling)."""

HISTORY_PAGE_SIZE = 100
"""Last.fm gives up to 200 on a page, but names in other scripts can make those larger than we read."""

IGNORED: Mapping[int, refusals.Rule] = {
    1: refusals.die_of("Last.fm does not take this artist: its filter ignores the name"),
    2: refusals.die_of("Last.fm does not take this track: its filter ignores the title"),
    3: refusals.die_of("Last.fm takes nothing that was played more than about two weeks ago"),
    4: refusals.die_of(
        "Last.fm takes this for a play in the future: check the clock of this machine and of the media server"
    ),
    # The limit is that of scrobbles: what is loved, and what is playing, goes on.
    5: refusals.snooze_for(
        timedelta(days=1), "Last.fm takes no more scrobbles of this account today", lane=False
    ),
}
NOT_AGREED, EXPIRED, BAD_TOKEN = 14, 15, 4
ERRORS: Mapping[int, refusals.Rule] = {
    BAD_TOKEN: refusals.park_as(Park.SIGNED_OUT, "it does not accept the sign-in"),
    8: refusals.retry_later("it failed inside", suspect=True),
    9: refusals.park_as(Park.SIGNED_OUT, "it no longer accepts the sign-in"),
    10: refusals.park_as(Park.APP_DELETED, "it does not know the API key: check LASTFM_API_KEY"),
    11: refusals.retry_later("it is closed for the moment"),
    13: refusals.park_as(Park.APP_DELETED, "the signature is wrong: check LASTFM_SECRET"),
    NOT_AGREED: refusals.park_as(Park.SIGNED_OUT, "the sign-in was never agreed to"),
    EXPIRED: refusals.park_as(Park.SIGNED_OUT, "the sign-in has expired"),
    16: refusals.retry_later("it is not available for the moment"),
    26: refusals.park_as(Park.APP_DELETED, "the API key is suspended"),
    29: refusals.slow_down("it asks for a slower pace"),
}
SIGN_IN_ERRORS: Mapping[int, str] = {
    BAD_TOKEN: "Last.fm does not know this sign-in, or it was used already; start again",
    EXPIRED: "the sign-in has expired; start again",
}
WRONG_ADDRESS = "Last.fm's API is not at this address: check LASTFM_API_URL"
POLL_INTERVAL, TOKEN_LIFE = timedelta(seconds=5), timedelta(minutes=60)
UNSIGNED = frozenset({"format", "callback", "api_sig"})


class Settings(TrackerSettings):
    api_key: str = Field(
        description="API key of your API account (free: https://www.last.fm/api/account/create)"
    )
    secret: SecretStr = Field(description="Shared secret of the same API account")
    api_url: Address = Field(
        default="https://ws.audioscrobbler.com/2.0/",
        description="Address of Last.fm's API, or of another like it",
    )
    auth_url: Address = Field(
        default="https://www.last.fm/api/auth/",
        description="The page on which a person agrees to the sign-in",
    )
    writes_per_second: WritesPerSecond = 1.0


def build(settings: Settings, http: httpx.AsyncClient) -> LastFM:
    return LastFM(settings, http)


class LastFM(DeviceSignIn, MusicTracker):
    """Shows what is playing, scrobbles what was played; a scrobble that is sent twice counts once.

    What was scrobbled stays: Last.fm's API has no call that takes a scrobble back.
    """

    name = "lastfm"
    label = LABEL
    facts = Facts(Cost.FREE, Dates.EACH, Rewatches.EACH, Anime.NONE, NOTE)
    sign_in: SignIn = "web"
    batch = 50
    statuses = {404: refusals.die_of(WRONG_ADDRESS)}
    errors = ERRORS

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        super().__init__(http, settings.api_url, settings.writes_per_second)
        self.settings = settings

    async def show_current(self, delivery: Delivery, access: Access) -> Done:
        body = await self.post_as(access, "track.updateNowPlaying", self.fields(delivery))
        return Done(answer=f"now playing: {unwrap(parse_outcome(child(body, 'nowplaying'))).answer}")

    def payload(self, delivery: Delivery) -> JsonObject | Done:
        fields = self.fields(delivery)
        require_date(delivery, LABEL)
        if delivery.duration_ms and timedelta(milliseconds=delivery.duration_ms) <= MIN_LENGTH:
            return Done(answer="not sent: Last.fm takes no track of 30 seconds or less")
        return {**fields, "timestamp": str(int(play_start(delivery).timestamp()))}

    async def submit(self, payloads: Sequence[JsonObject], access: Access) -> list[Outcome]:
        fields = {f"{name}[{n}]": value for n, track in enumerate(payloads) for name, value in track.items()}
        return parse_outcomes(await self.post_as(access, "track.scrobble", fields))

    async def set_love(self, delivery: Delivery, access: Access, *, loved: bool) -> None:
        await self.post_as(access, "track.love" if loved else "track.unlove", self.names(delivery))

    def names(self, delivery: Delivery) -> dict[str, str]:
        artist, title = self.artist_and_title(delivery)
        return {"artist": artist, "track": title}

    def fields(self, delivery: Delivery) -> dict[str, str]:
        """The track as its calls take it. Our MusicBrainz id is a track's; theirs is a recording's."""
        item = self.track(delivery)
        return {
            **self.names(delivery),
            "album": clean_name(item.album),
            "albumArtist": clean_name(item.album_artist),
            "trackNumber": str(item.number or ""),
            "duration": str(round((delivery.duration_ms or 0) / 1000) or ""),
        }

    # What the account holds

    def pages(self, name: str, access: Access, since: datetime | None) -> ViewingPages:
        after = "" if since is None else str(int(since.timestamp()) - 1)
        fields = {"user": name, "limit": str(HISTORY_PAGE_SIZE), "from": after}

        async def read(page: int) -> tuple[list[WatchedItem], int | None]:
            numbered = {**fields, "page": str(page)}
            body = await self.post_as(access, "user.getRecentTracks", numbered, "recenttracks")
            recent = body["recenttracks"]
            viewings = map(parse_scrobble, as_one_or_more(recent.get("track")))
            return [*filter(None, viewings)], as_int(child(recent, "@attr").get("totalPages")) or None

        return read_pages(read, lambda viewing: viewing)

    # The sign-in

    async def check(self, access: Access) -> str:
        body = await self.post_as(access, "user.getInfo", {})
        return str(child(body, "user").get("name") or access.tokens.get("name") or "?")

    async def request_code(self) -> DeviceCode:
        """A page to agree on. There is no code to type in: the page's address holds it."""
        token = as_text(self.accept_object(await self.post("auth.getToken", {})).get("token"))
        if token is None:
            raise SignInFailed(f"{LABEL} sent no token to sign in with")
        page = httpx.URL(self.settings.auth_url)
        url = str(page.copy_merge_params({"api_key": self.settings.api_key, "token": token}))
        return DeviceCode(url=url, interval=POLL_INTERVAL, expires_in=TOKEN_LIFE, device_code=token)

    async def request_tokens(self, code: DeviceCode) -> Tokens | None:
        response = await self.post("auth.getSession", {"token": code.device_code})
        if (error := self.error_code(response)) == NOT_AGREED:
            return None
        if reason := SIGN_IN_ERRORS.get(error or 0):
            raise SignInFailed(reason)
        session = child(self.accept_object(response), "session")
        if not session.get("key"):
            raise SignInFailed(f"{LABEL} sent no session key; start again")
        return {"sk": str(session["key"]), "name": str(session.get("name") or "")}

    # Calls

    async def post_as(self, access: Access, method: str, fields: Mapping[str, str], *keys: str) -> JsonObject:
        session = {"sk": str(access.tokens.get("sk", ""))}
        return self.accept_object(await self.post(method, {**fields, **session}), *keys)

    async def post(self, method: str, fields: Mapping[str, str]) -> httpx.Response:
        """A signed call. Reads use POST as well, since their secrets must not be in a URL."""
        given = {**fields, "method": method, "api_key": self.settings.api_key}
        params = {name: value for name, value in given.items() if value}
        params["api_sig"] = signature(params, self.settings.secret.get_secret_value())
        return await self.call("POST", None, form={**params, "format": "json"})

    def error_code(self, response: httpx.Response) -> int | None:
        """The error in an answer, which decides whatever the status: Last.fm's statuses say nothing."""
        error = parse_object(response).get("error")
        return as_int(error.get("code") if isinstance(error, dict) else error) or None


def signature(params: Mapping[str, str], secret: str) -> str:
    """Over the parameters in the order of their names as text: `artist[10]` before `artist[1]`."""
    signed = "".join(name + params[name] for name in sorted(params) if name not in UNSIGNED)
    return hashlib.md5((signed + secret).encode(), usedforsecurity=False).hexdigest()


def parse_outcomes(body: JsonObject) -> list[Outcome]:
    scrobbles = child(body, "scrobbles")
    outcomes = [parse_outcome(row) for row in as_one_or_more(scrobbles.get("scrobble"))]
    ignored = as_int((child(scrobbles, "@attr") or scrobbles).get("ignored")) or 0
    if ignored >= len(outcomes) and all(isinstance(outcome, Done) for outcome in outcomes):
        return [Dead(f"{LABEL} ignored it without saying why") for _ in outcomes]
    return outcomes


def parse_outcome(row: JsonObject) -> Outcome:
    """The outcome of one track, by its part of an answer."""
    message = child(row, "ignoredMessage")
    if code := as_int(message.get("code")):
        rule = IGNORED.get(code, refusals.die_of(f"{LABEL} ignored it (code {code})"))
        return rule(refusals.Refusal(answer=element_text(message) or None))
    theirs = f"{element_text(row.get('artist'))} – {element_text(row.get('track'))}"
    corrected = any(as_int(child(row, name).get("corrected")) for name in ("artist", "track"))
    return Done(answer=theirs, note=f"{LABEL} corrected it to {theirs}" if corrected else None)


def parse_scrobble(row: JsonObject) -> WatchedItem | None:
    """A played track without its MusicBrainz id, which is the recording's; None for the one that is playing now."""
    played_at = as_int(child(row, "date").get("uts"))
    if not played_at or child(row, "@attr").get("nowplaying") == "true":
        return None
    title, artist, album = (element_text(row.get(name)) for name in ("name", "artist", "album"))
    return track_viewing(played_at, title, artist, album)


def element_text(value: Any) -> str:
    """The text of an element, which stands alone or beside its attributes."""
    return as_text(value.get("#text") if isinstance(value, dict) else value) or ""
