"""Signing in by a device code, and tokens that age: https://auth.trakt.tv."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import httpx

from webhook.client import accept, shown
from webhook.domain.outcome import Dead, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.domain.retry import GATEWAY, retry_after
from webhook.trackers import DeviceCode, SignInFailed, Tokens
from webhook.trackers._shared import inner_json
from webhook.trackers.trakt.api import Calls
from webhook.trackers.trakt.responses import LABEL, shaped, text, whole

LIFE = timedelta(days=7)
HOUR = timedelta(hours=1)
SLOWEST = timedelta(seconds=30)
REDIRECT = "urn:ietf:wg:oauth:2.0:oob"
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


class Device:
    """The sign-in of `webhook.trackers.Device`, `Renews` and `Revokes`."""

    calls: Calls

    async def begin(self) -> DeviceCode:
        try:
            response = await self.calls.oauth("/oauth/device/code")
            if response.status_code in (400, 401, 403):
                raise SignInFailed(APP_GONE)
            return device_code(response)
        except Undelivered as error:
            raise SignInFailed(error.reason) from error

    async def poll(self, code: DeviceCode) -> Tokens | None:
        """As the protocol says; where Trakt asks for a slower pace, it returns that much later."""
        try:
            response = await self.calls.oauth("/oauth/device/token", code=code.device_code)
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
        token = tokens.get("refresh_token", "")
        try:
            response = await self.calls.oauth("/oauth/token", refresh_token=token, **said)
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
        accept(LABEL, await self.calls.oauth("/oauth/revoke", token=tokens.get("access_token", "")))


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
