"""ListenBrainz: https://listenbrainz.readthedocs.io. Maloja and others speak the same elsewhere.

| call | body |
|---|---|
| `POST /1/submit-listens` | `{"listen_type": "single", "payload": [LISTEN]}`; also `playing_now`, `import` |
| `POST /1/delete-listen` | `{"listened_at": 1795380000, "recording_msid": …}` |
| `POST /1/feedback/recording-feedback` | `{"recording_mbid": …, "score": 1}` |

LISTEN is `{"listened_at": …, "track_metadata": {"artist_name": …, "track_name": …, "additional_info": {…}}}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import Field

from webhook.client import version
from webhook.domain.event import Action, Ids
from webhook.domain.outcome import Dead, Done, Park, Retry, Unmatched
from webhook.domain.retry import UNSURE_PAUSE
from webhook.settings import Address
from webhook.trackers import Access, Delivery, Tokens, WatchedItem
from webhook.trackers import _refusals as refusals
from webhook.trackers._base import Outcome, TrackerSettings, require_date, unwrap
from webhook.trackers._facts import Anime, Cost, Dates, Facts, Rewatches
from webhook.trackers._json import JsonObject, as_int, as_rows, as_text, child, parse_object
from webhook.trackers._music import MusicTracker, ViewingPages, clean_name, track_viewing
from webhook.trackers._pacing import RateLimit
from webhook.trackers._sign_in import PastedToken
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


class Settings(TrackerSettings):
    api_url: Address = Field(
        default="https://api.listenbrainz.org",
        description="Address of ListenBrainz, or of another server like it",
    )


def build(settings: Settings, http: httpx.AsyncClient) -> ListenBrainz:
    return ListenBrainz(settings, http)


class ListenBrainz(PastedToken, MusicTracker):
    """Shows what is playing, keeps what was played; a listen that is sent twice counts once.

    It is not paced: each answer says how many more calls it takes.
    """

    name = "listenbrainz"
    label = LABEL
    facts = Facts(Cost.FREE, Dates.EACH, Rewatches.EACH, Anime.NONE)
    token_page = "https://listenbrainz.org/settings/"
    actions: ClassVar[Mapping[Action, str]] = {**MusicTracker.actions, Action.UNWATCHED: "unmark"}
    batch = 1000
    statuses = {
        401: refusals.park_as(Park.SIGNED_OUT),
        403: refusals.snooze_for(GUARD_REST),
        404: refusals.die_of(WRONG_ADDRESS),
    }

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        super().__init__(http, settings.api_url)
        self.rate_limit = RateLimit(LABEL, "x-ratelimit-remaining", "x-ratelimit-reset-in")

    async def show_current(self, delivery: Delivery, access: Access) -> Done:
        await self.submit([{"track_metadata": self.metadata(delivery)}], access, "playing_now")
        return Done(answer="playing now")

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        return unwrap(*await self.submit([self.payload(delivery)], access, "single"))

    async def submit(
        self, payloads: Sequence[JsonObject], access: Access, kind: str = "import"
    ) -> list[Outcome]:
        body = {"listen_type": kind, "payload": list(payloads)}
        answer = await self.ask_object(access, "POST", "/1/submit-listens", json=body)
        if answer.get("status") != "ok":
            reason = f"{LABEL} did not say that it took the listens"
            raise Retry(reason, after=UNSURE_PAUSE, unsure=True, suspect=True)
        return [Done(answer="listened", remote_id=str(listen.get("listened_at"))) for listen in payloads]

    async def unmark(self, delivery: Delivery, access: Access) -> Done:
        """Deletes the one listen that we made. ListenBrainz finds it by its time and an id that it gave itself."""
        listened_at = as_int(delivery.remote_id)
        if listened_at is None:
            raise Dead(f"Nothing of ours to undo: {LABEL} never got this play")
        msid = await self.find_msid(listened_at, delivery, access)
        if msid is None:
            return Done(answer="it was gone already", remote_id=delivery.remote_id)
        body = {"listened_at": listened_at, "recording_msid": msid}
        await self.ask_object(access, "POST", "/1/delete-listen", json=body)
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

    async def set_love(self, delivery: Delivery, access: Access, *, loved: bool) -> None:
        body = {"recording_mbid": await self.find_recording(delivery, access), "score": int(loved)}
        await self.ask_object(access, "POST", "/1/feedback/recording-feedback", json=body)

    async def find_recording(self, delivery: Delivery, access: Access) -> str:
        """The id of the recording with exactly this artist and title; raises Unmatched if there is none."""
        artist, title = self.artist_and_title(delivery)
        params = {"artist_name": artist, "recording_name": title}
        found = await self.ask_object(access, "GET", "/1/metadata/lookup/", params=params)
        theirs = (found.get("artist_credit_name"), found.get("recording_name"))
        mbid = parse_uuid(found.get("recording_mbid"))
        # The lookup guesses: a result with other names is another recording.
        if mbid is None or [fold_name(name) for name in theirs] != [fold_name(artist), fold_name(title)]:
            raise Unmatched(NO_RECORDING)
        return mbid

    # Payloads

    def payload(self, delivery: Delivery) -> JsonObject:
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

    async def pages(self, name: str, access: Access, since: datetime | None) -> ViewingPages:
        """A page ends somewhere inside a second, so the next one begins with that second again."""
        until, before = None, set[WatchedItem]()
        while True:
            rows = await self.listens(access, name, until, patient=True)
            page = [parse_listen(row) for row in rows]
            new = [viewing for viewing in page if viewing not in before]
            yield new
            oldest = min((row["listened_at"] for row in rows), default=None)
            if oldest is None or (not new and until == oldest) or (since and oldest < since.timestamp()):
                return
            until = oldest + 1 if new else oldest
            before = set(page)

    async def listens(self, access: Access, name: str, until: int | None, **more: Any) -> list[JsonObject]:
        """A page of dated listens, the newest first, of before a second (`until`)."""
        params = {"count": str(LISTENS_PAGE_SIZE)} | ({} if until is None else {"max_ts": str(until)})
        path = f"/1/user/{quote(name, safe='')}/listens"
        payload = child(await self.ask_object(access, "GET", path, params=params, **more), "payload")
        if not isinstance(payload.get("listens"), list):
            raise Retry(f"{LABEL} sent an answer of an unknown shape", after=UNSURE_PAUSE)
        return [row for row in as_rows(payload["listens"]) if isinstance(row.get("listened_at"), int)]

    # The sign-in

    async def validate(self, tokens: Tokens) -> str | None:
        """The user's name; None if the token is invalid."""
        answer = self.accept_object(await self.call("GET", "/1/validate-token", tokens=tokens))
        return str(answer.get("user_name") or "?") if answer.get("valid") is True else None

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        return {"Authorization": f"Token {tokens.get('token', '')}"}

    def error_words(self, response: httpx.Response) -> str:
        return as_text(parse_object(response).get("error")) or "it does not say why"


def parse_listen(row: JsonObject) -> WatchedItem:
    """A listen. The MusicBrainz id of the track on its release is as ours are; the recording's is another."""
    metadata = child(row, "track_metadata")
    details = child(metadata, "additional_info")
    at, number = row["listened_at"], as_int(details.get("tracknumber"))
    title, artist, album = (metadata.get(name) for name in ("track_name", "artist_name", "release_name"))
    ids = Ids(musicbrainz=parse_uuid(details.get("track_mbid")))
    return track_viewing(at, title, artist, album, number=number, ids=ids, remote_id=str(at))


def fold_name(name: Any) -> str:
    return " ".join(str(name or "").casefold().split())


def parse_uuid(value: Any) -> str | None:
    """An id in its one spelling, or None where it is none."""
    try:
        return str(UUID(str(value)))
    except ValueError:
        return None
