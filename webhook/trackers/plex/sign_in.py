"""Signing in to Plex: by a code at https://plex.tv/link, for the account and for the server that it shares."""

from __future__ import annotations

from collections.abc import Mapping

from webhook.client import call, read_json, version
from webhook.domain.outcome import Unmatched
from webhook.trackers import DeviceCode, SignInFailed, Tokens
from webhook.trackers._json import JsonObject, as_rows, as_text, child
from webhook.trackers._sign_in import DeviceSignIn, read_device_code

LABEL = "Plex"
LINK_PAGE = "https://plex.tv/link"
POLL_INTERVAL = 2
"""Seconds between two looks at whether the code was entered."""


class PlexSignIn(DeviceSignIn):
    """The part of the tracker that signs in; `account_token` is of the account itself, `token` at its server."""

    account_api: str

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        known = {
            "Accept": "application/json",
            "X-Plex-Client-Identifier": "watchmark",
            "X-Plex-Product": "Watchmark",
            "X-Plex-Version": version(),
            "X-Plex-Device-Name": "Watchmark",
        }
        return {**known, "X-Plex-Token": str(tokens["token"])} if tokens.get("token") else known

    async def request_code(self) -> DeviceCode:
        body = await self.ask_plex("POST", "pins")
        named = {
            "user_code": body.get("code"),
            "id": str(body.get("id")),
            "expires_in": body.get("expiresIn"),
        }
        return read_device_code(LABEL, {**named, "interval": POLL_INTERVAL}, "id", LINK_PAGE)

    async def request_account_token(self, code: DeviceCode) -> str | None:
        """The token of the account that the code was entered in; None until then."""
        try:
            body = await self.ask_plex("GET", f"pins/{code.device_code}")
        except Unmatched as error:
            raise SignInFailed("the code has expired; start again") from error
        return as_text(body.get("authToken"))

    async def request_tokens(self, code: DeviceCode) -> Tokens | None:
        """The sign-in at the person's server: of an account without that server it is refused."""
        token = await self.request_account_token(code)
        if token is None:
            return None
        signed_in = {"token": token}
        machine = child(self.accept_object(await self.call("GET", "/identity")), "MediaContainer")
        name = await self.ask_plex("GET", "user", signed_in)
        for row in as_rows((await self.ask_plex("GET", "resources", signed_in)).get("rows")):
            if row.get("clientIdentifier") == machine.get("machineIdentifier") and row.get("accessToken"):
                return {
                    "token": row["accessToken"],
                    "account_token": token,
                    "name": as_text(name.get("username")) or as_text(name.get("title")) or LABEL,
                    "server": machine.get("machineIdentifier"),
                }
        raise SignInFailed("this Plex account has no access to the server that is set up here")

    async def ask_plex(self, method: str, path: str, tokens: Tokens | None = None) -> JsonObject:
        """The object in an answer of Plex's own accounts; a list is one under `rows`."""
        url, headers = f"{self.account_api}/api/v2/{path}", self.headers(tokens or {})
        response = self.accept(await call(self.http, LABEL, method, url, headers=headers))
        body = read_json(LABEL, response)
        return {"rows": body} if isinstance(body, list) else child({"body": body}, "body")
