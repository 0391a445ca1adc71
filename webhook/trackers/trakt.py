"""Trakt: https://docs.trakt.tv, sign-in at https://auth.trakt.tv."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from webhook.event import Action, Episode, Ids, Item, Kind, Movie, Season, Show
from webhook.outcome import Dead, Done, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.remote import accept, call, read, shown
from webhook.retry import GATEWAY, retry_after
from webhook.settings import Address
from webhook.trackers import Access, Delivery, DeviceCode, Held, SignIn, SignInFailed, Tokens
from webhook.trackers._shared import Json, counted, inner, inner_json, moment, recent

log = logging.getLogger(__name__)

Verb = Literal["start", "pause", "stop"]

LABEL = "Trakt"
FOR = "Shows what you are watching now, and keeps films and episodes with the time you watched them."
SETUP: tuple[str, ...] = (
    "Since 30 July 2026 only VIP members can make an API app at Trakt, and the apps of free accounts were deleted. Without VIP: Simkl keeps the same, and is free.",
    "As a VIP member open https://app.trakt.tv/settings/apps/api and make a new app; any name will do.",
    "As its redirect URI enter urn:ietf:wg:oauth:2.0:oob",
    "Copy the app's client id and client secret into the fields below, and save.",
    "Then sign in: a code appears here, to be typed in at Trakt. A free account can be connected to one app only (VIP: 50); signing in here may sign another app out.",
)
NAMESPACES = ("trakt", "tvdb", "tmdb", "imdb")
"""The ids Trakt and we both know; the first that Trakt knows decides."""

ACCEPTED: Mapping[Kind, tuple[str, ...]] = {
    Kind.MOVIE: ("trakt", "tmdb", "imdb"),  # a film's TVDB id means nothing to Trakt
    Kind.SHOW: NAMESPACES,
    Kind.SEASON: ("trakt", "tvdb", "tmdb"),
    Kind.EPISODE: NAMESPACES,
}
PAUSED = (1.0, 79.9)
"""Below 1 Trakt refuses, from 80 on it counts as watched: a pause is told within these."""

MARKED = 80.1
"""The least progress that marks; exactly 80 is read both ways."""

FINISHED = 90.0
"""What a mark without known progress is told as."""

REFUSES_PAUSE = frozenset({404, 405, 422})
BEFORE = AFTER = timedelta(minutes=15)
"""How far from the time of a play one that is there already counts as the same."""

CLOSE = timedelta(minutes=1)
"""How far from its time a play of ours may lie."""

PAGE, LARGEST_PAGE = 100, 250
LIFE = timedelta(days=7)
HOUR = timedelta(hours=1)
SLOWEST = timedelta(seconds=30)
REDIRECT = "urn:ietf:wg:oauth:2.0:oob"
GONE = "it was gone already"
UNCOUNTED = ("start", "pause")
BURNT = (
    "Trakt's answer to the renewal of the sign-in was lost, and the refresh token works only once: "
    "it may be used up, then a new sign-in is needed"
)
APP_GONE = "Trakt does not accept the API app: check its client id and secret, and that it still exists"
POLLS: Mapping[int, str] = {
    401: APP_GONE,
    403: APP_GONE,
    404: "Trakt does not know this code; start again",
    409: "this code was used already; start again",
    410: "the code has expired; start again",
    418: "the sign-in was refused at Trakt",
}


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    client_id: str = Field(description="Client id of your API app at Trakt (making one needs VIP)")
    client_secret: SecretStr = Field(description="Client secret of the same app")
    api_url: Address = Field(default="https://api.trakt.tv", description="Where Trakt's API is")
    auth_url: Address = Field(default="https://auth.trakt.tv", description="Where Trakt's sign-in is")
    writes_per_second: float = Field(
        default=1.0, ge=0, description="Most writes a second per account; 0 is no pacing"
    )
    pause: Literal["pause", "stop"] = Field(
        default="pause", description="The call that tells a pause: pause or stop"
    )


def build(settings: Settings, http: httpx.AsyncClient) -> Trakt:
    return Trakt(settings, http)


class Trakt:
    """Scrobbles live; what is late goes into the history with its date."""

    name = "trakt"
    label = LABEL
    sign_in: SignIn = "device"
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE, Kind.SHOW, Kind.SEASON})
    one_mark = False
    tells = frozenset(
        {
            Action.START,
            Action.PAUSE,
            Action.STOP,
            Action.WATCHED,
            Action.UNWATCHED,
            Action.RATE,
            Action.UNRATE,
            Action.ADD,
        }
    )
    needs: Mapping[Kind, tuple[str, ...]] = {}  # Trakt resolves ids and titles itself
    batch = 50  # no maximum is documented; what is not found among them is told by itself, a second each

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self.settings = settings
        self.http = http
        self.api = settings.api_url.rstrip("/")
        self.auth = settings.auth_url.rstrip("/")
        self.host = httpx.URL(self.api).netloc.decode()
        self.writes_per_second = settings.writes_per_second
        self.pauses_by: Verb = settings.pause

    async def send(self, delivery: Delivery, access: Access) -> Done:
        tell = {
            Action.START: self.start,
            Action.PAUSE: self.pause,
            Action.STOP: self.mark if delivery.mark else self.stop,
            Action.WATCHED: self.mark,
            Action.UNWATCHED: self.unmark,
            Action.RATE: self.rate,
            Action.UNRATE: self.unrate,
            Action.ADD: self.add,
        }.get(delivery.action)
        if tell is None:
            raise Dead(f"{LABEL} has no call for {delivery.action}")
        try:
            return await tell(delivery, access)
        except Retry as error:
            error.unsure |= delivery.unsure  # a failed look leaves it as open as it was
            raise

    # What is on now

    async def start(self, delivery: Delivery, access: Access) -> Done:
        progress = round(min(max(delivery.progress or 0.0, 0.0), 100.0), 2)
        return told("start", delivery.item, await self.scrobble("start", delivery, progress, access))

    async def pause(self, delivery: Delivery, access: Access) -> Done:
        """By `/scrobble/pause`; where Trakt refuses that, by `/scrobble/stop`, from then on."""
        if self.pauses_by == "stop":
            return await self.stop(delivery, access)
        response = await self.scrobble("pause", delivery, paused(delivery), access)
        if response.status_code not in REFUSES_PAUSE:
            return told("pause", delivery.item, response)
        done = await self.stop(delivery, access)
        self.pauses_by = "stop"
        log.info("Trakt refuses pauses; they go out as stops", extra={"action": "pause_refused"})
        return done

    async def stop(self, delivery: Delivery, access: Access) -> Done:
        """A stop below the watched mark, which Trakt keeps as a pause."""
        return told("pause", delivery.item, await self.scrobble("stop", delivery, paused(delivery), access))

    # The watched mark

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        single(delivery.item)
        if delivery.late or delivery.unsure:
            there = await self.look(delivery, access, AFTER)
            if there is not None:
                return already(there, ours=delivery.unsure)
        if delivery.late:
            return await self.remember(delivery, access)
        response = await self.scrobble("stop", delivery, marked(delivery.progress), access)
        return told("scrobble", delivery.item, response)

    async def remember(self, delivery: Delivery, access: Access) -> Done:
        """The play put into the history under its own date, and its id read back."""
        watched_at = iso(delivery.at)
        done = await self.sync("/sync/history", delivery.item, {"watched_at": watched_at}, access)
        handle = await self.handle(delivery, access)
        return Done(answer=f"{done.answer}, watched at {watched_at}", remote_id=handle)

    async def handle(self, delivery: Delivery, access: Access) -> str:
        """The id of the play just made, which Trakt does not say; not worth failing for: its time will do."""
        try:
            row = await self.look(delivery, access, CLOSE, CLOSE)
        except Undelivered:
            row = None
        return (row and remote(row.get("id"))) or iso(delivery.at)

    async def look(
        self, delivery: Delivery, access: Access, after: timedelta, before: timedelta | None = None
    ) -> Json | None:
        """The play of this item in Trakt's history that is nearest to when it happened, or None."""
        before = reach(delivery) if before is None else before
        window = {"start_at": iso(delivery.at - before), "end_at": iso(delivery.at + after)}
        rows = await self.history(f"/sync/history/{delivery.item.kind}s", window, access)
        plays = [row for row in rows if same(delivery.item, row)]
        return min(plays, key=lambda row: distance(row, delivery.at), default=None)

    async def history(self, path: str, window: Mapping[str, str], access: Access) -> list[Json]:
        return [row async for rows in self.pages(path, window, access, PAGE) for row in rows]

    async def pages(
        self, path: str, asked: Mapping[str, str], access: Access, limit: int
    ) -> AsyncIterator[list[Json]]:
        """Page after page, without what the page before had: new plays move the older ones on.

        How many pages there are is in a header, a short page means nothing; without the header, one
        that brings nothing new is the last.
        """
        before: set[Any] = set()
        for page in itertools.count(1):
            params = {**asked, "page": str(page), "limit": str(limit)}
            response = accept(LABEL, await self.ask(access, "GET", path, params=params))
            rows = listed(response)
            if new := [row for row in rows if row.get("id") not in before]:
                yield new
            count = response.headers.get("x-pagination-page-count")
            if page >= whole(count) if count else not new:
                return
            before = {row.get("id") for row in rows}

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Done | Undelivered]:
        """Late marks in one call, each under its own date, after one look at what is there already."""
        rows: Sequence[Json] = await self.around(deliveries, access)
        there = {delivery.id: nearest(delivery, rows) for delivery in deliveries}
        wanted = {delivery.id: dated(delivery) for delivery in deliveries if there[delivery.id] is None}
        entries = [entry for entry in wanted.values() if not isinstance(entry, Undelivered)]
        taken = False
        if entries:
            response = await self.ask(access, "POST", "/sync/history", json=gathered(entries))
            body = shaped(accept(LABEL, response), "added")
            taken = counted(body, "added") >= len(entries) and not missing(body)
            rows = await self.reread(deliveries, access, taken=taken)
        return [await self.became(delivery, there, wanted, rows, access, taken) for delivery in deliveries]

    async def reread(self, deliveries: Sequence[Delivery], access: Access, *, taken: bool) -> Sequence[Json]:
        """The history with what was just put into it; where all was taken it may as well stay unread."""
        try:
            return await self.around(deliveries, access)
        except Undelivered as decision:
            if taken:
                return ()
            after = decision.after if isinstance(decision, Retry | Snooze) else None
            reason = f"Not all were found, and which cannot be read: {decision.reason}"
            raise Retry(reason, answer=decision.answer, after=after, unsure=True) from decision

    async def became(
        self,
        delivery: Delivery,
        there: Mapping[int, Json | None],
        wanted: Mapping[int, Json | Undelivered],
        rows: Sequence[Json],
        access: Access,
        taken: bool,
    ) -> Done | Undelivered:
        """What became of one of many: what Trakt did not find is told by itself, in its other forms."""
        if (before := there[delivery.id]) is not None:
            return already(before, ours=delivery.unsure)
        refused = wanted[delivery.id]
        if isinstance(refused, Undelivered):
            return refused
        made = nearest(delivery, rows)
        if made is not None or taken:
            at = iso(delivery.at)
            return Done(answer=f"added, watched at {at}", remote_id=remote((made or {}).get("id")) or at)
        try:
            return await self.send(delivery, access)
        except (Retry, Snooze) as decision:
            return Retry(
                decision.reason, answer=decision.answer, after=decision.after, lane=False, unsure=True
            )
        except Undelivered as decision:
            return decision

    async def around(self, deliveries: Sequence[Delivery], access: Access) -> list[Json]:
        """The history over the time in which these deliveries happened."""
        begins = min(delivery.at for delivery in deliveries) - BEFORE
        ends = max(delivery.at for delivery in deliveries) + AFTER
        return await self.history("/sync/history", {"start_at": iso(begins), "end_at": iso(ends)}, access)

    async def unmark(self, delivery: Delivery, access: Access) -> Done:
        """Takes away the one play that we made, by its id, never others of the same item."""
        number = whole(delivery.remote_id) or await self.dated_id(delivery, access)
        if not number:
            return Done(answer=GONE, remote_id=delivery.remote_id)
        response = await self.ask(access, "POST", "/sync/history/remove", json={"ids": [number]})
        deleted = counted(shaped(accept(LABEL, response), "deleted"), "deleted")
        return Done(answer="removed" if deleted else GONE, remote_id=delivery.remote_id)

    async def dated_id(self, delivery: Delivery, access: Access) -> int:
        """The id of a play of ours of which only the time is known; 0 where it is there no more."""
        at = moment(delivery.remote_id)
        if at is None:
            raise Dead("Nothing of ours to undo: Trakt had this play already, or gave no id for it")
        row = await self.look(replace(delivery, at=at), access, CLOSE, CLOSE)
        return 0 if row is None else whole(row.get("id"))

    # What the account holds

    async def held(self, access: Access, since: datetime | None = None) -> AsyncIterator[Held]:
        """The history, the newest play first."""
        asked = {} if since is None else {"start_at": iso(since)}
        async for rows in self.pages("/sync/history", asked, access, LARGEST_PAGE):
            for row in rows:
                viewing = held(row)
                if viewing is not None and recent(viewing.at, since):
                    yield viewing

    # Ratings and the collection

    async def rate(self, delivery: Delivery, access: Access) -> Done:
        if delivery.rating is None or not 1 <= delivery.rating <= 10:
            raise Dead(f"{LABEL} takes ratings from 1 to 10, not {delivery.rating}")
        said = {"rating": delivery.rating, "rated_at": iso(delivery.at)}
        return await self.sync("/sync/ratings", delivery.item, said, access)

    async def unrate(self, delivery: Delivery, access: Access) -> Done:
        return await self.sync("/sync/ratings/remove", delivery.item, {}, access, gives="deleted")

    async def add(self, delivery: Delivery, access: Access) -> Done:
        said = {"collected_at": iso(delivery.at)}
        return await self.sync("/sync/collection", delivery.item, said, access)

    # Calls

    async def scrobble(
        self, verb: Verb, delivery: Delivery, progress: float, access: Access
    ) -> httpx.Response:
        """The answer to the first form of the item that Trakt knows, else its last 404."""
        single(delivery.item)
        for form in forms(delivery.item):
            response = await self.ask(
                access, "POST", f"/scrobble/{verb}", json={"progress": progress, **form}
            )
            if response.status_code != 404:
                break
        return response

    async def sync(self, path: str, item: Item, said: Json, access: Access, *, gives: str = "added") -> Done:
        """One thing said of one item, in the first form of it that Trakt finds."""
        for form in forms(item):
            response = accept(LABEL, await self.ask(access, "POST", path, json=entry(form, said)))
            body = shaped(response, gives)
            if counted(body, gives):
                return Done(answer=gives)
            if counted(body, "existing") or counted(body, "updated"):
                return Done(answer="already there")
            if gives == "deleted" and not missing(body):
                return Done(answer=GONE)
        raise Unmatched(f"{LABEL} does not know this {item.kind}", answer=shown(response))

    async def ask(
        self,
        access: Access,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> httpx.Response:
        """One call as the account; where its sign-in is not accepted, once more with a renewed one."""
        tokens = access.tokens
        response = await self.call(tokens, method, path, params, json)
        if response.status_code != 401:
            return response
        return await self.call(await access.renew(tokens), method, path, params, json)

    async def call(
        self, tokens: Tokens, method: str, path: str, params: Mapping[str, str] | None, json: Any
    ) -> httpx.Response:
        headers = {
            **plain_headers(),
            "trakt-api-version": "2",
            "trakt-api-key": self.settings.client_id,
            "Authorization": f"Bearer {tokens.get('access_token', '')}",
        }
        return await call(
            self.http, LABEL, method, self.api + path, headers=headers, params=params, json=json
        )

    async def oauth(self, path: str, **said: str) -> httpx.Response:
        app = {"client_id": self.settings.client_id}
        if said:  # only the first call of a device sign-in goes without the secret
            app["client_secret"] = self.settings.client_secret.get_secret_value()
        return await call(
            self.http, LABEL, "POST", self.auth + path, headers=plain_headers(), json={**said, **app}
        )

    # The sign-in

    async def check(self, access: Access) -> str:
        body = shaped(accept(LABEL, await self.ask(access, "GET", "/users/settings")), "user")
        user = body["user"]
        return str(inner(user, "ids").get("slug") or user.get("username") or "?")

    async def begin(self) -> DeviceCode:
        try:
            response = await self.oauth("/oauth/device/code")
            if response.status_code in (400, 401, 403):
                raise SignInFailed(APP_GONE)
            return device_code(response)
        except Undelivered as error:
            raise SignInFailed(error.reason) from error

    async def poll(self, code: DeviceCode) -> Tokens | None:
        """As the protocol says; where Trakt asks for a slower pace, it returns that much later."""
        try:
            response = await self.oauth("/oauth/device/token", code=code.device_code)
        except Retry:
            return None  # the code outlives a hiccup
        if response.is_success:
            return first_tokens(response)
        if response.status_code == 429:
            await asyncio.sleep(min(retry_after(response.headers) or code.interval, SLOWEST).total_seconds())
        if reason := POLLS.get(response.status_code):
            raise SignInFailed(reason)
        return None

    def stale(self, tokens: Tokens, now: datetime) -> bool:
        """Whether less than a tenth of the tokens' life is left, or less than an hour."""
        life = timedelta(seconds=tokens.get("expires_in", LIFE.total_seconds()))
        ends = datetime.fromtimestamp(tokens.get("created_at", 0), UTC) + life
        return ends - now < max(life / 10, HOUR)

    async def refresh(self, tokens: Tokens) -> Tokens:
        """A new pair. The old one dies with the call, so a lost answer may cost the sign-in."""
        said = {"grant_type": "refresh_token", "redirect_uri": REDIRECT}
        try:
            response = await self.oauth("/oauth/token", refresh_token=tokens.get("refresh_token", ""), **said)
            if response.status_code in (400, 401):
                raise refused(response)
            return pair(accept(LABEL, response))
        except Retry as error:
            if not error.unsure:
                raise
            raise Retry(BURNT, answer=error.answer, after=error.after, unsure=True) from error
        except (Unmatched, Dead) as error:  # words for a delivery; here it is the sign-in's address
            raise Retry(f"Renewing the sign-in: {error.reason}", answer=error.answer) from error

    async def revoke(self, tokens: Tokens) -> None:
        accept(LABEL, await self.oauth("/oauth/revoke", token=tokens.get("access_token", "")))


# How an item is named


def forms(item: Item) -> list[Json]:
    """The item in every way that Trakt may know it by, the surest first. Raises Unmatched if in none."""
    found = list(FORMS[item.kind](item)) if item.kind in FORMS else []
    if found:
        return found
    if isinstance(item, Episode) and item.numbering != "aired":
        raise Unmatched(
            "The numbers of this episode follow a mapping list and not the aired order, and it has no id of "
            "its own that Trakt knows"
        )
    raise Unmatched(f"No id or title by which {LABEL} could find this {item.kind}")


def dated(delivery: Delivery) -> Json | Undelivered:
    """A mark as `/sync/history` takes it, or why it cannot be said."""
    try:
        single(delivery.item)
        return entry(forms(delivery.item)[0], {"watched_at": iso(delivery.at)})
    except Undelivered as decision:
        return decision


def gathered(entries: Sequence[Json]) -> Json:
    """Many sync bodies as one."""
    groups: dict[str, list[Json]] = {}
    for body in entries:
        for name, items in body.items():
            groups.setdefault(name, []).extend(items)
    return groups


def nearest(delivery: Delivery, rows: Sequence[Json]) -> Json | None:
    """The history row of this viewing: of its item, at its time."""
    early, late = reach(delivery), AFTER
    plays = [row for row in rows if same(delivery.item, row) and between(row, delivery.at, early, late)]
    return min(plays, key=lambda row: distance(row, delivery.at), default=None)


def between(row: Json, at: datetime, early: timedelta, late: timedelta) -> bool:
    watched_at = moment(row.get("watched_at"))
    return watched_at is not None and at - early <= watched_at <= at + late


def single(item: Item) -> None:
    """Raises Dead unless it is one thing to watch: a show would mark every episode it has."""
    if not isinstance(item, Movie | Episode):
        raise Dead(f"{LABEL} is told of films and episodes being watched, not of a {item.kind}")


def movie_forms(item: Movie) -> Iterator[Json]:
    if ids := accepted(Kind.MOVIE, item.ids):
        yield {"movie": {"ids": ids}}
    if item.title and item.year:
        yield {"movie": {"title": item.title, "year": item.year}}


def show_forms(item: Show) -> Iterator[Json]:
    if ids := accepted(Kind.SHOW, item.ids):
        yield {"show": {"ids": ids}}
    if item.title and item.year:
        yield {"show": {"title": item.title, "year": item.year}}


def season_forms(item: Season) -> Iterator[Json]:
    if ids := accepted(Kind.SEASON, item.ids):
        yield {"season": {"ids": ids}}
    if item.season is not None:
        for show in parents(item):
            yield {"show": show, "season": {"number": item.season}}


def episode_forms(item: Episode) -> Iterator[Json]:
    if ids := accepted(Kind.EPISODE, item.ids):
        yield {"episode": {"ids": ids}}
    if item.numbering == "aired" and item.season is not None and item.number is not None:
        for show in parents(item):
            yield {"show": show, "episode": {"season": item.season, "number": item.number}}


def parents(item: Episode | Season) -> Iterator[Json]:
    """The show by its ids, by title and year, by title: the year may be the episode's, not the show's."""
    if ids := accepted(Kind.SHOW, item.show_ids):
        yield {"ids": ids}
    if item.show and item.year:
        yield {"title": item.show, "year": item.year}
    if item.show:
        yield {"title": item.show}


FORMS: Mapping[Kind, Callable[[Any], Iterator[Json]]] = {
    Kind.MOVIE: movie_forms,
    Kind.SHOW: show_forms,
    Kind.SEASON: season_forms,
    Kind.EPISODE: episode_forms,
}


def accepted(kind: Kind, ids: Ids) -> Json:
    known = ids.known()
    return {name: known[name] for name in ACCEPTED[kind] if name in known}


def entry(form: Json, said: Json) -> Json:
    """A sync call's body: the item of this form, and what is said of it at the innermost place."""
    show, season, episode = form.get("show"), form.get("season"), form.get("episode")
    if show is None:
        (kind, item), *_ = form.items()
        return {f"{kind}s": [{**item, **said}]}
    if episode is not None:
        numbered = {"number": episode["number"], **said}
        return {"shows": [{**show, "seasons": [{"number": episode["season"], "episodes": [numbered]}]}]}
    if season is not None:
        return {"shows": [{**show, "seasons": [{**season, **said}]}]}
    return {"shows": [{**show, **said}]}


# How progress is told


def paused(delivery: Delivery) -> float:
    if delivery.progress is None:
        raise Dead("How far it was is not known, so there is nothing to tell")
    low, high = PAUSED
    return round(min(max(delivery.progress, low), high), 2)


def marked(progress: float | None) -> float:
    return round(min(max(progress or FINISHED, MARKED), 100.0), 2)


# What the answer means


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """An item as Trakt describes it in an answer or a history row."""

    ids: Ids
    show_ids: Ids
    title: str | None
    show: str | None
    season: int | None
    number: int | None
    year: int | None

    def __str__(self) -> str:
        if self.show is None:
            return f"{self.title} ({self.year})" if self.year else str(self.title)
        number = "" if self.season is None or self.number is None else f" {self.season}x{self.number:02}"
        return f"{self.show}{number} {self.title or ''}".strip()


def known(row: Json) -> Known:
    item = inner(row, "movie") or inner(row, "episode")
    show = inner(row, "show")
    return Known(
        ids=their_ids(item),
        show_ids=their_ids(show),
        title=text(item.get("title")),
        show=text(show.get("title")),
        season=number(item.get("season")),
        number=number(item.get("number")),
        year=number(item.get("year")),
    )


def held(row: Json) -> Held | None:
    """A row of the history; None where it is neither of a film nor of an episode."""
    theirs = known(row)
    item: Item
    if inner(row, "movie"):
        item = Movie(title=theirs.title, year=theirs.year, ids=theirs.ids)
    elif inner(row, "episode"):
        item = Episode(
            title=theirs.title,
            show=theirs.show,
            season=theirs.season,
            number=theirs.number,
            year=number(inner(row, "show").get("year")),
            ids=theirs.ids,
            show_ids=theirs.show_ids,
        )
    else:
        return None
    return Held(item=item, at=moment(row.get("watched_at")), remote_id=remote(row.get("id")))


def told(wanted: str, item: Item, response: httpx.Response) -> Done:
    """What an answer to a scrobble call comes to; `wanted` is the action that it should name."""
    if response.status_code == 409:
        return already(inner_json(response))
    body = shaped(accept(LABEL, response))
    action = body.get("action")
    if not isinstance(action, str):
        raise Retry(
            f"{LABEL}'s answer does not say what it did", answer=shown(response), after=GATEWAY, unsure=True
        )
    if wanted == "scrobble" and action in UNCOUNTED:
        raise Dead(f"{LABEL} did not count it as watched, but as {action}", answer=shown(response))
    theirs = known(body)
    note = other(item, theirs)
    if action == "scrobble" != wanted:
        note = f"{LABEL} counted it as watched"
    return Done(answer=f"{action}: {theirs}", remote_id=remote(body.get("id")), note=note)


def already(there: Json, *, ours: bool = False) -> Done:
    """A play that was there before. Only one of ours has a handle: nobody else's is ever taken back."""
    watched_at = there.get("watched_at")
    at = f", watched at {watched_at}" if watched_at else ""
    return Done(answer=f"already there{at}", remote_id=remote(there.get("id")) if ours else None)


def other(item: Item, theirs: Known) -> str | None:
    """The note for a person, where Trakt's item is not the one that was meant."""
    wrong = ours(item.ids).contradicts(theirs.ids)
    if isinstance(item, Episode):
        wrong |= ours(item.show_ids).contradicts(theirs.show_ids)
        # Where an own id agrees, other numbers only mean that Trakt counts in another order.
        wrong |= not agree(item.ids, theirs.ids) and elsewhere(item, theirs)
    return f"{LABEL} matched it to a different item: {theirs}" if wrong else None


def elsewhere(item: Episode, theirs: Known) -> bool:
    """Whether season or number contradict."""
    pairs = ((item.season, theirs.season), (item.number, theirs.number))
    return item.numbering == "aired" and any(None not in both and both[0] != both[1] for both in pairs)


def same(item: Item, row: Json) -> bool:
    """Whether a history row is of this item: by id, else by its place in the show, or title and year."""
    theirs = known(row)
    by_id = agree(item.ids, theirs.ids)
    if by_id is not None:
        return by_id
    if isinstance(item, Episode):
        placed = item.numbering == "aired" and (item.season, item.number) == (theirs.season, theirs.number)
        by_show = agree(item.show_ids, theirs.show_ids)
        return placed and (alike(item.show, theirs.show) if by_show is None else by_show)
    return isinstance(item, Movie) and alike(item.title, theirs.title) and item.year == theirs.year


def agree(mine: Ids, theirs: Ids) -> bool | None:
    """Whether some id known to both is the same; None where nothing can be compared."""
    here, there = ours(mine).known(), theirs.known()
    common = here.keys() & there.keys()
    return any(here[name] == there[name] for name in common) if common else None


def ours(ids: Ids) -> Ids:
    """Of our ids those that Trakt knows too; its slugs are its own."""
    return Ids.from_json({name: value for name, value in ids.known().items() if name in NAMESPACES})


def their_ids(item: Json) -> Ids:
    """An answer's ids; null and "" are none."""
    given = inner(item, "ids")
    numbers = {name: whole(given.get(name)) or None for name in ("trakt", "tvdb", "tmdb")}
    return Ids.from_json({**numbers, "imdb": text(given.get("imdb"))})


def alike(mine: str | None, theirs: str | None) -> bool:
    return bool(mine and theirs) and str(mine).casefold() == str(theirs).casefold()


def reach(delivery: Delivery) -> timedelta:
    """How far back the same play can be: less than the item lasts, or it was an earlier viewing."""
    if not delivery.duration_ms:
        return BEFORE
    return min(BEFORE, timedelta(milliseconds=delivery.duration_ms) * 0.8)


def distance(row: Json, at: datetime) -> timedelta:
    watched_at = moment(row.get("watched_at"))
    return timedelta.max if watched_at is None else abs(watched_at - at)


# How answers are read


def shaped(response: httpx.Response, *names: str) -> Json:
    """The object in the answer, with these objects in it. Raises Retry (unsure) on any other shape."""
    body = read(LABEL, response)
    if isinstance(body, dict) and all(isinstance(body.get(name), dict) for name in names):
        return body
    raise Retry(
        f"{LABEL} sent an answer of an unknown shape", answer=shown(response), after=GATEWAY, unsure=True
    )


def listed(response: httpx.Response) -> list[Json]:
    body = read(LABEL, response)
    if isinstance(body, list) and all(isinstance(row, dict) for row in body):
        return body
    raise Retry(f"{LABEL} sent an answer of an unknown shape", answer=shown(response), after=GATEWAY)


def missing(body: Json) -> bool:
    return any(inner(body, "not_found").values())


def whole(value: Any) -> int:
    """A number of an answer, which may be text; 0 where it is none. Ids go beyond what a float holds."""
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else 0


def number(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def remote(value: Any) -> str | None:
    """A history id as a handle; 0 is none."""
    return str(whole(value)) if whole(value) else None


# Tokens


def refused(response: httpx.Response) -> Snooze:
    """Why tokens were not renewed: the app is gone, or the sign-in is."""
    if inner_json(response).get("error") == "invalid_client":
        return Snooze(APP_GONE, answer=shown(response), park=Park.APP_DELETED)
    return Snooze(f"{LABEL} no longer accepts this sign-in", answer=shown(response), park=Park.SIGNED_OUT)


def pair(response: httpx.Response) -> Tokens:
    """The token object; raises Retry (unsure) where it is none."""
    body = inner_json(response)
    if not all(text(body.get(name)) for name in ("access_token", "refresh_token")):
        # What came instead may be half a sign-in, so it is not shown.
        raise Retry(f"{LABEL} sent no tokens", after=GATEWAY, unsure=True)
    now = int(datetime.now(UTC).timestamp())
    times = {"created_at": now, "expires_in": int(LIFE.total_seconds())}
    return {**body, **{name: whole(body.get(name)) or default for name, default in times.items()}}


def first_tokens(response: httpx.Response) -> Tokens:
    try:
        return pair(response)
    except Retry as error:
        raise SignInFailed(f"{error.reason}; start again") from None


def device_code(response: httpx.Response) -> DeviceCode:
    body = shaped(accept(LABEL, response))
    code, user_code, url = (text(body.get(name)) for name in ("device_code", "user_code", "verification_url"))
    if not (code and user_code and url):
        raise SignInFailed(f"{LABEL} sent no code to sign in with")
    return DeviceCode(
        user_code=user_code,
        url=url,
        interval=timedelta(seconds=whole(body.get("interval")) or 5),
        expires_in=timedelta(seconds=whole(body.get("expires_in")) or 600),
        device_code=code,
    )


# Wire


def plain_headers() -> dict[str, str]:
    return {"Content-Type": "application/json", "User-Agent": USER_AGENT}


def version() -> str:
    try:
        return metadata.version("watchmark")
    except metadata.PackageNotFoundError:
        return "0"


USER_AGENT = f"Watchmark/{version()} (+https://github.com/watchmark/watchmark)"


def iso(at: datetime) -> str:
    """In UTC, with milliseconds and a Z: Trakt's contract takes no offsets."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
