"""TV Time: the person's built-in library, or any server that speaks the protocol of TV Time's app.

The service itself closed on 2026-07-15. Its app put one proxy, `/sidecar`, in front of several hosts;
the calls here are those that its last clients made (https://github.com/Zggis/plex-tvtime).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator

from webhook import clock
from webhook.domain.event import Action, Episode, Ids, Kind, Movie
from webhook.domain.outcome import Dead, Done, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.domain.retry import GATEWAY
from webhook.settings import address
from webhook.trackers import Access, Delivery, Library, SignIn, SignInFailed, Tokens, WatchedItem
from webhook.trackers._shared import moment, recent, titled_alike, unsettled
from webhook.trackers.tvtime.api import (
    API,
    LABEL,
    LOGIN,
    SEARCH,
    SEARCH_SERIES,
    TRACKING,
    Calls,
    acceptable,
    bearer_of,
    claims,
    integer,
    judged,
    rows_of,
    table,
    text,
    user_id,
)
from webhook.trackers.tvtime.lists import FOLLOWS, WATCHES, Reading

FOR = "Gives every watched mark a home: a TV Time library of your own, built in here."
SETUP: tuple[str, ...] = (
    "TV Time itself closed on 15 July 2026. Nothing has to be set up: watched marks go into the library that is built in here.",
    "If you have an export file of TV Time, bring it in under History, Import, or with the command: watchmark import tvtime FILE",
    "You run a server that speaks the protocol of TV Time's app? Enter its address below and save; in the environment or .env it is TVTIME_URL. Then sign in with the user name and password of that server.",
)

RENEW_AHEAD = timedelta(days=1)
AGAIN = "rewatch"
"""The handle of a viewing that was counted beside earlier ones, which would be taken back with it."""

WRONG = (
    "TV Time did not accept this name and password. An account made with Facebook or Google has no "
    "password of its own: set one at the service first."
)
NO_TOKEN = "TV Time answered the sign-in without a token. Try again later."
BUILT_IN = "TV Time is the built-in library here, which needs no sign-in. Set TVTIME_URL to use a server."
OWN_DATE = "; TV Time dates it by itself, not by when it was watched"
CUT_OFF = "An earlier call was cut off; it may or may not be among these, so it was not sent again."
CLOSE = timedelta(minutes=1)
"""How far its clock and ours may lie apart."""

NO_FOLLOW = "no call that follows a show at a server of TV Time's protocol is known; set TVTIME_FOLLOW_URL if yours has one"
ID = "{id}"


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    url: str = Field(
        "", description="The origin of a server that speaks TV Time's protocol; empty: the built-in library."
    )
    follow_url: str = Field(
        "",
        description="What that server follows a show by: an address with {id} in it, called through its /sidecar with PUT and DELETE; empty: shows are followed here.",
    )
    writes_per_second: float = Field(
        1.0, ge=0, description="Writes a second for each account; 0 is no pacing."
    )

    @field_validator("url")
    @classmethod
    def origin(cls, url: str) -> str:
        url = url.strip().rstrip("/").removesuffix("/sidecar")
        return address(url) if url else ""

    @field_validator("follow_url")
    @classmethod
    def of_a_show(cls, url: str) -> str:
        url = url.strip()
        if url and ID not in address(url):
            raise ValueError("must have {id} in it, where the show's TheTVDB id goes")
        return url


def build(settings: Settings, http: httpx.AsyncClient) -> TVTime:
    return TVTime(settings, http)


class TVTime:
    """Marks watched, by the service's own date. Taken back are episodes: no call is known for movies."""

    name = "tvtime"
    label = LABEL
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE})
    tells = frozenset({Action.WATCHED, Action.UNWATCHED})
    one_mark = True
    undated = True

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self.url, self.follow_url = settings.url, settings.follow_url
        self.calls = Calls(settings.url, http)
        self.reading = Reading(self.calls)
        self.host = self.calls.host
        self.sign_in: SignIn = "password" if settings.url else "none"
        # The library is on our own disk: there is nobody to be polite to.
        self.writes_per_second = settings.writes_per_second if settings.url else 0.0
        self.needs: Mapping[Kind, tuple[str, ...]] = {Kind.EPISODE: ("tvdb",)}

    async def send(self, delivery: Delivery, access: Access) -> Done:
        if delivery.action not in self.tells or delivery.item.kind not in self.kinds:
            raise Dead(f"TV Time cannot be told {delivery.action} of a {delivery.item.kind}")
        if not self.url:
            return await keep(delivery, access.library)
        match delivery.item, delivery.action:
            case Episode() as episode, Action.WATCHED:
                return await self._watch(delivery, episode, access)
            case Episode() as episode, _:
                return await self._unwatch(delivery, episode, access)
            case Movie() as movie, Action.WATCHED:
                return await self._watch_movie(delivery, movie, access)
        raise Dead("TV Time has no known call to unwatch a movie")

    async def check(self, access: Access) -> str:
        if not self.url:
            return "built-in library"
        account = await self.reading.account(access)
        return text(account.get("name")) or text(account.get("username")) or user_id(access.tokens)

    # ---- what is told

    async def _watch(self, delivery: Delivery, episode: Episode, access: Access) -> Done:
        tvdb = tvdb_of(episode)
        if delivery.rewatch and delivery.unsure:
            seen = await self.reading.episode(access, tvdb)
            if done := counted(seen.get("watched_count")):
                return done
        path = f"{API}/watched_episodes/episode/{tvdb}"
        began = clock.now()
        answer = await self.calls.call(access, "POST", path, is_rewatch=str(int(delivery.rewatch)))
        said = agreed(answer, "result", "OK")
        try:
            if not await self._is_right(episode, said, access):
                raise Unmatched(await self._take_back(delivery, tvdb, said, began, access))
        except (Retry, Snooze) as decision:
            raise unsettled(LABEL, decision) from decision
        handle = AGAIN if delivery.rewatch else None
        return Done(answer=worded(delivery, described(said)), remote_id=handle, note=mismatch(episode, said))

    async def _is_right(self, episode: Episode, said: Mapping[str, Any], access: Access) -> bool:
        """Whether the episode that was marked is the one that was meant: by its show, where its place differs."""
        show = table(said.get("show"))
        mine, theirs = episode.show_ids.tvdb, integer(show.get("id"))
        named = titled_alike(episode.show, text(show.get("name")))
        if named is True or None not in (mine, theirs):
            return named is True or mine == theirs
        if named is None:
            return True
        return placed_alike(episode, said) is not False and await self._is_called(episode, theirs, access)

    async def _is_called(self, episode: Episode, show: int | None, access: Access) -> bool:
        """Whether TV Time knows this show by our title too, in another language or spelling."""
        asked = {"q": str(episode.show), "offset": "0", "limit": "20"}
        answer = await self.calls.call(access, "GET", SEARCH_SERIES, **asked)
        return show is not None and any(
            integer(row.get("id")) == show for row in rows_of(table(answer).get("data"))
        )

    async def _take_back(
        self, delivery: Delivery, tvdb: int, said: Mapping[str, Any], began: datetime, access: Access
    ) -> str:
        """What is said of a mark of another episode, which is taken back where it is this call's for sure.

        TV Time takes back all viewings of an episode or none, and says when it was marked: one that was
        there before, or that an earlier try may have made long ago, stays.
        """
        wrong = f"TV Time took this for {described(said)}, which is another episode"
        if delivery.rewatch:
            return f"{wrong}; it is counted there as watched again, which cannot be taken back"
        since = delivery.at if delivery.unsure and not delivery.late else began
        seen = await self.reading.episode(access, tvdb)
        marked_at = moment(text(seen.get("watched_date")))
        if marked_at is None or marked_at < since - CLOSE:
            return f"{wrong}; that was marked watched before, and stays so"
        await self.calls.call(access, "DELETE", f"{API}/watched_episodes/episode/{tvdb}")
        return f"{wrong}; that was taken back"

    async def _unwatch(self, delivery: Delivery, episode: Episode, access: Access) -> Done:
        if delivery.remote_id == AGAIN:
            raise Dead("TV Time takes back all viewings of an episode or none, and this was not the first")
        tvdb = tvdb_of(episode)
        await self.calls.call(access, "DELETE", f"{API}/watched_episodes/episode/{tvdb}")
        return Done(answer=f"Episode {tvdb} is no longer marked watched")

    async def _watch_movie(self, delivery: Delivery, movie: Movie, access: Access) -> Done:
        uuid = movie.ids.tvtime or await self._find(movie, access)
        if delivery.rewatch and delivery.unsure and (done := counted(await self._viewings(uuid, access))):
            return done
        verb = "rewatch" if delivery.rewatch else "watch"
        answer = await self.calls.call(access, "POST", f"{TRACKING}/{uuid}/{verb}")
        agreed(answer, "status", "success")
        return Done(answer=worded(delivery, movie.title or uuid), remote_id=uuid)

    async def _find(self, movie: Movie, access: Access) -> str:
        """The uuid of a movie: by its ids, and by its title where that finds the same ids."""
        queries = [str(known) for known in (movie.ids.tvdb, movie.ids.imdb, movie.title) if known]
        candidates: dict[str, Movie] = {}
        for query in queries:
            answer = await self.calls.call(access, "GET", SEARCH, q=query, offset="0", limit="5")
            for film in movies(answer):
                if same(movie.ids, film.ids) and await self._is_titled(movie, film, access):
                    return str(film.ids.tvtime)
                candidates[str(film.ids.tvtime)] = film
        # Search results carry no year, so a title alone could be any film of that name.
        reason = "TV Time's search does not find this movie by an id"
        raise Unmatched(reason, candidates=[candidate(film) for film in candidates.values()])

    async def _is_titled(self, movie: Movie, film: Movie, access: Access) -> bool:
        """Whether a movie found by an id is the one that was meant: by more ids, its title, or a search for it."""
        agreed = movie.ids.known().items() & film.ids.known().items()
        if len(agreed) > 1 or titled_alike(movie.title, film.title) is not False:
            return True
        answer = await self.calls.call(access, "GET", SEARCH, q=str(movie.title), offset="0", limit="20")
        return any(found.ids.tvtime == film.ids.tvtime for found in movies(answer))

    async def _viewings(self, uuid: str, access: Access) -> int:
        """How often TV Time has counted the movie."""
        async for rows in self.reading.pages(access, WATCHES, "movie"):
            counts = [integer(row.get("rewatch_count")) or 0 for row in rows if row.get("uuid") == uuid]
            if counts:
                return len(counts) + max(counts)
        return 0

    # ---- what the account holds

    async def history(self, access: Access, since: datetime | None = None) -> AsyncIterator[WatchedItem]:
        """The episodes and movies marked watched, of each the one date that TV Time keeps.

        A server's list of episodes has their TheTVDB ids and nothing else of them.
        """
        if not self.url:
            async for viewing in access.library.history(since):
                yield viewing
            return
        # Movies are read from what is followed: the list of what was watched has no ids of theirs.
        for path, kind, meant in ((WATCHES, "episode", seen), (FOLLOWS, "movie", seen_movie)):
            async for rows in self.reading.pages(access, path, kind):
                for viewing in filter(None, map(meant, rows)):
                    if recent(viewing.at, since):
                        yield viewing

    # ---- what is followed

    async def follow(self, access: Access, show: int) -> None:
        """Follow a show at the server; raises as `send` does, Dead where no call for it is set."""
        await self._follow(access, "PUT", show)

    async def unfollow(self, access: Access, show: int) -> None:
        await self._follow(access, "DELETE", show)

    async def _follow(self, access: Access, method: str, show: int) -> None:
        if not self.follow_url:
            raise Dead(NO_FOLLOW)
        upstream, _, query = self.follow_url.replace(ID, str(show)).partition("?")
        siblings = dict(parse_qsl(query, keep_blank_values=True))
        response = await self.calls.response(access, method, upstream, siblings)
        acceptable(response)
        if is_json(response):  # some answered what was done with no JSON
            judged(response)

    # ---- signing in

    async def login(self, username: str, password: str) -> Tokens:
        if not self.url:
            raise SignInFailed(BUILT_IN)
        try:
            anonymous = table(judged(await self.calls.ask("POST", f"{API}/user", {"lang": "en"})))
            if not bearer_of(anonymous):
                raise SignInFailed(NO_TOKEN)
            body = {"username": username, "password": password}
            response = await self.calls.ask("POST", LOGIN, bearer=bearer_of(anonymous), body=body)
        except Undelivered as error:
            raise SignInFailed(apology(error)) from error
        return signed_in(response)

    def stale(self, tokens: Tokens, now: datetime) -> bool:
        expires = claims(tokens).get("exp")
        return isinstance(expires, int | float) and expires - now.timestamp() < RENEW_AHEAD.total_seconds()

    async def refresh(self, tokens: Tokens) -> Tokens:
        path = f"{API}/user/{user_id(tokens)}/jwt"
        proof = {"jwt_refresh_token": str(tokens.get("jwt_refresh_token") or "")}
        try:
            response = await self.calls.ask("GET", path, bearer=bearer_of(tokens), headers=proof)
            return renewed(tokens, table(judged(response)))
        except (Dead, Unmatched) as error:
            raise Snooze(error.reason, park=Park.SIGNED_OUT) from error
        except Undelivered as error:
            error.answer = None  # half an answer here is half a token
            raise


async def keep(delivery: Delivery, library: Library) -> Done:
    """Tell the built-in library."""
    item = delivery.item
    if isinstance(item, Episode):
        tvdb_of(item)
    if delivery.action is Action.UNWATCHED:
        return Done(answer=await library.unmark(item))
    return Done(answer=await library.mark(item, delivery.at, rewatch=delivery.rewatch))


def tvdb_of(episode: Episode) -> int:
    if episode.ids.tvdb is None:
        raise Unmatched("TV Time knows episodes by their TheTVDB id, and this episode has none")
    return episode.ids.tvdb


# ---- what an answer means


def is_json(response: httpx.Response) -> bool:
    try:
        orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return False
    return True


def agreed(answer: Any, word: str, value: str) -> Mapping[str, Any]:
    """The answer to a mark if it says so itself; anything else leaves open whether it was recorded."""
    if table(answer).get(word) != value:
        reason = f"TV Time's answer does not say {word} {value}"
        said = orjson.dumps(answer).decode()[:500]
        raise Retry(reason, answer=said, after=GATEWAY, unsure=True, suspect=True)
    return table(answer)


def seen(row: Mapping[str, Any]) -> WatchedItem | None:
    """A row of the watched episodes."""
    ids, show_ids = Ids(tvdb=integer(row.get("episode_id"))), Ids(tvdb=integer(row.get("series_id")))
    return (
        WatchedItem(item=Episode(ids=ids, show_ids=show_ids), at=moment(row.get("watched_at")))
        if ids
        else None
    )


def seen_movie(row: Mapping[str, Any]) -> WatchedItem | None:
    """A row of the followed movies; None for one that is only followed."""
    watched = row.get("watched_at") or table(row.get("extended")).get("is_watched") is True
    about, uuid = table(row.get("meta")), row.get("uuid")
    if not watched or not uuid:
        return None
    year = integer(str(about.get("first_release_date") or "")[:4])
    item = Movie(title=text(about.get("name")), year=year, ids=movie_ids(str(uuid), about))
    return WatchedItem(item=item, at=moment(row.get("watched_at")), remote_id=str(uuid))


def movie_ids(uuid: str, about: Mapping[str, Any]) -> Ids:
    sources = {source.get("source"): source.get("id") for source in rows_of(about.get("external_sources"))}
    return Ids(tvtime=uuid, tvdb=integer(sources.get("tvdb")), imdb=text(about.get("imdb_id")))


def counted(viewings: Any) -> Done | None:
    """Done if a rewatch whose answer was lost may be counted, and so must not be sent again."""
    if (integer(viewings) or 0) < 2:
        return None
    return Done(answer=f"TV Time counts {viewings} viewings already", note=CUT_OFF)


def described(said: Mapping[str, Any]) -> str:
    name = text(table(said.get("show")).get("name")) or f"Episode {said.get('id')}"
    season, number = numbers(said)
    return name if None in (season, number) else f"{name} S{season}E{number}"


def numbers(said: Mapping[str, Any]) -> tuple[int | None, int | None]:
    return integer(table(said.get("season")).get("number")), integer(said.get("number"))


def worded(delivery: Delivery, what: str) -> str:
    counts = "counted as watched again" if delivery.rewatch else "marked watched"
    return f"{what} {counts}{OWN_DATE if delivery.late else ''}"


def placed_alike(episode: Episode, said: Mapping[str, Any]) -> bool | None:
    ours, theirs = (episode.season, episode.number), numbers(said)
    if episode.numbering != "aired" or None in (*ours, *theirs):
        return None
    return ours == theirs


def mismatch(episode: Episode, said: Mapping[str, Any]) -> str | None:
    """A sentence where TV Time counts the episode differently: another order, or another episode."""
    if placed_alike(episode, said) is not False:
        return None
    ours = f"S{episode.season}E{episode.number}"
    return f"The media server calls it {ours}, TV Time calls it {described(said)}."


def movies(answer: Any) -> list[Movie]:
    """The movies among search results."""
    rows = rows_of(table(answer).get("data"))
    return [found(row) for row in rows if row.get("type") == "movie" and row.get("uuid")]


def found(row: Mapping[str, Any]) -> Movie:
    ids = Ids(tvtime=str(row["uuid"]), tvdb=integer(row.get("id")), imdb=row.get("imdb_id") or None)
    return Movie(title=text(row.get("name")), ids=ids)


def same(ours: Ids, theirs: Ids) -> bool:
    shared = ours.known().items() & theirs.known().items()
    return bool(shared) and not ours.contradicts(theirs)


def candidate(item: Movie) -> dict[str, Any]:
    return {"kind": item.kind.value, "title": item.title, "year": None, "ids": item.ids.known()}


# ---- tokens


def signed_in(response: httpx.Response) -> Tokens:
    """The tokens of an answer to a login; raises SignInFailed with a sentence for the person."""
    try:
        data = table(table(judged(response)).get("data"))
    except Undelivered as error:
        wrong = isinstance(error, Dead | Unmatched) or parked(error) is Park.SIGNED_OUT
        raise SignInFailed(WRONG if wrong else apology(error)) from error
    tokens = {name: data.get(name) for name in ("jwt_token", "jwt_refresh_token")}
    if not all(tokens.values()):
        raise SignInFailed(NO_TOKEN)
    return {"id": str(data.get("id") or claims(tokens).get("id")), **tokens}


def apology(error: Undelivered) -> str:
    closed = parked(error) is Park.SERVICE_CLOSED
    return f"{error.reason}." if closed else f"{error.reason}. Try again later."


def parked(error: Undelivered) -> Park | None:
    return error.park if isinstance(error, Snooze) else None


def renewed(tokens: Tokens, answer: Mapping[str, Any]) -> Tokens:
    """The tokens with the new one; the refresh token stays, it does not rotate."""
    if not answer.get("jwt_token"):
        raise Retry("TV Time's answer to a renewal holds no token", after=GATEWAY)
    return {**tokens, "jwt_token": answer["jwt_token"]}
