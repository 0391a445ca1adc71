"""What the tests of servers that are told share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.told.home import Home


@pytest.fixture
def make_home(tmp_path: Path) -> Iterator[Callable[..., Home]]:
    """Make a home with these servers; it is taken down at the end."""
    with asyncio.Runner() as runner:
        homes: list[Home] = []

        def make(*told: str) -> Home:
            homes.append(Home(runner, tmp_path / f"home{len(homes)}", *told))
            return homes[-1]

        yield make
        for home in homes:
            home.end()
