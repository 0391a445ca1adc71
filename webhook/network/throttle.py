"""The throttle of sign-ins: slows down guessing without locking out the owner of an account."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from webhook.network.proxies import network_of

WINDOW = 900.0
"""Seconds for which a failure is remembered."""

MAX_WAIT = 10.0
"""Maximum seconds that an attempt waits; a longer wait is refused."""

KEYS = 10_000
MAX_ACCOUNT_NAME = 200

Key: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pace:
    """A pace: a number of free failures, then growing delays up to a maximum in seconds."""

    free: int
    first: float
    most: float

    def delay(self, failures: int) -> float:
        over = failures - self.free
        return 0.0 if over < 0 else min(self.first * 2 ** min(over, 16), self.most)


PACES: Mapping[str, Pace] = {
    "pair": Pace(5, 1.0, 8.0),  # an address at an account
    "known": Pace(5, 1.0, 8.0),  # a browser in which this account has signed in before
    "code": Pace(5, 4.0, 300.0),  # the second factor of somebody whose password is known already
    "address": Pace(20, 1.0, 2.0),
    "account": Pace(30, 1.0, 2.0),
    "all": Pace(60, 0.25, 0.25),
}


class Throttled(Exception):
    """Too many attempts are waiting; another may be made after `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = math.ceil(seconds)
        super().__init__(f"Too many tries. Wait {self.seconds} seconds, then try again.")


@dataclass(slots=True)
class Counter:
    """The failures of one key, and the time of its last attempt, made or reserved."""

    failures: deque[float] = field(default_factory=deque)
    last: float = -math.inf

    def next(self, pace: Pace, now: float) -> float:
        """The time from which the next attempt is allowed."""
        while self.failures and now - self.failures[0] > WINDOW:
            self.failures.popleft()
        delay = pace.delay(len(self.failures))
        return max(now, self.last + delay) if delay else now


@dataclass(slots=True)
class Attempt:
    """A sign-in attempt, which counts as a failure unless marked as succeeded."""

    succeeded: bool = False


@dataclass(slots=True)
class LoginThrottle:
    """Delays sign-in attempts per pair of address and account, and less per address and per account."""

    paces: Mapping[str, Pace] = field(default_factory=lambda: PACES)
    clock: Callable[[], float] = time.monotonic
    counters: dict[Key, Counter] = field(default_factory=dict)

    @asynccontextmanager
    async def attempt(
        self, address: str, account: str, known_as: str | None = None
    ) -> AsyncIterator[Attempt]:
        """Wait for the turn of an attempt, and count its result; raises Throttled.

        `known_as`: what the browser is known by, where the account has signed in with it before. It has a turn of
        its own then, however many others guess.
        """
        keys = keys_of(address, account.casefold()[:MAX_ACCOUNT_NAME], known_as)
        await asyncio.sleep(self.reserve(keys))
        attempt = Attempt()
        yield attempt
        if attempt.succeeded:
            self.forgive(keys)

    @asynccontextmanager
    async def attempt_code(self, address: str, person_id: int) -> AsyncIterator[Attempt]:
        """As `attempt`, of a code beside a right password: that password forgives none of the wrong codes."""
        keys = (("code", str(person_id)), ("address", network_of(address)), ("all",))
        await asyncio.sleep(self.reserve(keys))
        attempt = Attempt()
        yield attempt
        if attempt.succeeded:
            self.forgive(keys)

    def reserve(self, keys: Iterable[Key]) -> float:
        """Reserve an attempt and return the seconds to wait; counting it first covers concurrent attempts."""
        now = self.clock()
        counters = {key: self.counter(key) for key in keys}
        turn = max(counter.next(self.paces[key[0]], now) for key, counter in counters.items())
        if turn - now > MAX_WAIT:
            raise Throttled(turn - now)
        for counter in counters.values():
            counter.failures.append(now)
            counter.last = turn
        return turn - now

    def counter(self, key: Key) -> Counter:
        """The key's counter, moved to the end of the eviction order."""
        counter = self.counters[key] = self.counters.pop(key, Counter())
        while len(self.counters) > KEYS:
            self.counters.pop(next(iter(self.counters)))
        return counter

    def forgive(self, keys: Iterable[Key]) -> None:
        """Forget the failures before a success; in shared counters only this attempt's own."""
        for key in keys:
            if key[0] in ("pair", "known", "code"):
                self.counters.pop(key, None)
            elif (counter := self.counters.get(key)) is not None and counter.failures:
                counter.failures.pop()


def keys_of(address: str, account: str, known_as: str | None) -> tuple[Key, ...]:
    if known_as is not None:
        return (("known", known_as),)
    network = network_of(address)
    return ("pair", network, account), ("address", network), ("account", account), ("all",)
