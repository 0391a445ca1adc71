"""The sign-in by PIN, whose token lasts for years and cannot be renewed: https://api.simkl.org/guides/pin-flow."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import quote

import httpx

from webhook.domain.outcome import Retry, Undelivered
from webhook.domain.retry import retry_after
from webhook.trackers import DeviceCode, SignInFailed, Tokens
from webhook.trackers._base import BaseTracker
from webhook.trackers._json import as_int, as_text, expect_object, parse_object
from webhook.trackers.simkl.payloads import LABEL

MAX_POLL_PAUSE = timedelta(seconds=30)
APP_REFUSED = (
    "Simkl does not accept the client id: it is wrong, or the app's limit of calls is used up; "
    "look at https://simkl.com/settings/developer/"
)


class PinSignIn(BaseTracker):
    """A sign-in by a code that the person types in at Simkl: `webhook.trackers.Device`."""

    async def begin(self) -> DeviceCode:
        try:
            return parse_device_code(self.accept(await self.call("GET", "/oauth/pin")))
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
        body = parse_object(response)
        if token := as_text(body.get("access_token")):
            return {"access_token": token}
        message = (as_text(body.get("message")) or "").lower()
        if response.status_code == 429 or "slow" in message:
            pause = min(retry_after(response.headers) or code.interval, MAX_POLL_PAUSE)
            await asyncio.sleep(pause.total_seconds())
        elif response.status_code == 404 or (body.get("result") == "KO" and "pending" not in message):
            raise SignInFailed(f"{LABEL} no longer knows this code; start again")
        return None


def parse_device_code(response: httpx.Response) -> DeviceCode:
    """The `device_code` of the answer is a word that says nothing: the code that is shown is the one asked with."""
    body = expect_object(LABEL, response)
    code, url = as_text(body.get("user_code")), as_text(body.get("verification_url"))
    if not code:
        raise SignInFailed(f"{LABEL} sent no code to sign in with")
    return DeviceCode(
        user_code=code,
        url=url or "https://simkl.com/pin",
        interval=timedelta(seconds=as_int(body.get("interval")) or 5),
        expires_in=timedelta(seconds=as_int(body.get("expires_in")) or 900),
        device_code=code,
    )
