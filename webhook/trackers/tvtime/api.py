"""The calls: how the hosts behind TV Time's app are asked through its one proxy, `/sidecar`, and what an answer means."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from webhook.client import MAX_ANSWER, accept, call, read, shown
from webhook.domain.outcome import Dead, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.domain.retry import BUSY, GATEWAY, decide
from webhook.trackers import Access, Tokens

LABEL = "TV Time"
API = "https://api2.tozelabs.com/v2"
LOGIN = "https://auth.tvtime.com/v1/login"
SEARCH = "https://search.tvtime.com/v1/search/movie"
SEARCH_SERIES = "https://search.tvtime.com/v1/search/series"
SERIES = "https://msapi.tvtime.com/v1/series"
TRACKING = "https://msapi.tvtime.com/prod/v1/tracking"

PUBLIC = ("tvtime.com", "tozelabs.com")
"""Where the service itself was: nobody answering there is no outage."""

LONGEST = 8 * 1024 * 1024
"""The most that a list without pages may hold: a daily show has thousands of episodes."""

CLOSED = "TV Time has closed: nothing answers at this address any more"


def agent() -> str:
    try:
        return f"Watchmark/{version('watchmark')}"
    except PackageNotFoundError:
        return "Watchmark/0"


AGENT = agent()
"""The edge in front of TV Time turned away the User-Agents of HTTP libraries."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The way to a server; `url` is what stands before its `/sidecar`."""

    url: str
    http: httpx.AsyncClient

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def public(self) -> bool:
        return any(f".{self.host}".endswith(f".{domain}") for domain in PUBLIC)

    async def call(self, access: Access, method: str, upstream: str, **siblings: str) -> Any:
        """The answer to an account's call; raises as a tracker does."""
        return judged(await self.response(access, method, upstream, siblings))

    async def response(
        self, access: Access, method: str, upstream: str, siblings: Mapping[str, str], *, long: bool = False
    ) -> httpx.Response:
        """The response to an account's call; where the token is refused, once more with a newer one."""
        tokens = access.tokens
        response = await self.ask(method, upstream, siblings, bearer=bearer_of(tokens), long=long)
        if response.status_code != 401:
            return response
        tokens = await access.renew(tokens)
        return await self.ask(method, upstream, siblings, bearer=bearer_of(tokens), long=long)

    async def ask(
        self,
        method: str,
        upstream: str,
        siblings: Mapping[str, str] | None = None,
        *,
        bearer: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        long: bool = False,
    ) -> httpx.Response:
        """What the server answers, whatever that is; `long`: a list that has no pages."""
        sent = {"User-Agent": AGENT, "Accept": "application/json", **(headers or {})}
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        params, most = {"o": upstream, **(siblings or {})}, LONGEST if long else MAX_ANSWER
        try:
            return await call(
                self.http,
                LABEL,
                method,
                f"{self.url}/sidecar",
                headers=sent,
                params=params,
                json=body,
                most=most,
            )
        except Retry as error:
            if self.public and isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
                raise Snooze(CLOSED, answer=error.reason, park=Park.SERVICE_CLOSED) from error
            raise


# ---- what an answer means


def judged(response: httpx.Response) -> Any:
    """The JSON of an answer that does not say no, {} for an empty one; raises what any other asks for."""
    acceptable(response)
    answer = read(LABEL, response) if response.content.strip() else {}
    if no := refusal(table(answer), shown(response)):
        raise no
    return answer


def acceptable(response: httpx.Response) -> None:
    """Raises what a status that is no success, or a page instead of an answer, asks for."""
    status = response.status_code
    if is_closed(response):
        raise Snooze(CLOSED, park=Park.SERVICE_CLOSED)
    if is_page(response) and (response.is_success or status in (403, 404)):
        reason = f"TV Time answered {status} with a web page: something before it blocks the call"
        raise Retry(reason, answer=shown(response), after=GATEWAY, unsure=response.is_success, suspect=True)
    if status == 403:
        raise forbidden(response)
    accept(LABEL, response)


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


def table(answer: Any) -> Mapping[str, Any]:
    """The answer if it is a JSON object, else an empty one."""
    return answer if isinstance(answer, dict) else {}


def rows_of(listed: Any) -> list[Mapping[str, Any]]:
    return [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []


def integer(value: Any) -> int | None:
    """A number, which some answers write as text; None where it is none, or too long for an id."""
    return int(value) if str(value).isdecimal() and len(str(value)) < 19 else None


def text(value: Any) -> str | None:
    """A text that says something; None where it is none."""
    return value if isinstance(value, str) and value.strip() else None


# ---- tokens


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
