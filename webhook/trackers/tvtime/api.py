"""The calls to a server: the hosts behind TV Time's app are asked through its one proxy, `/sidecar`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from webhook.client import MAX_ANSWER, call, version
from webhook.domain.outcome import Park, Retry, Snooze
from webhook.trackers import Access, Tokens
from webhook.trackers.tvtime.responses import CLOSED, LABEL, as_mapping, parse_answer

API = "https://api2.tozelabs.com/v2"
LOGIN = "https://auth.tvtime.com/v1/login"
MOVIE_SEARCH = "https://search.tvtime.com/v1/search/movie"
SHOW_SEARCH = "https://search.tvtime.com/v1/search/series"
SERIES = "https://msapi.tvtime.com/v1/series"
TRACKING = "https://msapi.tvtime.com/prod/v1/tracking"

CLOSED_HOSTS = ("tvtime.com", "tozelabs.com")
"""The original service's hosts, which are shut down: no response there is not an outage."""

MAX_LIST = 8 * 1024 * 1024
"""The most that a list without pages may hold: a daily show has thousands of episodes."""


TVTIME_AGENT = f"Watchmark/{version()}"
"""The User-Agent: TV Time's edge refused those of HTTP libraries."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The client of a server; `url` is its address without `/sidecar`."""

    url: str
    http: httpx.AsyncClient

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def is_public(self) -> bool:
        return any(f".{self.host}".endswith(f".{domain}") for domain in CLOSED_HOSTS)

    async def call(self, access: Access, method: str, upstream: str, **siblings: str) -> Any:
        """The answer to an account's call; raises as a tracker does."""
        return parse_answer(await self.response(access, method, upstream, siblings))

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
        """The server's response with any status; `long`: a list without pages."""
        sent = {"User-Agent": TVTIME_AGENT, "Accept": "application/json", **(headers or {})}
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        params, most = {"o": upstream, **(siblings or {})}, MAX_LIST if long else MAX_ANSWER
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
            if self.is_public and isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
                raise Snooze(CLOSED, answer=error.reason, park=Park.SERVICE_CLOSED) from error
            raise


def bearer_of(tokens: Tokens) -> str:
    return str(tokens.get("jwt_token") or "")


def user_id(tokens: Tokens) -> str:
    return str(tokens.get("id") or claims(tokens).get("id") or "")


def claims(tokens: Tokens) -> Mapping[str, Any]:
    """The claims of the access token, unverified; nothing where it cannot be read."""
    middle = bearer_of(tokens).partition(".")[2].partition(".")[0]
    try:
        return as_mapping(orjson.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4))))
    except ValueError:
        return {}
