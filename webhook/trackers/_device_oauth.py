"""The base class of sign-ins by device code after RFC 8628: https://datatracker.ietf.org/doc/html/rfc8628."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from webhook.client import accept
from webhook.texts import texts
from webhook.trackers import DeviceCode, SignInFailed, Tokens
from webhook.trackers._json import as_text, expect_object, parse_object
from webhook.trackers._oauth import AgingSignIn, add_times, error_of
from webhook.trackers._sign_in import DeviceSignIn, read_device_code

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
POLL_ENDS: Mapping[str, str] = texts(
    {
        "access_denied": "the sign-in was refused",
        "expired": "the code has expired; start again",
        "expired_token": "the code has expired; start again",
        "invalid_grant": "the service does not know this code; start again",
        "device_not_found": "the service does not know this code; start again",
        "invalid_client": "the service does not accept the client id",
        "unauthorized_client": "the service does not accept the client id",
        "invalid_scope": "the app behind the client id may not do all that is needed",
    }
)


class DeviceOAuth(AgingSignIn, DeviceSignIn):
    """A sign-in by device code that ages: `webhook.trackers.Device`, `Renews` and `Revokes`.

    An answer is judged by its `error`, whatever its status. A subclass has the addresses and a public client id, and the
    fields of a call where they are others than the standard's.
    """

    scope: ClassVar[str]
    device_path: ClassVar[str]
    revoke_path: ClassVar[str]

    def poll_fields(self, code: DeviceCode) -> Mapping[str, str]:
        return {"grant_type": GRANT, "device_code": code.device_code}

    def revoke_fields(self, tokens: Tokens) -> Mapping[str, str]:
        return {"token": tokens["access_token"]}

    async def request_code(self) -> DeviceCode:
        response = await self.call_oauth(self.device_path, scope=self.scope)
        if reason := POLL_ENDS.get(error_of(response)):
            raise SignInFailed(reason)
        return read_device_code(self.label, expect_object(self.label, accept(self.label, response)))

    async def request_tokens(self, code: DeviceCode) -> Tokens | None:
        response = await self.call_oauth(self.token_path, **self.poll_fields(code))
        body, error = parse_object(response), error_of(response)
        if as_text(body.get("access_token")):
            return add_times(body)
        if error == "slow_down":
            await self.wait_for_pace(response, code)
        if reason := POLL_ENDS.get(error):
            raise SignInFailed(reason)
        return None

    async def revoke(self, tokens: Tokens) -> None:
        if tokens.get("access_token"):
            accept(self.label, await self.call_oauth(self.revoke_path, **self.revoke_fields(tokens)))
