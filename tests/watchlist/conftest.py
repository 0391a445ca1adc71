"""What the tests of the watchlist share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.watchlist.home import Home
from tests.watchlist.services import Lists
from webhook.storage.db import Database


@pytest.fixture
def home(database: Database) -> Home:
    return Home(database)


@pytest.fixture
def make_lists(url: str, tmp_path: Path) -> Iterator[Callable[..., Lists]]:
    """Make a house with these services, on each kind of database in turn; it is taken down at the end."""
    environ = {"DATA_DIR": str(tmp_path), "DATABASE_URL": url}
    with asyncio.Runner() as runner:
        houses: list[Lists] = []

        def make(*names: str, **options: bool) -> Lists:
            houses.append(Lists(runner, environ, *names, **options))
            return houses[-1]

        yield make
        for house in houses:
            house.end()
