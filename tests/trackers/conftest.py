"""What the tests of the trackers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compat import _own
from tests.fakes._inside import Inside
from tests.fakes._server import Server
from tests.trackers._adapters import ADAPTERS


@pytest.fixture(scope="module")
def loopbacks() -> Iterator[dict[str, Server]]:
    """One server for each tracker, inside this process but for what is a process; every test puts a new fake into it."""
    servers: dict[str, Server] = {
        name: Server(adapter.fake()) if "@" in name else Inside(adapter.fake())
        for name, adapter in ADAPTERS.items()
    }
    for server in servers.values():
        server.__enter__()
    yield servers
    for server in servers.values():
        server.__exit__()
    _own.close()
