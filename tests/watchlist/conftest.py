"""What the tests of the watchlist share."""

from __future__ import annotations

import pytest

from tests.watchlist.home import Home
from webhook.storage.db import Database


@pytest.fixture
def home(database: Database) -> Home:
    return Home(database)
