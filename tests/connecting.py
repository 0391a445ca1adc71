"""A Plex to connect to, beside the plex.tv that knows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.fakes._server import Server
from tests.fakes.plex import Plex

FILM = {
    "ratingKey": "11",
    "type": "movie",
    "title": "Alone",
    "year": 2019,
    "duration": 7_200_000,
    "Guid": [{"id": "tmdb://4321"}],
}


@contextmanager
def open_attic() -> Iterator[Server]:
    """A server of an owner and of somebody who shares it, found at its own address."""
    fake = Plex()
    fake.add_owner()
    fake.add_person()
    with Server(fake) as server:
        fake.addresses = [server.url]
        yield server
