"""What costs people a moment and the tests minutes: password hashes, certificates that are read, garbage collections."""

from __future__ import annotations

import functools
import gc
import ssl
from typing import Any

from argon2 import PasswordHasher

from webhook.people import passwords

HASHER = passwords.hasher
"""The hasher that the program has when no test runs it."""

CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def apply() -> None:
    """Hash with little memory, and read each file of certificates once in a process."""
    passwords.hasher = CHEAP
    ssl.create_default_context = sharing(ssl.create_default_context)


def sharing(create: Any) -> Any:
    read = functools.cache(create)

    @functools.wraps(create)
    def context(*args: Any, **given: Any) -> ssl.SSLContext:
        once = not args and given.keys() == {"cafile"}  # as httpx asks for the public authorities
        return read(**given) if once else create(*args, **given)

    return context


def collect_garbage_seldom() -> None:
    """Leave what is there out of collections, and let more come together before each."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    gc.enable()
