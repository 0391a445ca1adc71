"""The base classes of sign-ins: by a code or an address (`webhook.trackers.Device`), by a token (`TokenSignIn`)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

import httpx

from webhook.domain.outcome import Park, Retry, Snooze, Undelivered
from webhook.domain.retry import retry_after
from webhook.trackers import Access, DeviceCode, SignIn, SignInFailed, Tokens
from webhook.trackers._base import BaseTracker
from webhook.trackers._json import JsonObject, as_int, as_text

MAX_POLL_PAUSE = timedelta(seconds=30)


class ReceiverSignIn(Protocol):
    """A tracker of which each account has an address of its own, entered by the owner."""

    async def accept_receiver(self, given: Mapping[str, str], stored: Tokens) -> Tokens:
        """The receiver as it was typed, with the secrets that are `stored` where none was; raises SignInFailed."""
        ...


class DeviceSignIn(BaseTracker):
    """A sign-in under way, which outlives a hiccup of the service.

    A subclass has `request_code` and `request_tokens`, which raise as `send` does, or SignInFailed.
    """

    async def request_code(self) -> DeviceCode:
        raise NotImplementedError

    async def request_tokens(self, code: DeviceCode) -> Tokens | None:
        raise NotImplementedError

    async def begin(self) -> DeviceCode:
        with end_sign_in():
            return await self.request_code()

    async def poll(self, code: DeviceCode) -> Tokens | None:
        with end_sign_in():
            try:
                return await self.request_tokens(code)
            except Retry:
                return None
            except Snooze as error:
                if error.park is not None:
                    raise
                return None

    async def wait_for_pace(self, response: httpx.Response, code: DeviceCode) -> None:
        """Sleep for as long as the service asks, within bounds, where it is polled too often."""
        pause = min(retry_after(response.headers) or code.interval, MAX_POLL_PAUSE)
        await asyncio.sleep(pause.total_seconds())


class PastedToken(BaseTracker):
    """A sign-in by a token that the service shows to the person on its `token_page`.

    A subclass has `validate`.
    """

    sign_in: SignIn = "token"
    token_page: str

    async def validate(self, tokens: Tokens) -> str | None:
        """The account's name; None if the token is none of the service's."""
        raise NotImplementedError

    async def check(self, access: Access) -> str:
        name = await self.validate(access.tokens)
        if name is None:
            raise Snooze(f"{self.label} does not accept the token", park=Park.SIGNED_OUT)
        return name

    async def accept_token(self, token: str) -> Tokens:
        """The sign-in that the token is good for; raises SignInFailed."""
        token = token.strip()
        with end_sign_in():
            name = await self.validate({"token": token})
        if name is None:
            raise SignInFailed(f"{self.label} does not know this token; copy it from {self.token_page}")
        return {"token": token, "name": name}


@contextmanager
def end_sign_in() -> Iterator[None]:
    """Raise SignInFailed where the service's answer is a decision against it."""
    try:
        yield
    except Undelivered as error:
        raise SignInFailed(error.reason) from error


def read_device_code(
    label: str, body: JsonObject, name: str = "device_code", url: str | None = None, lasts: int = 600
) -> DeviceCode:
    """The code in an answer, whose polls are asked with what stands under `name`; raises SignInFailed."""
    code, user_code = as_text(body.get(name)), as_text(body.get("user_code"))
    url = as_text(body.get("verification_uri")) or as_text(body.get("verification_url")) or url
    if not (code and user_code and url):
        raise SignInFailed(f"{label} sent no code to sign in with")
    return DeviceCode(
        user_code=user_code,
        url=url,
        interval=timedelta(seconds=as_int(body.get("interval")) or 5),
        expires_in=timedelta(seconds=as_int(body.get("expires_in")) or lasts),
        device_code=code,
    )
