"""One house for all stories of this process: a story leaves nothing behind."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.household.house import House


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    opened = House(tmp_path_factory.mktemp("household"))
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A line for each webhook would take as long as the webhook."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.configure(**before)
