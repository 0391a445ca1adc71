"""The base class of sign-ins by OAuth 2 whose tokens age and are renewed by a refresh token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import httpx

from webhook.client import FORM, USER_AGENT, accept, call, excerpt
from webhook.domain.outcome import Dead, Park, Retry, Snooze, Unmatched
from webhook.domain.retry import UNSURE_PAUSE
from webhook.trackers import Tokens
from webhook.trackers._base import BaseTracker
from webhook.trackers._json import JsonObject, as_int, as_text, parse_object

TOKEN_LIFE = timedelta(days=30)
MIN_LIFE_LEFT = timedelta(minutes=5)


class AgingSignIn(BaseTracker):
    """A sign-in that ages: `webhook.trackers.Renews`. A subclass has a client id, and the path of tokens under `oauth_url`.

    `refresh_path` is that of a renewal, where it is another; `sends_json` where the fields go as JSON.
    """

    client_id: str
    oauth_url: str
    token_path: ClassVar[str]
    refresh_path: ClassVar[str] = ""
    sends_json: ClassVar[bool] = False

    def __init__(self, http: httpx.AsyncClient, url: str, writes_per_second: float = 0.0) -> None:
        super().__init__(http, url, writes_per_second)
        self.oauth_url = self.api

    async def call_oauth(self, path: str, **fields: str) -> httpx.Response:
        kind = "application/json" if self.sends_json else FORM
        headers = {"Accept": "application/json", "User-Agent": USER_AGENT, "Content-Type": kind}
        given = {**fields, "client_id": self.client_id}
        json, form = (given, None) if self.sends_json else (None, given)
        return await call(
            self.http, self.label, "POST", self.oauth_url + path, headers=headers, json=json, form=form
        )

    def refresh_fields(self, token: str) -> Mapping[str, str]:
        return {"grant_type": "refresh_token", "refresh_token": token}

    def stale(self, tokens: Tokens, now: datetime) -> bool:
        """True if the tokens end within minutes; a pasted key has no end."""
        if "created_at" not in tokens:
            return False
        ends = datetime.fromtimestamp(tokens["created_at"] + tokens["expires_in"], UTC)
        return ends - now < MIN_LIFE_LEFT

    async def refresh(self, tokens: Tokens) -> Tokens:
        """Newer tokens; the refresh token stays where no other comes with them."""
        token = tokens.get("refresh_token")
        if token is None:
            raise Snooze(f"{self.label} no longer accepts this sign-in", park=Park.SIGNED_OUT)
        path = self.refresh_path or self.token_path
        response = await self.call_oauth(path, **self.refresh_fields(token))
        if response.status_code in (400, 401, 403):
            reason = f"{self.label} no longer accepts this sign-in"
            raise Snooze(reason, answer=excerpt(response), park=Park.SIGNED_OUT)
        try:
            body = parse_object(accept(self.label, response))
        except (Unmatched, Dead) as error:  # words for a delivery; here it is the sign-in's address
            raise Retry(f"Renewing the sign-in: {error.reason}", answer=error.answer) from error
        if not as_text(body.get("access_token")):
            # What came instead may be half a sign-in, so it is not shown.
            raise Retry(f"{self.label} sent no tokens", after=UNSURE_PAUSE, unsure=True)
        return add_times({**tokens, **body, "refresh_token": as_text(body.get("refresh_token")) or token})


def error_of(response: httpx.Response) -> str:
    return as_text(parse_object(response).get("error")) or ""


def add_times(body: JsonObject) -> Tokens:
    """The tokens with the time at which they came, and their life."""
    life = as_int(body.get("expires_in")) or int(TOKEN_LIFE.total_seconds())
    return {**body, "created_at": int(datetime.now(UTC).timestamp()), "expires_in": life}
