"""What the tests of servers that are told share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.told.home import Home


@pytest.fixture
def make_home(url: str, tmp_path: Path) -> Iterator[Callable[..., Home]]:
    """Make a home with these servers, on each kind of database in turn; it is taken down at the end."""
    environ = {"DATA_DIR": str(tmp_path), "DATABASE_URL": url}
    with asyncio.Runner() as runner:
        homes: list[Home] = []

        def make(*told: str) -> Home:
            homes.append(Home(runner, environ, *told))
            return homes[-1]

        yield make
        for home in homes:
            home.end()
