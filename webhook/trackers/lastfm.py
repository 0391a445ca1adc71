"""Last.fm: https://www.last.fm/api/scrobbling. Libre.fm, Maloja and others speak the same elsewhere."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from webhook.client import USER_AGENT, accept, call, read, shown
from webhook.domain.event import Action, Kind, Track
from webhook.domain.outcome import Dead, Done, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.domain.retry import BUSY, GATEWAY, decide, retry_after
from webhook.settings import Address
from webhook.trackers import Access, Delivery, DeviceCode, SignIn, SignInFailed, Tokens, WatchedItem
from webhook.trackers._shared import Json, began, dated_or_skip, inner, recent, rows

Outcome = Done | Undelivered

LABEL = "Last.fm"
FOR = "Shows what you are listening to, scrobbles your music, and loves the tracks that you love."
SETUP: tuple[str, ...] = (
    "Sign in at Last.fm and open https://www.last.fm/api/account/create",
    "Fill in a name, a description and a homepage of your choice. Leave the callback URL empty.",
    "After Submit, Last.fm shows an API key and a shared secret. Copy both into the fields below, and save.",
    "Then sign in: a page of Last.fm opens, on which you agree.",
)
SHORTEST = timedelta(seconds=30)
"""A track must be longer than this to count (https://www.last.fm/api/scrobbling)."""

TOO_SHORT = "not told: Last.fm takes no track of 30 seconds or less"
BATCH = 50
PAGE = 100
"""Last.fm gives up to 200 on a page, but names in other scripts can make those larger than we read."""

TOMORROW = timedelta(days=1)
DAILY_LIMIT = 5
IGNORED: Mapping[int, str] = {
    1: "Last.fm does not take this artist: its filter ignores the name",
    2: "Last.fm does not take this track: its filter ignores the title",
    3: "Last.fm takes nothing that was played more than about two weeks ago",
    4: "Last.fm takes this for a play in the future: check the clock of this machine and of the media server",
    DAILY_LIMIT: "Last.fm takes no more scrobbles of this account today",
}
NOT_AGREED, EXPIRED, BAD_TOKEN, FAILED, SLOWER = 14, 15, 4, 8, 29
PARKS: Mapping[int, tuple[Park, str]] = {
    4: (Park.SIGNED_OUT, "it does not accept the sign-in"),
    9: (Park.SIGNED_OUT, "it no longer accepts the sign-in"),
    10: (Park.APP_DELETED, "it does not know the API key: check LASTFM_API_KEY"),
    13: (Park.APP_DELETED, "the signature is wrong: check LASTFM_SECRET"),
    14: (Park.SIGNED_OUT, "the sign-in was never agreed to"),
    15: (Park.SIGNED_OUT, "the sign-in has expired"),
    26: (Park.APP_DELETED, "the API key is suspended"),
}
AGAIN: Mapping[int, str] = {
    FAILED: "it failed inside",
    11: "it is closed for the moment",
    16: "it is not available for the moment",
}
SIGN_INS: Mapping[int, str] = {
    BAD_TOKEN: "Last.fm does not know this sign-in, or it was used already; start again",
    EXPIRED: "the sign-in has expired; start again",
}
ELSEWHERE = "Last.fm's API is not at this address: check LASTFM_API_URL"
INTERVAL, LASTS = timedelta(seconds=5), timedelta(minutes=60)
HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": USER_AGENT}
UNSIGNED = frozenset({"format", "callback", "api_sig"})


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

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
    writes_per_second: float = Field(
        default=1.0, ge=0, description="Most writes a second per account; 0 is no pacing"
    )


def build(settings: Settings, http: httpx.AsyncClient) -> LastFM:
    return LastFM(settings, http)


class LastFM:
    """Shows what is playing, scrobbles what was played; a scrobble that is sent twice counts once.

    What was scrobbled stays: Last.fm's API has no call that takes a scrobble back.
    """

    name = "lastfm"
    label = LABEL
    sign_in: SignIn = "web"
    kinds = frozenset({Kind.TRACK})
    # No stop: Last.fm has no call for it, so that what makes the mark is a WATCHED.
    tells = frozenset({Action.START, Action.WATCHED, Action.FAVOURITE, Action.UNFAVOURITE})
    one_mark = False
    undated = False
    needs: Mapping[Kind, tuple[str, ...]] = {}
    batch = BATCH

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self.settings = settings
        self.http = http
        self.host = httpx.URL(settings.api_url).netloc.decode()
        self.writes_per_second = settings.writes_per_second

    async def send(self, delivery: Delivery, access: Access) -> Done:
        tell = {
            Action.START: self.start,
            Action.WATCHED: self.mark,
            Action.FAVOURITE: self.love,
            Action.UNFAVOURITE: self.unlove,
        }.get(delivery.action)
        if tell is None:
            raise Dead(f"{LABEL} has no call for {delivery.action}")
        song(delivery)
        return await tell(delivery, access)

    async def start(self, delivery: Delivery, access: Access) -> Done:
        """Shown as now playing, or not: it is never told again, so a failure is only noted."""
        try:
            body = await self.ask("track.updateNowPlaying", described(delivery), access)
            meant = outcome(inner(body, "nowplaying"))
        except Undelivered as error:
            meant = error
        if isinstance(meant, Undelivered):
            return Done(answer=f"not shown as now playing: {meant.reason}")
        return Done(answer=f"now playing: {meant.answer}")

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        (outcome,) = await self.send_many([delivery], access)
        if isinstance(outcome, Undelivered):
            raise outcome
        return outcome

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        """Scrobble up to fifty in one call; one that cannot be told is settled without it."""
        outcomes = [settled(delivery) for delivery in deliveries]
        told = [delivery for delivery, known in zip(deliveries, outcomes, strict=True) if known is None]
        answers = iter(await self.scrobble(told, access) if told else ())
        return [next(answers) if known is None else known for known in outcomes]

    async def scrobble(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        said = {
            f"{name}[{index}]": value
            for index, delivery in enumerate(deliveries)
            for name, value in {**described(delivery), "timestamp": stamp(began(delivery))}.items()
        }
        return counted(await self.ask("track.scrobble", said, access), len(deliveries))

    async def love(self, delivery: Delivery, access: Access) -> Done:
        await self.ask("track.love", named(delivery), access)
        return Done(answer="loved")

    async def unlove(self, delivery: Delivery, access: Access) -> Done:
        await self.ask("track.unlove", named(delivery), access)
        return Done(answer="no longer loved")

    # What the account holds

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """The scrobbles, the newest first; what is playing now is none."""
        asked = {"user": await self.user(access), "limit": str(PAGE)}
        if since is not None:
            asked["from"] = stamp(since - timedelta(seconds=1))
        before: set[WatchedItem] = set()
        for page in itertools.count(1):
            body = await self.ask("user.getRecentTracks", {**asked, "page": str(page)}, access)
            listed = inner(body, "recenttracks")
            if not listed:
                raise Retry(f"{LABEL} sent an answer of an unknown shape", after=GATEWAY)
            viewings = [held for row in several(listed.get("track")) if (held := scrobbled(row))]
            # New scrobbles move the older ones on to the next page.
            new = [held for held in viewings if held not in before]
            for held in new:
                if recent(held.at, since):
                    yield held
            pages = whole(inner(listed, "@attr").get("totalPages"))
            if page >= pages if pages else not new:
                return
            before = set(viewings)

    async def user(self, access: Access) -> str:
        return str(access.tokens.get("name") or await self.check(access))

    # The sign-in

    async def check(self, access: Access) -> str:
        body = await self.ask("user.getInfo", {}, access)
        return str(inner(body, "user").get("name") or access.tokens.get("name") or "?")

    async def begin(self) -> DeviceCode:
        """A page to agree on. There is no code to type in: the page's address holds it."""
        try:
            token = answered(await self.post("auth.getToken", {})).get("token")
        except Undelivered as error:
            raise SignInFailed(error.reason) from error
        if not isinstance(token, str) or not token:
            raise SignInFailed(f"{LABEL} sent no token to sign in with")
        page = httpx.URL(self.settings.auth_url)
        asked = {"api_key": self.settings.api_key, "token": token}
        url = str(page.copy_merge_params(asked))
        return DeviceCode(user_code="", url=url, interval=INTERVAL, expires_in=LASTS, device_code=token)

    async def poll(self, code: DeviceCode) -> Tokens | None:
        try:
            response = await self.post("auth.getSession", {"token": code.device_code})
            wrong = error_of(response)
            if wrong == NOT_AGREED:
                return None
            if reason := SIGN_INS.get(wrong or 0):
                raise SignInFailed(reason)
            session = inner(answered(response), "session")
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

    async def ask(self, method: str, said: Mapping[str, str], access: Access) -> Json:
        key = {"sk": str(access.tokens.get("sk", ""))}
        return answered(await self.post(method, {**said, **key}))

    async def post(self, method: str, said: Mapping[str, str]) -> httpx.Response:
        """A signed call. Reads go by POST as well: what is secret in them has no place in an address."""
        app = {"method": method, "api_key": self.settings.api_key}
        params = {name: value for name, value in {**said, **app}.items() if value}
        params["api_sig"] = signature(params, self.settings.secret.get_secret_value())
        form = urlencode({**params, "format": "json"}).encode()
        # A fragment is put in as it is, which makes the body a form.
        body = orjson.Fragment(form)
        return await call(self.http, LABEL, "POST", self.settings.api_url, headers=HEADERS, json=body)


def signature(params: Mapping[str, str], secret: str) -> str:
    """Over the parameters in the order of their names as text: `artist[10]` before `artist[1]`."""
    said = "".join(name + params[name] for name in sorted(params) if name not in UNSIGNED)
    return hashlib.md5((said + secret).encode(), usedforsecurity=False).hexdigest()


# What is told


def song(delivery: Delivery) -> Track:
    if not isinstance(delivery.item, Track):
        raise Dead(f"{LABEL} is told of music, not of a {delivery.item.kind}")
    return delivery.item


def named(delivery: Delivery) -> dict[str, str]:
    item = song(delivery)
    artist, title = tidy(item.artist), tidy(item.title)
    if not artist or not title:
        raise Unmatched(f"{LABEL} knows a track by artist and title, and one of them is missing here")
    return {"artist": artist, "track": title}


def described(delivery: Delivery) -> dict[str, str]:
    """The track as its calls take it. Our MusicBrainz id is a track's; theirs is a recording's."""
    item = song(delivery)
    known = {
        "album": tidy(item.album),
        "albumArtist": tidy(item.album_artist),
        "trackNumber": str(item.number or ""),
        "duration": str(round((delivery.duration_ms or 0) / 1000) or ""),
    }
    return {**named(delivery), **{name: value for name, value in known.items() if value}}


def settled(delivery: Delivery) -> Outcome | None:
    """What is known of a mark before it is told, or None."""
    try:
        named(delivery)
        dated_or_skip(delivery, LABEL)
    except Undelivered as decision:
        return decision
    if delivery.duration_ms and timedelta(milliseconds=delivery.duration_ms) <= SHORTEST:
        return Done(answer=TOO_SHORT)
    return None


def stamp(at: datetime) -> str:
    return str(int(at.timestamp()))


def tidy(text: str | None) -> str:
    return (text or "").strip()


# What the answer means


def answered(response: httpx.Response) -> Json:
    """The answer's object. An error in it decides, whatever the status: Last.fm's statuses say nothing."""
    if code := error_of(response):
        raise failed(code, response)
    if response.status_code == 404:
        raise Dead(ELSEWHERE, answer=shown(response))
    body = read(LABEL, accept(LABEL, response))
    if isinstance(body, dict):
        return body
    reason = f"{LABEL} sent an answer of an unknown shape"
    raise Retry(reason, answer=shown(response), after=GATEWAY, unsure=True, suspect=True)


def error_of(response: httpx.Response) -> int | None:
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None
    error = body.get("error") if isinstance(body, dict) else None
    return whole(error.get("code") if isinstance(error, dict) else error) or None


def failed(code: int, response: httpx.Response) -> Undelivered:
    answer, after = shown(response), retry_after(response.headers)
    said = f"{LABEL} answered error {code}"
    if code in PARKS:
        park, words = PARKS[code]
        return Snooze(f"{said}: {words}", answer=answer, park=park)
    if code == SLOWER:
        pause = BUSY if after is None else after
        return Snooze(f"{said}: it asks for a slower pace", answer=answer, after=pause)
    if code in AGAIN:
        return Retry(f"{said}: {AGAIN[code]}", answer=answer, after=after, suspect=code == FAILED)
    if response.status_code >= 500:
        return decide(LABEL, response.status_code, response.headers, answer)
    return Dead(f"{said}: it refused the call", answer=answer)


def counted(body: Json, told: int) -> list[Outcome]:
    """What became of each scrobble."""
    scrobbles = inner(body, "scrobbles")
    found = several(scrobbles.get("scrobble"))
    if len(found) != told:
        reason = f"{LABEL} did not say what became of every scrobble"
        raise Retry(reason, after=GATEWAY, unsure=True, suspect=True)
    outcomes = [outcome(row) for row in found]
    counts = inner(scrobbles, "@attr") or scrobbles
    if whole(counts.get("ignored")) >= told and all(isinstance(known, Done) for known in outcomes):
        return [Dead(f"{LABEL} ignored it without saying why") for _ in found]
    return outcomes


def several(given: Any) -> list[Json]:
    """What Last.fm gives as an object where it is one, and as a list where there are more."""
    return rows(given if isinstance(given, list) else [given])


def scrobbled(row: Json) -> WatchedItem | None:
    """A played track; None for the one that is playing now, which has no date.

    Its MusicBrainz id is the recording's, and ours are tracks' ids: it is left out.
    """
    played_at = whole(inner(row, "date").get("uts"))
    if not played_at or inner(row, "@attr").get("nowplaying") == "true":
        return None
    item = Track(
        title=text(row.get("name")) or None,
        artist=text(row.get("artist")) or None,
        album=text(row.get("album")) or None,
    )
    return WatchedItem(item=item, at=datetime.fromtimestamp(played_at, UTC))


def outcome(row: Json) -> Outcome:
    """What one track's part of an answer means."""
    message = inner(row, "ignoredMessage")
    code = whole(message.get("code"))
    said = text(message) or None
    if code == DAILY_LIMIT:
        # The limit is that of scrobbles: what is loved, and what is playing, goes on.
        return Snooze(IGNORED[code], answer=said, after=TOMORROW, lane=False)
    if code:
        return Dead(IGNORED.get(code, f"{LABEL} ignored it (code {code})"), answer=said)
    theirs = f"{text(row.get('artist'))} – {text(row.get('track'))}"
    corrected = any(whole(inner(row, name).get("corrected")) for name in ("artist", "track"))
    return Done(answer=theirs, note=f"{LABEL} corrected it to {theirs}" if corrected else None)


def text(value: Any) -> str:
    """The text of an element, which stands alone or beside its attributes."""
    said = value.get("#text") if isinstance(value, dict) else value
    return said if isinstance(said, str) else ""


def whole(value: Any) -> int:
    """A number of an answer, which may be text; 0 where it is none."""
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else 0
