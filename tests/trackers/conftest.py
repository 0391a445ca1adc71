"""What the tests of the trackers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compat import _own
from tests.fakes._server import Server
from tests.trackers._adapters import ADAPTERS


@pytest.fixture(scope="module")
def loopbacks() -> Iterator[dict[str, Server]]:
    """One server for each tracker; every test puts a new fake into it."""
    servers = {name: Server(adapter.fake()) for name, adapter in ADAPTERS.items()}
    for server in servers.values():
        server.__enter__()
    yield servers
    for server in servers.values():
        server.__exit__()
    _own.close()
