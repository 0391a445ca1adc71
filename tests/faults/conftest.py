"""Installations that are killed, on each database and by a power cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.disk import COMPILER, Disk, build_shim
from tests.faults.house import Installation


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    if COMPILER is None:
        pytest.skip("a C compiler is needed to build the disk that loses what is not synced")
    return build_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def disk(tmp_path: Path, shim: str) -> Disk:
    return Disk(tmp_path, shim)


@pytest.fixture
def powered(tmp_path: Path, disk: Disk) -> Iterator[Installation]:
    """An installation of which a kill is a power cut."""
    with closing(Installation(tmp_path, disk=disk)) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres", "power cut"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    if request.param == "power cut":
        yield request.getfixturevalue("powered")
        return
    database = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    with closing(Installation(tmp_path, database=database)) as made:
        yield made
