"""Simkl: https://api.simkl.org and https://simkl.docs.apiary.io, apps at https://simkl.com/settings/developer/."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, Field

from webhook.event import Action, Episode, Ids, Item, Kind, Movie, Show
from webhook.outcome import Dead, Done, Retry, Snooze, Undelivered, Unmatched
from webhook.remote import USER_AGENT, accept, call, read, shown, version
from webhook.retry import GATEWAY, retry_after, word
from webhook.settings import Address
from webhook.trackers import Access, Delivery, DeviceCode, Held, SignIn, SignInFailed, Tokens
from webhook.trackers._shared import Json, counted, inner, inner_json, moment, recent, rows, streamed

Verb = Literal["start", "pause", "stop"]

LABEL = "Simkl"
FOR = "Shows what you are watching now, and keeps films, episodes and anime with the time you watched them. Free."
SETUP: tuple[str, ...] = (
    "Open https://simkl.com/settings/developer/ and make an app. It is free, and nobody has to approve it.",
    "Copy the app's client id into the field below, and save. There is no secret to copy.",
    "Then sign in: a code appears here, to be typed in at https://simkl.com/pin",
)
NAMESPACES: Mapping[Kind, tuple[str, ...]] = {
    Kind.MOVIE: ("simkl", "imdb", "tmdb"),  # a film's TVDB id could be read as a show's
    Kind.SHOW: ("simkl", "tvdb", "tmdb", "imdb"),
    Kind.EPISODE: ("simkl", "tvdb"),  # by which /sync/history finds an episode without its show
}
ANIME = ("anidb", "mal")
"""Ids of one season of an anime, inside which episodes are counted from 1."""

COMPARED = ("simkl", "imdb", "tmdb", "tvdb")
KINDS = ("movie", "show", "anime")

BELOW = 79.9
MARKED = 80.1
"""The least progress that marks; exactly 80 does too, but for how it may be rounded."""

FINISHED = 90.0
"""What a mark without known progress is told as."""

BUSY = timedelta(seconds=3)
"""Simkl works on one scrobble of a person at a time; another one is in hand for seconds."""

LISTS: Mapping[str, str] = {"movies": "full", "shows": "full", "anime": "full_anime_seasons"}
"""What an account holds comes in three lists, each in one answer; this is how each is asked for with its episodes."""

FIRST_REST = timedelta(seconds=1)
"""The first rest on a 429: Simkl does not say how long to wait, and asks for 1, 2, 4 and so on up to 60 seconds."""

HOUR = timedelta(hours=1)
SLOWEST = timedelta(seconds=30)
OURS = "by item"
"""The handle of a mark of ours that Simkl gave no id for. It keeps one play per item, so the item says which."""

APP_REFUSED = (
    "Simkl does not accept the client id: it is wrong, or the app's limit of calls is used up; "
    "look at https://simkl.com/settings/developer/"
)
OTHER_NUMBERS = (
    "The numbers of this episode follow a mapping list and not the aired order, and it has no id of its own "
    "that Simkl knows"
)


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    client_id: str = Field(description="Client id of your API app at Simkl (free, without approval)")
    api_url: Address = Field(default="https://api.simkl.com", description="Where Simkl's API is")
    writes_per_second: float = Field(
        default=1.0, ge=0, description="Most writes a second per account; 0 is no pacing"
    )


def build(settings: Settings, http: httpx.AsyncClient) -> Simkl:
    return Simkl(settings, http)


class Simkl:
    """Scrobbles live; what is late goes into the history with its date, a hundred at a time."""

    name = "simkl"
    label = LABEL
    sign_in: SignIn = "device"
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE, Kind.SHOW})  # a show is only ever rated
    one_mark = True
    undated = True
    tells = frozenset(
        {
            Action.START,
            Action.PAUSE,
            Action.STOP,
            Action.WATCHED,
            Action.UNWATCHED,
            Action.RATE,
            Action.UNRATE,
        }
    )
    needs: Mapping[Kind, tuple[str, ...]] = {}  # Simkl resolves ids and titles itself
    batch = 100

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self.settings = settings
        self.http = http
        self.api = settings.api_url.rstrip("/")
        self.host = httpx.URL(self.api).netloc.decode()
        self.writes_per_second = settings.writes_per_second

    async def send(self, delivery: Delivery, access: Access) -> Done:
        tell = {
            Action.START: self.start,
            Action.PAUSE: self.pause,
            Action.STOP: self.mark if delivery.mark else self.pause_by_stop,
            Action.WATCHED: self.mark,
            Action.UNWATCHED: self.unmark,
            Action.RATE: self.rate,
            Action.UNRATE: self.unrate,
        }.get(delivery.action)
        if tell is None:
            raise Dead(f"{LABEL} has no call for {delivery.action}")
        try:
            return await tell(delivery, access)
        except Retry as error:
            error.unsure |= delivery.unsure  # another failure leaves it as open as it was
            raise

    # What is on now

    async def start(self, delivery: Delivery, access: Access) -> Done:
        progress = round(min(max(delivery.progress or 0.0, 0.0), 100.0), 2)
        return await self.scrobble("start", "start", delivery, progress, access)

    async def pause(self, delivery: Delivery, access: Access) -> Done:
        return await self.scrobble("pause", "pause", delivery, paused(delivery), access)

    async def pause_by_stop(self, delivery: Delivery, access: Access) -> Done:
        """A stop below the watched mark, which Simkl keeps as a pause."""
        return await self.scrobble("stop", "pause", delivery, paused(delivery), access)

    # The watched mark

    async def mark(self, delivery: Delivery, access: Access) -> Done:
        """As a scrobble; by date where it is late, or where the episode's own id says most.

        Neither is counted twice: a scrobble within the hour is a 409, and the history keeps one play per item.
        """
        single(delivery.item)
        if delivery.late or surest_by_date(delivery.item):
            return await self.date(delivery, access)
        try:
            return await self.scrobble("stop", "scrobble", delivery, marked(delivery.progress), access)
        except Unmatched:
            if not (isinstance(delivery.item, Episode) and usable(Kind.EPISODE, delivery.item.ids)):
                raise
        return await self.date(delivery, access)

    async def date(self, delivery: Delivery, access: Access) -> Done:
        (outcome,) = await self.send_many([delivery], access)
        if isinstance(outcome, Undelivered):
            raise outcome
        return outcome

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Done | Undelivered]:
        """Marks put into the history under their own dates; one not found is told again in its next form."""
        outcomes: dict[int, Done | Undelivered] = {}
        left: list[Dated] = []
        for index, delivery in enumerate(deliveries):
            try:
                left.append(Dated(index, delivery, dated(delivery)))
            except Undelivered as decision:
                outcomes[index] = decision
        while left:
            told = await self.remember(left, access)
            outcomes |= {mark.index: answer.outcome(mark) for mark, answer in told}
            left = [rest for mark, answer in told if not answer.has(mark) and (rest := mark.next())]
        return [outcomes[index] for index in range(len(deliveries))]

    async def remember(self, marks: Sequence[Dated], access: Access) -> list[tuple[Dated, Added]]:
        """The answer to each. Where one names a thing it did not find and not whose, they are told in halves."""
        entries = [mark.entry for mark in marks]
        answer = Added.read(accepted(await self.ask(access, "POST", "/sync/history", gathered(entries))))
        if len(marks) == 1 or not answer.strays(entries):
            return [(mark, answer if len(marks) > 1 else answer.alone(mark.entry)) for mark in marks]
        half = len(marks) // 2
        return [*await self.remember(marks[:half], access), *await self.remember(marks[half:], access)]

    async def unmark(self, delivery: Delivery, access: Access) -> Done:
        """Takes away the one play of this film or episode, if we made it; never a whole show."""
        single(delivery.item)
        if not delivery.remote_id:
            raise Dead(f"Nothing of ours to undo: {LABEL} had this mark already, or never took it")
        return await self.take_out("/sync/history/remove", delivery.item, delivery.remote_id, access)

    # What the account holds

    async def held(self, access: Access, since: datetime | None = None) -> AsyncIterator[Held]:
        """The films, the episodes of shows and those of anime; Simkl keeps one play of each."""
        for name, extended in LISTS.items():
            asked = {"extended": extended, "episode_watched_at": "yes"}
            if since is not None:
                asked["date_from"] = iso(since)  # what has changed since then, with all its episodes
            async for row in self.listed(name, asked, access):
                for viewing in viewings(row, by_season=name == "anime"):
                    if recent(viewing.at, since):
                        yield viewing

    def listed(self, name: str, asked: Mapping[str, str], access: Access) -> AsyncIterator[Json]:
        return streamed(
            self.http,
            LABEL,
            f"{self.api}/sync/all-items/{name}",
            name,
            headers={**self.headers(), **bearer(access)},
            params={**self.app(), **asked},
            judge=accepted,
        )

    # Ratings

    async def rate(self, delivery: Delivery, access: Access) -> Done:
        ratable(delivery.item)
        if delivery.rating is None or not 1 <= delivery.rating <= 10:
            raise Dead(f"{LABEL} takes ratings from 1 to 10, not {delivery.rating}")
        said = {"rating": delivery.rating, "rated_at": iso(delivery.at)}
        for entry in entries(delivery.item, said):
            response = accepted(await self.ask(access, "POST", "/sync/ratings", gathered([entry])))
            added = Added.read(response)
            if added.some and not added.lost:
                return Done(answer=f"rated {delivery.rating}")
        raise unknown(delivery.item, response)

    async def unrate(self, delivery: Delivery, access: Access) -> Done:
        ratable(delivery.item)
        return await self.take_out("/sync/ratings/remove", delivery.item, None, access)

    async def take_out(self, path: str, item: Item, handle: str | None, access: Access) -> Done:
        for entry in entries(item, {}):
            response = accepted(await self.ask(access, "POST", path, gathered([entry])))
            body = shaped(response, "deleted")
            if counted(body, "deleted"):
                return Done(answer="removed", remote_id=handle)
            if not missing(body):
                return Done(answer="it was gone already", remote_id=handle)
        raise unknown(item, response)

    # Calls

    async def scrobble(
        self, verb: Verb, wanted: str, delivery: Delivery, progress: float, access: Access
    ) -> Done:
        """What the first form of the item that Simkl knows comes to; `wanted` is the action it should name."""
        single(delivery.item)
        for form in forms(delivery.item):
            body = {"progress": progress, **form}
            response = await self.ask(access, "POST", f"/scrobble/{verb}", body)
            if response.status_code == 409:
                return already(response, delivery)
            if response.status_code != 404 and known(answered := shaped(accepted(response))):
                return told(wanted, delivery.item, answered, response)
        raise unknown(delivery.item, response)

    async def ask(self, access: Access, method: str, path: str, json: Any = None) -> httpx.Response:
        return await self.call(method, path, json, bearer(access))

    async def call(
        self, method: str, path: str, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        every = {**self.headers(), **(headers or {})}
        return await call(
            self.http, LABEL, method, self.api + path, headers=every, params=self.app(), json=json
        )

    def app(self) -> dict[str, str]:
        """What Simkl wants to see on every address: which app, in which version."""
        return {"client_id": self.settings.client_id, "app-name": "watchmark", "app-version": version()}

    def headers(self) -> dict[str, str]:
        return {
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
            "simkl-api-key": self.settings.client_id,
        }

    # The sign-in, whose token lasts for years and cannot be renewed

    async def check(self, access: Access) -> str:
        response = accepted(await self.ask(access, "POST", "/users/settings"))
        return str(inner(shaped(response, "user"), "user").get("name") or "?")

    async def begin(self) -> DeviceCode:
        try:
            return device_code(accepted(await self.call("GET", "/oauth/pin")))
        except Undelivered as error:
            raise SignInFailed(error.reason) from error

    async def poll(self, code: DeviceCode) -> Tokens | None:
        """The answer is 200 whatever it says; where Simkl asks for a slower pace, it returns that much later."""
        try:
            response = await self.call("GET", f"/oauth/pin/{quote(code.device_code, safe='')}")
        except Retry:
            return None  # the code outlives a hiccup
        if response.status_code in (403, 412):
            raise SignInFailed(APP_REFUSED)
        body = inner_json(response)
        if token := text(body.get("access_token")):
            return {"access_token": token}
        message = (text(body.get("message")) or "").lower()
        if response.status_code == 429 or "slow" in message:
            await asyncio.sleep(min(retry_after(response.headers) or code.interval, SLOWEST).total_seconds())
        elif response.status_code == 404 or (body.get("result") == "KO" and "pending" not in message):
            raise SignInFailed(f"{LABEL} no longer knows this code; start again")
        return None


# How an item is named


def forms(item: Item) -> list[Json]:
    """The item in every way that a scrobble can name it, the surest first. Raises Unmatched if in none."""
    found = list(movie_forms(item) if isinstance(item, Movie) else ())
    found += episode_forms(item) if isinstance(item, Episode) else ()
    return found or nameless(item)


def nameless(item: Item) -> list[Json]:
    if isinstance(item, Episode) and item.numbering != "aired":
        raise Unmatched(OTHER_NUMBERS)
    if isinstance(item, Episode) and (item.season is None or item.number is None):
        raise Unmatched(f"{LABEL} finds an episode by its show, season and number, and not all are known")
    raise Unmatched(f"No id, or title and year, by which {LABEL} could find this {item.kind}")


def movie_forms(item: Movie) -> Iterator[Json]:
    yield from ({"movie": title} for title in titles(Kind.MOVIE, item.ids, item.title, item.year))


def titles(kind: Kind, ids: Ids, title: str | None, year: int | None) -> Iterator[Json]:
    """By ids, with the title beside them, then by title and year; a title alone could be any."""
    named = {"title": title, "year": year} if title and year else {}
    if mine := usable(kind, ids):
        yield {**named, "ids": mine}
    if named:
        yield named


def episode_forms(item: Episode) -> Iterator[Json]:
    """By the show and the place in it; never by numbers that count in another order."""
    if item.numbering != "aired" or item.season is None or item.number is None:
        return
    numbers = {"season": item.season, "number": item.number}
    if ids := usable(Kind.SHOW, item.show_ids):
        # Without the year: it may be the episode's, which would speak against the ids.
        yield {"show": {**({"title": item.show} if item.show else {}), "ids": ids}, "episode": numbers}
    elif (ids := anime(item.show_ids)) and item.season == 1:
        yield {"anime": {"ids": ids}, "episode": {"number": item.number}}
    if item.show and item.year:
        yield {"show": {"title": item.show, "year": item.year}, "episode": numbers}


def usable(kind: Kind, ids: Ids) -> Json:
    known = ids.known()
    return {name: known[name] for name in NAMESPACES[kind] if name in known}


def anime(ids: Ids) -> Json:
    known = ids.known()
    return {name: known[name] for name in ANIME if name in known}


def surest_by_date(item: Item) -> bool:
    """Whether an episode's own id is all but its title: a scrobble cannot carry that id, the history can."""
    if not isinstance(item, Episode) or not usable(Kind.EPISODE, item.ids):
        return False
    return all(by_title(placed(form, {})) for form in episode_forms(item))


def single(item: Item) -> None:
    """Raises Dead unless it is one thing to watch: a show would mark every episode it has."""
    if not isinstance(item, Movie | Episode):
        raise Dead(f"{LABEL} is told of films and episodes being watched, not of a {item.kind}")


def ratable(item: Item) -> None:
    if not isinstance(item, Movie | Show):
        raise Dead(f"{LABEL} has ratings of films and shows only, not of {item.kind}s")


# What a sync call says of an item


@dataclass(frozen=True, slots=True)
class Entry:
    """One item in the body of a sync call: in which list it stands, and as what."""

    group: str
    body: Json


@dataclass(frozen=True, slots=True)
class Dated:
    """A mark on its way into the history, in the first of the forms that are left."""

    index: int
    delivery: Delivery
    forms: Sequence[Entry]

    @property
    def entry(self) -> Entry:
        return self.forms[0]

    def next(self) -> Dated | None:
        return replace(self, forms=self.forms[1:]) if len(self.forms) > 1 else None


def dated(delivery: Delivery) -> list[Entry]:
    single(delivery.item)
    return entries(delivery.item, {"watched_at": iso(delivery.at)})


def entries(item: Item, said: Json) -> list[Entry]:
    """The item in every way that a sync call can name it, and what is said of it. Raises Unmatched if in none."""
    if isinstance(item, Show):
        found = [
            Entry("shows", {**title, **said}) for title in titles(Kind.SHOW, item.ids, item.title, item.year)
        ]
    elif isinstance(item, Episode):
        found = [placed(form, said) for form in episode_forms(item)]
        if own := usable(Kind.EPISODE, item.ids):
            sure = [entry for entry in found if not by_title(entry)]
            found = [*sure, Entry("episodes", {"ids": own, **said}), *found[len(sure) :]]
    elif isinstance(item, Movie):
        found = [Entry("movies", {**form["movie"], **said}) for form in movie_forms(item)]
    else:
        raise Dead(f"{LABEL} is not told of a {item.kind}")
    if not found:
        nameless(item)
    return found


def by_title(entry: Entry) -> bool:
    return "ids" not in entry.body


def placed(form: Json, said: Json) -> Entry:
    """An episode inside its show. TVDB's seasons of an anime have to be announced as such."""
    episode = {"number": form["episode"]["number"], **said}
    if "anime" in form:
        return Entry("shows", {**form["anime"], "episodes": [episode]})
    season = {"number": form["episode"]["season"], "episodes": [episode]}
    return Entry("shows", {**form["show"], "use_tvdb_anime_seasons": True, "seasons": [season]})


def gathered(entries: Sequence[Entry]) -> Json:
    body: Json = {}
    for entry in entries:
        body.setdefault(entry.group, []).append(entry.body)
    return body


# How progress is told


def paused(delivery: Delivery) -> float:
    if delivery.progress is None:
        raise Dead("How far it was is not known, so there is nothing to tell")
    return round(min(max(delivery.progress, 0.0), BELOW), 2)


def marked(progress: float | None) -> float:
    return round(min(max(progress or FINISHED, MARKED), 100.0), 2)


# What the answer means


def accepted(response: httpx.Response) -> httpx.Response:
    """The response if it is a success; otherwise raises what its status, or its own word, asks for."""
    error = inner_json(response).get("error")
    if response.status_code == 400 and error == "RATE_LIMIT":
        # The lock is this person's: it is no trouble of the service, and nobody else waits for it.
        reason = f"{LABEL} is still at another scrobble of this person"
        raise Snooze(reason, answer=shown(response), after=BUSY)
    if response.status_code == 429 and retry_after(response.headers) is None:
        raise Snooze(
            f"{LABEL} answered 429: {word(429)}", answer=shown(response), after=FIRST_REST, lengthens=True
        )
    if response.status_code == 412:
        raise Snooze(APP_REFUSED, answer=shown(response), after=HOUR)
    return accept(LABEL, response)


def known(body: Json) -> Json:
    """The item that an answer says it was about, {} where Simkl recognised none."""
    item = next((found for name in KINDS if (found := inner(body, name))), {})
    return item if text_or_number(inner(item, "ids").get("simkl")) else {}


def told(wanted: str, item: Item, body: Json, response: httpx.Response) -> Done:
    """What an answer to a scrobble call comes to."""
    action = text(body.get("action"))
    if action is None:
        reason = f"{LABEL}'s answer does not say what it did"
        raise Retry(reason, answer=shown(response), after=GATEWAY, unsure=True)
    if wanted == "scrobble" != action:
        raise Dead(f"{LABEL} did not count it as watched, but as {action}", answer=shown(response))
    note = other(item, body)
    if action == "scrobble" != wanted:
        note = f"{LABEL} counted it as watched"
    handle = text_or_number(body.get("id")) if action == "scrobble" else None
    return Done(answer=f"{action}: {described(body)}", remote_id=handle, note=note)


def already(response: httpx.Response, delivery: Delivery) -> Done:
    """Marked within the last hour: by ourselves, if an answer to us was lost."""
    watched_at = text(inner_json(response).get("watched_at"))
    at = f", watched at {watched_at}" if watched_at else ""
    return Done(answer=f"already there{at}", remote_id=OURS if delivery.unsure else None)


def other(item: Item, body: Json) -> str | None:
    """The note for a person, where Simkl's item is not the one that was meant."""
    ours = item.show_ids if isinstance(item, Episode) else item.ids
    wrong = disagree(ours, inner(known(body), "ids"), COMPARED if "anime" not in body else ("tvdb",))
    if isinstance(item, Episode):
        theirs = place(body)
        by_season = bool(usable(Kind.SHOW, item.show_ids) or not anime(item.show_ids))
        wrong |= by_season and None not in theirs and theirs != (item.season, item.number)
    return f"{LABEL} matched it to a different item: {described(body)}" if wrong else None


def disagree(ours: Ids, theirs: Json, names: Sequence[str]) -> bool:
    """Whether there are ids to compare and none is the same. Simkl writes numbers as texts."""
    mine = ours.known()
    common = [name for name in names if name in mine and text_or_number(theirs.get(name))]
    return bool(common) and all(str(mine[name]) != text_or_number(theirs[name]) for name in common)


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


def unknown(item: Item, response: httpx.Response) -> Unmatched:
    return Unmatched(f"{LABEL} does not know this {item.kind}", answer=shown(response))


@dataclass(frozen=True, slots=True)
class Added:
    """What an answer says was put where it was sent; what Simkl did not find it sends back (`lost`)."""

    response: httpx.Response
    some: bool
    lost: Sequence[Entry]

    @classmethod
    def read(cls, response: httpx.Response) -> Added:
        body = shaped(response, "added")
        some = bool(counted(body, "added") or inner(body, "added").get("statuses"))
        return cls(response, some, [Entry(group, echo) for group, echo in missing(body)])

    def strays(self, sent: Sequence[Entry]) -> bool:
        """Whether something is lost of which nobody can say what it was."""
        return any(not any(meets(entry, echo) for entry in sent) for echo in self.lost)

    def alone(self, sent: Entry) -> Added:
        """The answer to one thing only: whatever is lost, it is that."""
        return replace(self, lost=[sent] if self.lost else [])

    def has(self, mark: Dated) -> bool:
        """Whether Simkl took it. A call of which it counted nothing was heard only if it was a repeat."""
        heard = self.some or mark.delivery.unsure
        return heard and not any(meets(mark.entry, echo) for echo in self.lost)

    def outcome(self, mark: Dated) -> Done | Undelivered:
        if not self.has(mark):
            return unknown(mark.delivery.item, self.response)
        what = "added" if self.some else "already there"
        return Done(answer=f"{what}, watched at {iso(mark.delivery.at)}", remote_id=OURS)


def meets(sent: Entry, echo: Entry) -> bool:
    """Whether something sent back is what was sent, or a part of it."""
    if sent.group != echo.group or not alike(sent.body, echo.body):
        return False
    return not places(echo.body) or places(sent.body) <= places(echo.body)


def alike(mine: Json, theirs: Json) -> bool:
    """By the ids that both name, else by title and year."""
    here, there = inner(mine, "ids"), inner(theirs, "ids")
    if common := [name for name in here if name in there]:
        return all(str(here[name]) == str(there[name]) for name in common)
    titles = (text(mine.get("title")), text(theirs.get("title")))
    return titles[0] is not None and titles[0] == titles[1] and mine.get("year") == theirs.get("year")


def places(body: Json) -> set[tuple[int | None, int | None]]:
    """Season and number of every episode that a show in a sync call names."""
    seasons = [*rows(body.get("seasons")), {"episodes": body.get("episodes")}]
    return {
        (whole(season.get("number")), whole(episode.get("number")))
        for season in seasons
        for episode in rows(season.get("episodes"))
    }


# What the account holds


def viewings(row: Json, *, by_season: bool) -> Iterator[Held]:
    """What was watched of one row of the lists: a film, or episodes; `by_season`: of an anime."""
    show, movie = inner(row, "show"), inner(row, "movie")
    if film := movie or (show if row.get("anime_type") == "movie" else {}):
        at = moment(row.get("last_watched_at"))
        if at is not None or row.get("status") == "completed":
            item = Movie(title=text(film.get("title")), year=whole(film.get("year")), ids=their_ids(film))
            yield Held(item=item, at=at)
        return
    for season in rows(row.get("seasons")):
        for one in rows(season.get("episodes")):
            placed = episode(show, whole(season.get("number")), one, by_season=by_season)
            yield Held(item=placed, at=moment(one.get("watched_at")))


def episode(show: Json, season: int | None, one: Json, *, by_season: bool) -> Episode:
    """An episode by its place in the show. Of an anime by TheTVDB's, which others count by too, where it is known.

    An anime's entry is a season of it: AniDB's, MyAnimeList's and Simkl's own ids belong to Simkl's numbers,
    those of the whole show to TheTVDB's.
    """
    number, ids = whole(one.get("number")), their_ids(show)
    tvdb = (whole(inner(one, "tvdb").get("season")), whole(inner(one, "tvdb").get("episode")))
    if by_season and tvdb != (season, number):
        own = ("simkl", *ANIME)
        mapped = None not in tvdb
        season, number = tvdb if mapped else (season, number)
        known = {name: value for name, value in ids.known().items() if (name in own) != mapped}
        ids = Ids.from_json(known)
    return Episode(
        title=text(one.get("title")),
        show=text(show.get("title")),
        season=season,
        number=number,
        year=whole(show.get("year")),
        show_ids=ids,
    )


def their_ids(item: Json) -> Ids:
    """An answer's ids, whose numbers may be texts; what is no number there is a name, and none of ours."""
    given = inner(item, "ids")
    numbers = {name: whole(given.get(name)) for name in ("simkl", "tvdb", "tmdb", *ANIME)}
    return Ids.from_json({**numbers, "imdb": text(given.get("imdb"))})


# How answers are read


def bearer(access: Access) -> dict[str, str]:
    return {"Authorization": f"Bearer {access.tokens.get('access_token', '')}"}


def shaped(response: httpx.Response, *names: str) -> Json:
    """The object in the answer, with these objects in it. Raises Retry (unsure) on any other shape."""
    body = read(LABEL, response)
    if isinstance(body, dict) and all(isinstance(body.get(name), dict) for name in names):
        return body
    reason = f"{LABEL} sent an answer of an unknown shape"
    raise Retry(reason, answer=shown(response), after=GATEWAY, unsure=True)


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
