"""What costs people a moment and the tests minutes: hashes, certificates, statements compiled anew, garbage collections."""

from __future__ import annotations

import asyncio
import functools
import gc
import ssl
from typing import Any

import starlette.routing
import structlog
import uvicorn.server
from argon2 import PasswordHasher
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from webhook.people import passwords
from webhook.storage import db

HASHER = passwords.password_hasher()
"""The hasher that the program has when no test runs it."""

CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


PLAIN = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
"""Writes a fault as Python does. Where nothing is set up, structlog draws it with all that its functions knew."""

COMPILED: dict[Any, Any] = {}
"""The statements that were compiled in this process, by dialect and statement, for every database of every test."""


def apply() -> None:
    """Hash with little memory, write faults plainly, end servers sooner; read certificates and compile once in a process."""
    passwords.password_hasher = functools.cache(lambda: CHEAP)
    ssl.create_default_context = sharing(ssl.create_default_context)
    structlog.configure([*structlog.get_config()["processors"][:-1], PLAIN])
    vars(uvicorn.server)["asyncio"] = Hurried()
    vars(starlette.routing)["compile_path"] = functools.cache(starlette.routing.compile_path)
    db.engine = compiling_once(db.engine)
    for dialect in (SQLiteDialect_pysqlite, PGDialect_psycopg):
        dialect.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign]
        dialect.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign]


class Hurried:
    """What uvicorn knows of asyncio: it looks every 10 ms, and not every 100 ms, whether it is to end."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / 10)


def compiling_once(create: Any) -> Any:
    @functools.wraps(create)
    def engine(*args: Any, **given: Any) -> Engine:
        made: Engine = create(*args, **given)
        made.update_execution_options(compiled_cache=COMPILED)
        return made

    return engine


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
