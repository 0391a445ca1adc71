"""TV Time: the person's built-in library, or any server that speaks the protocol of TV Time's app.

The service itself closed on 2026-07-15. Its app put one proxy, `/sidecar`, in front of several hosts;
the calls here are those that its last clients made (https://github.com/Zggis/plex-tvtime).
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator

from webhook.event import Action, Episode, Ids, Kind, Movie
from webhook.outcome import Dead, Done, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.remote import accept, call, read, shown
from webhook.retry import BUSY, GATEWAY, decide
from webhook.trackers import Access, Delivery, Held, Library, SignIn, SignInFailed, Tokens
from webhook.trackers._shared import moment, recent

LABEL = "TV Time"
FOR = "Gives every watched mark a home: a TV Time library of your own, built in here."
SETUP: tuple[str, ...] = (
    "TV Time itself closed on 15 July 2026. Nothing has to be set up: watched marks go into the library that is built in here.",
    "If you have an export file of TV Time, import it: watchmark import tvtime FILE",
    "You run a server that speaks the protocol of TV Time's app? Set TVTIME_URL to its address, save, and sign in with the user name and password of that server.",
)
API = "https://api2.tozelabs.com/v2"
LOGIN = "https://auth.tvtime.com/v1/login"
SEARCH = "https://search.tvtime.com/v1/search/movie"
TRACKING = "https://msapi.tvtime.com/prod/v1/tracking"
WATCHES, FOLLOWS = "watches", "cgw/follows"
PAGES: Mapping[str, int] = {WATCHES: 100, FOLLOWS: 20}
"""The rows on a page of each list; a followed movie comes with all that is known of it."""


PUBLIC = ("tvtime.com", "tozelabs.com")
"""Where the service itself was: nobody answering there is no outage."""

RENEW_AHEAD = timedelta(days=1)
AGAIN = "rewatch"
"""The handle of a viewing that was counted beside earlier ones, which would be taken back with it."""


CLOSED = "TV Time has closed: nothing answers at this address any more"
WRONG = (
    "TV Time did not accept this name and password. An account made with Facebook or Google has no "
    "password of its own: set one at the service first."
)
NO_TOKEN = "TV Time answered the sign-in without a token. Try again later."
BUILT_IN = "TV Time is the built-in library here, which needs no sign-in. Set TVTIME_URL to use a server."
OWN_DATE = "; TV Time dates it by itself, not by when it was watched"
CUT_OFF = "An earlier call was cut off; it may or may not be among these, so it was not sent again."


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    url: str = Field(
        "", description="The origin of a server that speaks TV Time's protocol; empty: the built-in library."
    )
    writes_per_second: float = Field(
        1.0, ge=0, description="Writes a second for each account; 0 is no pacing."
    )

    @field_validator("url")
    @classmethod
    def origin(cls, url: str) -> str:
        url = url.strip().rstrip("/").removesuffix("/sidecar")
        parts = urlsplit(url)
        if url and not (parts.scheme in ("http", "https") and parts.hostname):
            raise ValueError("must be empty or an address such as http://127.0.0.1:1234")
        return url


def build(settings: Settings, http: httpx.AsyncClient) -> TVTime:
    return TVTime(settings, http)


class TVTime:
    """Marks watched, by the service's own date. Taken back are episodes: no call is known for movies."""

    name = "tvtime"
    label = LABEL
    kinds = frozenset({Kind.MOVIE, Kind.EPISODE})
    tells = frozenset({Action.WATCHED, Action.UNWATCHED})

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self.url, self.http = settings.url, http
        self.host = urlsplit(settings.url).hostname or ""
        self.public = any(f".{self.host}".endswith(f".{domain}") for domain in PUBLIC)
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
        path = f"{API}/user/{user_id(access.tokens)}"
        account = table(await self._call(access, "GET", path, fields="id,name,username"))
        return str(account.get("name") or account.get("username") or user_id(access.tokens))

    # ---- what is told

    async def _watch(self, delivery: Delivery, episode: Episode, access: Access) -> Done:
        tvdb = tvdb_of(episode)
        if delivery.rewatch and delivery.unsure:
            fields = "id,is_watched,watched_date,watched_count"
            seen = table(await self._call(access, "GET", f"{API}/episode/{tvdb}", fields=fields))
            if done := counted(seen.get("watched_count")):
                return done
        path = f"{API}/watched_episodes/episode/{tvdb}"
        answer = await self._call(access, "POST", path, is_rewatch=str(int(delivery.rewatch)))
        said = agreed(answer, "result", "OK")
        handle = AGAIN if delivery.rewatch else None
        return Done(answer=worded(delivery, described(said)), remote_id=handle, note=mismatch(episode, said))

    async def _unwatch(self, delivery: Delivery, episode: Episode, access: Access) -> Done:
        if delivery.remote_id == AGAIN:
            raise Dead("TV Time takes back all viewings of an episode or none, and this was not the first")
        tvdb = tvdb_of(episode)
        await self._call(access, "DELETE", f"{API}/watched_episodes/episode/{tvdb}")
        return Done(answer=f"Episode {tvdb} is no longer marked watched")

    async def _watch_movie(self, delivery: Delivery, movie: Movie, access: Access) -> Done:
        uuid = movie.ids.tvtime or await self._find(movie, access)
        if delivery.rewatch and delivery.unsure and (done := counted(await self._viewings(uuid, access))):
            return done
        verb = "rewatch" if delivery.rewatch else "watch"
        answer = await self._call(access, "POST", f"{TRACKING}/{uuid}/{verb}")
        agreed(answer, "status", "success")
        return Done(answer=worded(delivery, movie.title or uuid), remote_id=uuid)

    async def _find(self, movie: Movie, access: Access) -> str:
        """The uuid of a movie: by its ids, and by its title where that finds the same ids."""
        queries = [str(known) for known in (movie.ids.tvdb, movie.ids.imdb, movie.title) if known]
        candidates: dict[str, Movie] = {}
        for query in queries:
            answer = await self._call(access, "GET", SEARCH, q=query, offset="0", limit="5")
            for film in movies(answer):
                if same(movie.ids, film.ids):
                    return str(film.ids.tvtime)
                candidates[str(film.ids.tvtime)] = film
        # Search results carry no year, so a title alone could be any film of that name.
        reason = "TV Time's search does not find this movie by an id"
        raise Unmatched(reason, candidates=[candidate(film) for film in candidates.values()])

    async def _viewings(self, uuid: str, access: Access) -> int:
        """How often TV Time has counted the movie."""
        async for rows in self._pages(access, WATCHES, entity_type="movie"):
            counts = [integer(row.get("rewatch_count")) or 0 for row in rows if row.get("uuid") == uuid]
            if counts:
                return len(counts) + max(counts)
        return 0

    # ---- what the account holds

    async def held(self, access: Access, since: datetime | None = None) -> AsyncIterator[Held]:
        """The episodes and movies marked watched, of each the one date that TV Time keeps.

        A server's list of episodes has their TheTVDB ids and nothing else of them.
        """
        if not self.url:
            async for viewing in access.library.held(since):
                yield viewing
            return
        # Movies are read from what is followed: the list of what was watched has no ids of theirs.
        for path, kind, meant in ((WATCHES, "episode", seen), (FOLLOWS, "movie", seen_movie)):
            async for rows in self._pages(access, path, entity_type=kind):
                for viewing in filter(None, map(meant, rows)):
                    if recent(viewing.at, since):
                        yield viewing

    async def _pages(self, access: Access, path: str, **asked: str) -> AsyncIterator[list[Mapping[str, Any]]]:
        """Page after page of a list of the user's.

        Some back ends ignored the paging: a page that is repeated or too long is the last.
        """
        first, size = None, PAGES[path]
        for offset in itertools.count(0, size):
            rows = await self._page(access, path, offset, asked)
            if offset and rows and rows[0].get("uuid") == first:
                return
            yield rows
            if len(rows) != size:
                return
            first = rows[0].get("uuid") if offset == 0 else first

    async def _page(
        self, access: Access, path: str, offset: int, asked: Mapping[str, str]
    ) -> list[Mapping[str, Any]]:
        paged = {**asked, "page_offset": str(offset), "page_limit": str(PAGES[path])}
        path = f"{TRACKING}/{path}/user/{user_id(access.tokens)}"
        rows = objects(await self._call(access, "GET", path, **paged))
        tokens = access.tokens
        if not rows:
            # An expired token reads an empty list instead of a 401 here: a call that says so renews it.
            await self.check(access)
        if access.tokens == tokens:
            return rows
        return objects(await self._call(access, "GET", path, **paged))

    # ---- signing in

    async def login(self, username: str, password: str) -> Tokens:
        if not self.url:
            raise SignInFailed(BUILT_IN)
        try:
            anonymous = table(judged(await self._ask("POST", f"{API}/user", {"lang": "en"})))
            if not bearer_of(anonymous):
                raise SignInFailed(NO_TOKEN)
            body = {"username": username, "password": password}
            response = await self._ask("POST", LOGIN, bearer=bearer_of(anonymous), body=body)
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
            response = await self._ask("GET", path, bearer=bearer_of(tokens), headers=proof)
            return renewed(tokens, table(judged(response)))
        except (Dead, Unmatched) as error:
            raise Snooze(error.reason, park=Park.SIGNED_OUT) from error
        except Undelivered as error:
            error.answer = None  # half an answer here is half a token
            raise

    # ---- the way there

    async def _call(self, access: Access, method: str, upstream: str, **siblings: str) -> Any:
        """The answer to an account's call; where the token is refused, once more with a newer one."""
        tokens = access.tokens
        response = await self._ask(method, upstream, siblings, bearer=bearer_of(tokens))
        if response.status_code == 401:
            tokens = await access.renew(tokens)
            response = await self._ask(method, upstream, siblings, bearer=bearer_of(tokens))
        return judged(response)

    async def _ask(
        self,
        method: str,
        upstream: str,
        siblings: Mapping[str, str] | None = None,
        *,
        bearer: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        sent = {"User-Agent": AGENT, "Accept": "application/json", **(headers or {})}
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        params = {"o": upstream, **(siblings or {})}
        try:
            return await call(
                self.http, LABEL, method, f"{self.url}/sidecar", headers=sent, params=params, json=body
            )
        except Retry as error:
            if self.public and isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
                raise Snooze(CLOSED, answer=error.reason, park=Park.SERVICE_CLOSED) from error
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


def judged(response: httpx.Response) -> Any:
    """The JSON of an answer that does not say no, {} for an empty one; raises what any other asks for."""
    status = response.status_code
    if is_closed(response):
        raise Snooze(CLOSED, park=Park.SERVICE_CLOSED)
    if is_page(response) and (response.is_success or status in (403, 404)):
        reason = f"TV Time answered {status} with a web page: something before it blocks the call"
        raise Retry(reason, answer=shown(response), after=GATEWAY, unsure=response.is_success)
    if status == 403:
        raise forbidden(response)
    accept(LABEL, response)
    answer = read(LABEL, response) if response.content.strip() else {}
    if no := refusal(table(answer), shown(response)):
        raise no
    return answer


def is_closed(response: httpx.Response) -> bool:
    """Whether only the load balancer of the closed service is left."""
    emptied = response.status_code == 404 and not response.content
    return emptied and "awselb" in response.headers.get("server", "")


def is_page(response: httpx.Response) -> bool:
    return response.content.lstrip().startswith(b"<")


def forbidden(response: httpx.Response) -> Undelivered:
    if b"MissingAPIKey" in response.content:
        reason = "TV Time answered 403: the address leads around its /sidecar, which adds the API key"
        return Dead(reason, answer=shown(response))
    return Dead("TV Time answered 403: it refused the call", answer=shown(response))


def refusal(answer: Mapping[str, Any], text: str) -> Undelivered | None:
    """What a no inside an answer with status 200 asks for."""
    message = str(answer.get("message") or "it gives no reason")
    if answer.get("result") == "KO":
        means = next((means for word, means in NOES.items() if word in message.lower()), Dead)
        return means(f"TV Time answered KO: {message}", answer=text)
    if answer.get("status") in ("error", "fail"):
        return Dead(f"TV Time answered {answer['status']}: {message}", answer=text)
    code = integer(table(answer.get("error")).get("code")) or 0
    return decide(LABEL, code, {}, text) if code >= 400 else None


def busy(reason: str, *, answer: str | None) -> Undelivered:
    return Snooze(reason, answer=answer, after=BUSY)


NOES: Mapping[str, Callable[..., Undelivered]] = {"unknown episode": Unmatched, "rate limit": busy}


def agreed(answer: Any, word: str, value: str) -> Mapping[str, Any]:
    """The answer to a mark if it says so itself; anything else leaves open whether it was recorded."""
    if table(answer).get(word) != value:
        reason = f"TV Time's answer does not say {word} {value}"
        raise Retry(reason, answer=orjson.dumps(answer).decode()[:500], after=GATEWAY, unsure=True)
    return table(answer)


def table(answer: Any) -> Mapping[str, Any]:
    """The answer if it is a JSON object, else an empty one."""
    return answer if isinstance(answer, dict) else {}


def rows_of(listed: Any) -> list[Mapping[str, Any]]:
    return [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []


def objects(answer: Any) -> list[Mapping[str, Any]]:
    """The rows of a list; raises Retry where the answer holds none, not even an empty one."""
    listed = table(table(answer).get("data")).get("objects")
    if not isinstance(listed, list):
        raise Retry("TV Time's answer holds no list", after=GATEWAY)
    return rows_of(listed)


def seen(row: Mapping[str, Any]) -> Held | None:
    """A row of the watched episodes."""
    ids, show_ids = Ids(tvdb=integer(row.get("episode_id"))), Ids(tvdb=integer(row.get("series_id")))
    return Held(item=Episode(ids=ids, show_ids=show_ids), at=moment(row.get("watched_at"))) if ids else None


def seen_movie(row: Mapping[str, Any]) -> Held | None:
    """A row of the followed movies; None for one that is only followed."""
    watched = row.get("watched_at") or table(row.get("extended")).get("is_watched") is True
    about, uuid = table(row.get("meta")), row.get("uuid")
    if not watched or not uuid:
        return None
    year = integer(str(about.get("first_release_date") or "")[:4])
    item = Movie(title=about.get("name") or None, year=year, ids=movie_ids(str(uuid), about))
    return Held(item=item, at=moment(row.get("watched_at")), remote_id=str(uuid))


def movie_ids(uuid: str, about: Mapping[str, Any]) -> Ids:
    sources = {source.get("source"): source.get("id") for source in rows_of(about.get("external_sources"))}
    return Ids(tvtime=uuid, tvdb=integer(sources.get("tvdb")), imdb=about.get("imdb_id") or None)


def counted(viewings: Any) -> Done | None:
    """Done if a rewatch whose answer was lost may be counted, and so must not be sent again."""
    if (integer(viewings) or 0) < 2:
        return None
    return Done(answer=f"TV Time counts {viewings} viewings already", note=CUT_OFF)


def described(said: Mapping[str, Any]) -> str:
    name = str(table(said.get("show")).get("name") or f"Episode {said.get('id')}")
    season, number = numbers(said)
    return name if None in (season, number) else f"{name} S{season}E{number}"


def numbers(said: Mapping[str, Any]) -> tuple[int | None, int | None]:
    return integer(table(said.get("season")).get("number")), integer(said.get("number"))


def integer(value: Any) -> int | None:
    """A number, which some answers write as text."""
    return int(value) if str(value).isdecimal() else None


def worded(delivery: Delivery, what: str) -> str:
    counts = "counted as watched again" if delivery.rewatch else "marked watched"
    return f"{what} {counts}{OWN_DATE if delivery.late else ''}"


def mismatch(episode: Episode, said: Mapping[str, Any]) -> str | None:
    """A sentence where TV Time counts the episode differently: another order, or another episode."""
    ours, theirs = (episode.season, episode.number), numbers(said)
    if episode.numbering != "aired" or None in (*ours, *theirs) or ours == theirs:
        return None
    return f"The media server calls it S{ours[0]}E{ours[1]}, TV Time calls it {described(said)}."


def movies(answer: Any) -> list[Movie]:
    """The movies among search results."""
    rows = rows_of(table(answer).get("data"))
    return [found(row) for row in rows if row.get("type") == "movie" and row.get("uuid")]


def found(row: Mapping[str, Any]) -> Movie:
    ids = Ids(tvtime=str(row["uuid"]), tvdb=integer(row.get("id")), imdb=row.get("imdb_id") or None)
    return Movie(title=row.get("name"), ids=ids)


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


def bearer_of(tokens: Tokens) -> str:
    return str(tokens.get("jwt_token") or "")


def user_id(tokens: Tokens) -> str:
    return str(tokens.get("id") or claims(tokens).get("id") or "")


def claims(tokens: Tokens) -> Mapping[str, Any]:
    """What the access token says of itself, unverified; nothing where it cannot be read."""
    middle = bearer_of(tokens).partition(".")[2].partition(".")[0]
    try:
        return table(orjson.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4))))
    except ValueError:
        return {}


def agent() -> str:
    try:
        return f"Watchmark/{version('watchmark')}"
    except PackageNotFoundError:
        return "Watchmark/0"


AGENT = agent()
"""The edge in front of TV Time turned away the User-Agents of HTTP libraries."""
