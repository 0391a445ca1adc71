"""The sign-in by device code: https://docs.trakt.tv/reference/authentication-devices."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import httpx
from pydantic import SecretStr

from webhook.client import USER_AGENT, accept, call, excerpt
from webhook.domain.outcome import Dead, Park, Retry, Snooze, Unmatched
from webhook.domain.retry import UNSURE_PAUSE
from webhook.trackers import DeviceCode, SignInFailed, Tokens
from webhook.trackers._json import as_int, as_text, expect_object, parse_object
from webhook.trackers._sign_in import DeviceSignIn, read_device_code
from webhook.trackers.trakt.payloads import LABEL

TOKEN_LIFE = timedelta(days=7)
MIN_LIFE_LEFT = timedelta(hours=1)
REDIRECT = "urn:ietf:wg:oauth:2.0:oob"
RENEWAL_LOST = (
    "Trakt's answer to the renewal of the sign-in was lost, and the refresh token works only once: "
    "it may be used up, then a new sign-in is needed"
)
APP_GONE = "Trakt does not accept the API app: check its client id and secret, and that it still exists"
POLL_ENDS: Mapping[int, str] = {
    401: APP_GONE,
    403: APP_GONE,
    404: "Trakt does not know this code; start again",
    409: "this code was used already; start again",
    410: "the code has expired; start again",
    418: "the sign-in was refused at Trakt",
}


class OAuth(DeviceSignIn):
    """A sign-in by device code that ages: `webhook.trackers.Device`, `Renews` and `Revokes`."""

    auth: str
    client_id: str
    client_secret: SecretStr

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        return {
            "trakt-api-version": "2",
            "trakt-api-key": self.client_id,
            "Authorization": f"Bearer {tokens.get('access_token', '')}",
        }

    async def call_oauth(self, path: str, **fields: str) -> httpx.Response:
        app = {"client_id": self.client_id}
        if fields:  # only the first call of a device sign-in goes without the secret
            app["client_secret"] = self.client_secret.get_secret_value()
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        url, body = self.auth + path, {**fields, **app}
        return await call(self.http, LABEL, "POST", url, headers=headers, json=body)

    async def request_code(self) -> DeviceCode:
        response = await self.call_oauth("/oauth/device/code")
        if response.status_code in (400, 401, 403):
            raise SignInFailed(APP_GONE)
        return read_device_code(LABEL, expect_object(LABEL, accept(LABEL, response)))

    async def request_tokens(self, code: DeviceCode) -> Tokens | None:
        """As the protocol says; where Trakt asks for a slower pace, it returns that much later."""
        response = await self.call_oauth("/oauth/device/token", code=code.device_code)
        if response.is_success:
            return parse_first_tokens(response)
        if response.status_code == 429:
            await self.wait_for_pace(response, code)
        if reason := POLL_ENDS.get(response.status_code):
            raise SignInFailed(reason)
        return None

    def stale(self, tokens: Tokens, now: datetime) -> bool:
        """True if less than a tenth of the tokens' life is left, or less than an hour."""
        life = timedelta(seconds=tokens.get("expires_in", TOKEN_LIFE.total_seconds()))
        ends = datetime.fromtimestamp(tokens.get("created_at", 0), UTC) + life
        return ends - now < max(life / 10, MIN_LIFE_LEFT)

    async def refresh(self, tokens: Tokens) -> Tokens:
        """A new pair. The old one dies with the call, so a lost answer may cost the sign-in."""
        fields = {"grant_type": "refresh_token", "redirect_uri": REDIRECT}
        token = tokens.get("refresh_token", "")
        try:
            response = await self.call_oauth("/oauth/token", refresh_token=token, **fields)
            if response.status_code in (400, 401):
                raise refuse_renewal(response)
            return parse_tokens(accept(LABEL, response))
        except Retry as error:
            if not error.unsure:
                raise
            raise Retry(RENEWAL_LOST, answer=error.answer, after=error.after, unsure=True) from error
        except (Unmatched, Dead) as error:  # words for a delivery; here it is the sign-in's address
            raise Retry(f"Renewing the sign-in: {error.reason}", answer=error.answer) from error

    async def revoke(self, tokens: Tokens) -> None:
        accept(LABEL, await self.call_oauth("/oauth/revoke", token=tokens.get("access_token", "")))


def refuse_renewal(response: httpx.Response) -> Snooze:
    """The reason why tokens were not renewed: the app is gone, or the sign-in is."""
    if parse_object(response).get("error") == "invalid_client":
        return Snooze(APP_GONE, answer=excerpt(response), park=Park.APP_DELETED)
    return Snooze(f"{LABEL} no longer accepts this sign-in", answer=excerpt(response), park=Park.SIGNED_OUT)


def parse_tokens(response: httpx.Response) -> Tokens:
    """The token object; raises Retry (unsure) where it is none."""
    body = parse_object(response)
    if not all(as_text(body.get(name)) for name in ("access_token", "refresh_token")):
        # What came instead may be half a sign-in, so it is not shown.
        raise Retry(f"{LABEL} sent no tokens", after=UNSURE_PAUSE, unsure=True)
    now = int(datetime.now(UTC).timestamp())
    times = {"created_at": now, "expires_in": int(TOKEN_LIFE.total_seconds())}
    return {**body, **{name: as_int(body.get(name)) or default for name, default in times.items()}}


def parse_first_tokens(response: httpx.Response) -> Tokens:
    try:
        return parse_tokens(response)
    except Retry as error:
        raise SignInFailed(f"{error.reason}; start again") from None
