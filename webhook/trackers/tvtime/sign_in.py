"""The sign-in by user name and password, whose token is renewed by another that does not rotate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx

from webhook.domain.outcome import Dead, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.domain.retry import UNSURE_PAUSE
from webhook.trackers import SignInFailed, Tokens
from webhook.trackers._base import BaseTracker
from webhook.trackers.tvtime.api import API, LOGIN, Calls, bearer_of, claims, user_id
from webhook.trackers.tvtime.responses import as_mapping, parse_answer

RENEW_AHEAD = timedelta(days=1)
WRONG_LOGIN = (
    "TV Time did not accept this name and password. An account made with Facebook or Google has no "
    "password of its own: set one at the service first."
)
NO_TOKEN = "TV Time answered the sign-in without a token. Try again later."
BUILT_IN = "TV Time is the built-in library here, which needs no sign-in. Set TVTIME_URL to use a server."


class PasswordSignIn(BaseTracker):
    """`webhook.trackers.Password` and `Renews`, at a server."""

    url: str
    calls: Calls

    async def login(self, username: str, password: str) -> Tokens:
        if not self.url:
            raise SignInFailed(BUILT_IN)
        try:
            anonymous = as_mapping(parse_answer(await self.calls.ask("POST", f"{API}/user", {"lang": "en"})))
            if not bearer_of(anonymous):
                raise SignInFailed(NO_TOKEN)
            body = {"username": username, "password": password}
            response = await self.calls.ask("POST", LOGIN, bearer=bearer_of(anonymous), body=body)
        except Undelivered as error:
            raise SignInFailed(sign_in_sentence(error)) from error
        return parse_login(response)

    def stale(self, tokens: Tokens, now: datetime) -> bool:
        expires = claims(tokens).get("exp")
        return isinstance(expires, int | float) and expires - now.timestamp() < RENEW_AHEAD.total_seconds()

    async def refresh(self, tokens: Tokens) -> Tokens:
        path = f"{API}/user/{user_id(tokens)}/jwt"
        proof = {"jwt_refresh_token": str(tokens.get("jwt_refresh_token") or "")}
        try:
            response = await self.calls.ask("GET", path, bearer=bearer_of(tokens), headers=proof)
            return replace_token(tokens, as_mapping(parse_answer(response)))
        except (Dead, Unmatched) as error:
            raise Snooze(error.reason, park=Park.SIGNED_OUT) from error
        except Undelivered as error:
            error.answer = None  # half an answer here is half a token
            raise


def parse_login(response: httpx.Response) -> Tokens:
    """The tokens of an answer to a login; raises SignInFailed with a sentence for the person."""
    try:
        data = as_mapping(as_mapping(parse_answer(response)).get("data"))
    except Undelivered as error:
        wrong = isinstance(error, Dead | Unmatched) or park_of(error) is Park.SIGNED_OUT
        raise SignInFailed(WRONG_LOGIN if wrong else sign_in_sentence(error)) from error
    tokens = {name: data.get(name) for name in ("jwt_token", "jwt_refresh_token")}
    if not all(tokens.values()):
        raise SignInFailed(NO_TOKEN)
    return {"id": str(data.get("id") or claims(tokens).get("id")), **tokens}


def sign_in_sentence(error: Undelivered) -> str:
    closed = park_of(error) is Park.SERVICE_CLOSED
    return f"{error.reason}." if closed else f"{error.reason}. Try again later."


def park_of(error: Undelivered) -> Park | None:
    return error.park if isinstance(error, Snooze) else None


def replace_token(tokens: Tokens, answer: Mapping[str, Any]) -> Tokens:
    """The tokens with the new one; the refresh token stays, it does not rotate."""
    if not answer.get("jwt_token"):
        raise Retry("TV Time's answer to a renewal holds no token", after=UNSURE_PAUSE)
    return {**tokens, "jwt_token": answer["jwt_token"]}
