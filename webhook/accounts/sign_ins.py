"""Pending sign-ins, begun on a page or by the API and polled in the background.

They are held in memory; a restart drops those not yet approved, which are begun again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, cast

import structlog

from webhook import clock
from webhook.accounts import accounts
from webhook.accounts.accounts import AccountError, Dependencies
from webhook.domain.outcome import Undelivered
from webhook.settings import SettingsError
from webhook.storage.db import Unavailable
from webhook.trackers import Device, DeviceCode, SignInFailed, Tokens

log = structlog.get_logger()

SignInState = Literal["waiting", "agreed", "connected", "failed", "cancelled"]

MAX_WAITING = 50
"""Maximum number of pending sign-ins."""

ENDED_RETENTION = timedelta(minutes=15)
"""The time for which an ended sign-in can still be read."""

UNDER_WAY = frozenset({"waiting", "agreed"})
CANCELLED = "It was cancelled."
FAULT = "Something is wrong here, not with what you did. It is in the log. Begin again."


@dataclass(slots=True)
class SignIn:
    """One sign-in by a code, or by a consent page (then `code.user_code` is empty)."""

    id: str
    person_id: int
    tracker: str
    code: DeviceCode
    ends_at: datetime
    state: SignInState = "waiting"
    says: str | None = None
    works: bool | None = None
    account_id: int | None = None
    is_server: bool = False
    """True for that of a media server itself, which is listened to, not of a person's account at it."""

    ended_at: datetime | None = None
    task: asyncio.Task[None] | None = None

    @property
    def under_way(self) -> bool:
        return self.state in UNDER_WAY

    def remaining_seconds(self, now: datetime) -> int:
        """Seconds until the code expires."""
        return max(0, int((self.ends_at - now).total_seconds()))

    def overtaken(self, since: datetime | None) -> bool:
        """True if the account changed at `since`, after this sign-in ended."""
        return self.ended_at is not None and since is not None and since > self.ended_at

    def end(self, state: SignInState, says: str | None) -> None:
        self.state, self.says, self.ended_at = state, says, clock.now()


class Finished(NamedTuple):
    """What a sign-in came to: the account, if it is one, whether it works, and as whom or why not."""

    account_id: int | None
    works: bool
    says: str | None


Finish = Callable[[Tokens], Awaitable[Finished]]


class SignIns:
    """Registry of pending sign-ins: one for each person and tracker, and one for each media server."""

    def __init__(self, dependencies: Dependencies) -> None:
        self.dependencies = dependencies
        self.held: dict[str, SignIn] = {}

    async def begin(self, person_id: int, name: str) -> SignIn:
        """Begin a sign-in, or return the pending one; raises AccountError or SignInFailed."""
        tracker = accounts.get_tracker(self.dependencies, name)
        if tracker.sign_in not in ("device", "web"):
            raise AccountError(f"{tracker.label} is not signed in to by a code or a page.")
        if waiting := self.pending_sign_in(person_id, name):
            return waiting
        self.make_room()
        device = cast(Device, tracker)
        code = await device.begin()

        async def finish(tokens: Tokens) -> Finished:
            done = await accounts.finish_sign_in(self.dependencies, person_id, tracker, tokens, None)
            verdict = done.verdict
            return Finished(done.account_id, verdict.works, verdict.name if verdict.works else verdict.reason)

        # The button may have been pressed twice; the unseen code expires.
        return self.pending_sign_in(person_id, name) or self.watch_sign_in(
            new_sign_in(person_id, name, code), device, finish
        )

    async def begin_server(self, person_id: int, name: str, device: Device, finish: Finish) -> SignIn:
        """Begin the sign-in of a media server in place of the one before; raises AccountError or SignInFailed."""
        for one in self.list_of_server(name):
            self.cancel(one)
        self.make_room()
        made = new_sign_in(person_id, name, await device.begin())
        made.is_server = True
        return self.watch_sign_in(made, device, finish)

    def make_room(self) -> None:
        self.forget()
        if sum(one.under_way for one in self.held.values()) >= MAX_WAITING:
            raise AccountError("Too many sign-ins are under way. Finish or cancel one, then begin again.")

    def watch_sign_in(self, made: SignIn, device: Device, finish: Finish) -> SignIn:
        """Hold a sign-in that has begun, in place of the earlier ones, and wait for its end."""
        self.held = {
            known: one
            for known, one in self.held.items()
            if (one.tracker, one.is_server) != (made.tracker, made.is_server)
            or (one.person_id != made.person_id and not made.is_server)
        }
        self.held[made.id] = made
        made.task = asyncio.create_task(self.wait(made, device, finish), name=f"sign-in {made.tracker}")
        return made

    async def wait(self, made: SignIn, device: Device, finish: Finish) -> None:
        """Wait for the approval, the refusal or the code's expiry, and store the result."""
        try:
            tokens = await accounts.wait_for_approval(device, made.code)
            made.state = "agreed"  # not cancelled from here on: the tokens are given only once
            made.account_id, made.works, says = await finish(tokens)
        except SignInFailed as error:
            made.end("failed", str(error))
        except (Undelivered, AccountError, SettingsError, Unavailable) as error:
            made.end("failed", f"The sign-in could not be kept: {error}. Begin again.")
        except Exception as error:  # an error must not end the service
            log.error("A sign-in failed with an unexpected error.", tracker=made.tracker, exc_info=error)
            made.end("failed", FAULT)
        else:
            made.end("connected", says)

    # --- found

    def get(self, wanted: str) -> SignIn | None:
        return self.held.get(wanted)

    def list_of_tracker(self, name: str) -> list[SignIn]:
        """The sign-ins of accounts at one tracker, newest last."""
        return [one for one in self.held.values() if one.tracker == name and not one.is_server]

    def list_of_server(self, name: str) -> list[SignIn]:
        return [one for one in self.held.values() if one.tracker == name and one.is_server]

    def pending_sign_in(self, person_id: int, name: str) -> SignIn | None:
        found = (one for one in self.list_of_tracker(name) if one.person_id == person_id and one.under_way)
        return next(found, None)

    # --- ended

    def cancel(self, made: SignIn) -> bool:
        """Cancel a sign-in; returns True if it was pending."""
        if made.state != "waiting" or made.task is None:
            return False
        made.task.cancel()
        made.end("cancelled", CANCELLED)
        return True

    def forget(self) -> None:
        """Drop the sign-ins that ended a while ago."""
        since = clock.now() - ENDED_RETENTION
        self.held = {
            known: one
            for known, one in self.held.items()
            if one.under_way or (one.ended_at is not None and one.ended_at > since)
        }

    async def close(self) -> None:
        """Cancel all pending sign-ins, except those whose tokens are being stored."""
        for made in self.held.values():
            self.cancel(made)
        tasks = [made.task for made in self.held.values() if made.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=10)


def new_sign_in(person_id: int, name: str, code: DeviceCode) -> SignIn:
    return SignIn(
        id=secrets.token_urlsafe(12),
        person_id=person_id,
        tracker=name,
        code=code,
        ends_at=clock.now() + code.expires_in,
    )
