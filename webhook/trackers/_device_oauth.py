"""The base class of sign-ins by device code after RFC 8628: https://datatracker.ietf.org/doc/html/rfc8628."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import httpx

from webhook.client import USER_AGENT, accept, call, excerpt
from webhook.domain.outcome import Dead, Park, Retry, Snooze, Unmatched
from webhook.domain.retry import UNSURE_PAUSE
from webhook.texts import texts
from webhook.trackers import DeviceCode, SignInFailed, Tokens
from webhook.trackers._json import JsonObject, as_int, as_text, expect_object, parse_object
from webhook.trackers._sign_in import DeviceSignIn, read_device_code

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_LIFE = timedelta(days=30)
MIN_LIFE_LEFT = timedelta(minutes=5)
POLL_ENDS: Mapping[str, str] = texts(
    {
        "access_denied": "the sign-in was refused",
        "expired_token": "the code has expired; start again",
        "device_not_found": "the service does not know this code; start again",
        "invalid_client": "the service does not accept the client id",
        "unauthorized_client": "the service does not accept the client id",
    }
)


class DeviceOAuth(DeviceSignIn):
    """A sign-in by device code that ages: `webhook.trackers.Device`, `Renews` and `Revokes`.

    An answer is judged by its `error`, whatever its status. A subclass has the addresses and a public client id.
    """

    client_id: str
    scope: ClassVar[str]
    device_path: ClassVar[str]
    token_path: ClassVar[str]
    revoke_path: ClassVar[str]

    async def call_oauth(self, path: str, **fields: str) -> httpx.Response:
        headers, form = {"Accept": "application/json", "User-Agent": USER_AGENT}, {**fields}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        form["client_id"] = self.client_id
        return await call(self.http, self.label, "POST", self.api + path, headers=headers, form=form)

    async def request_code(self) -> DeviceCode:
        response = await self.call_oauth(self.device_path, scope=self.scope)
        if reason := POLL_ENDS.get(error_of(response)):
            raise SignInFailed(reason)
        return read_device_code(self.label, expect_object(self.label, accept(self.label, response)))

    async def request_tokens(self, code: DeviceCode) -> Tokens | None:
        fields = {"grant_type": GRANT, "device_code": code.device_code}
        response = await self.call_oauth(self.token_path, **fields)
        body, error = parse_object(response), error_of(response)
        if as_text(body.get("access_token")):
            return add_times(body)
        if error == "slow_down":
            await self.wait_for_pace(response, code)
        if reason := POLL_ENDS.get(error):
            raise SignInFailed(reason)
        return None

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
        response = await self.call_oauth(self.token_path, grant_type="refresh_token", refresh_token=token)
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
        return add_times({**body, "refresh_token": as_text(body.get("refresh_token")) or token})

    async def revoke(self, tokens: Tokens) -> None:
        if token := tokens.get("access_token"):
            accept(self.label, await self.call_oauth(self.revoke_path, token=token))


def error_of(response: httpx.Response) -> str:
    return as_text(parse_object(response).get("error")) or ""


def add_times(body: JsonObject) -> Tokens:
    """The tokens with the time at which they came, and their life."""
    life = as_int(body.get("expires_in")) or int(TOKEN_LIFE.total_seconds())
    return {**body, "created_at": int(datetime.now(UTC).timestamp()), "expires_in": life}
