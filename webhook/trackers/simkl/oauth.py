"""The sign-in by PIN, whose token lasts for years and cannot be renewed: https://api.simkl.org/guides/pin-flow."""

from __future__ import annotations

from urllib.parse import quote

from webhook.trackers import DeviceCode, SignInFailed, Tokens
from webhook.trackers._json import as_text, parse_object
from webhook.trackers._sign_in import DeviceSignIn, read_device_code
from webhook.trackers.simkl.payloads import LABEL

APP_REFUSED = (
    "Simkl does not accept the client id: it is wrong, or the app's limit of calls is used up; "
    "look at https://simkl.com/settings/developer/"
)


class PinSignIn(DeviceSignIn):
    """A sign-in by a code that the person types in at Simkl: `webhook.trackers.Device`."""

    async def request_code(self) -> DeviceCode:
        """The `device_code` of the answer is a word that says nothing: the code that is shown is the one asked with."""
        body = self.accept_object(await self.call("GET", "/oauth/pin"))
        return read_device_code(LABEL, body, "user_code", url="https://simkl.com/pin", lasts=900)

    async def request_tokens(self, code: DeviceCode) -> Tokens | None:
        """The answer is 200 whatever it says; where Simkl asks for a slower pace, it returns that much later."""
        response = await self.call("GET", f"/oauth/pin/{quote(code.device_code, safe='')}")
        if response.status_code in (403, 412):
            raise SignInFailed(APP_REFUSED)
        body = parse_object(response)
        if token := as_text(body.get("access_token")):
            return {"access_token": token}
        message = (as_text(body.get("message")) or "").lower()
        if response.status_code == 429 or "slow" in message:
            await self.wait_for_pace(response, code)
        elif response.status_code == 404 or (body.get("result") == "KO" and "pending" not in message):
            raise SignInFailed(f"{LABEL} no longer knows this code; start again")
        return None
