"""What it costs to know 1,000 items again: `python -m bench.identity`."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from webhook import clock
from webhook.domain.event import Episode, Ids
from webhook.identity.resolutions import Resolution, store_resolutions
from webhook.identity.resolver import Identity
from webhook.storage import migrate
from webhook.storage.db import Database

ITEMS = 1_000
TURNS = 20
AIM_MS = 0.1


def item(number: int) -> Episode:
    ids = Ids(tmdb=5_000_000 + number, imdb=f"tt{number:08}", plex=f"{number:024x}")
    return Episode(show="Tidewater", season=1 + number // 20, number=1 + number % 20, year=2020, ids=ids)


def lesson(asked: Episode, number: int) -> Resolution:
    found = Episode(
        show=asked.show, season=asked.season, number=asked.number, ids=asked.ids.merge(Ids(tvdb=number + 1))
    )
    return Resolution(asked=asked, found=found, via=("trakt",), at=clock.now())


async def turn(identity: Identity, items: list[Episode]) -> float:
    """Milliseconds for each item."""
    began = time.perf_counter()
    for one in items:
        known = await identity.resolve(one, ("tvdb",))
        assert known.ids.tvdb is not None
    return (time.perf_counter() - began) * 1000 / len(items)


async def measure(folder: Path) -> tuple[float, float]:
    database = Database(f"sqlite:///{folder}/bench.db")
    migrate.migrate(database)
    items = [item(number) for number in range(ITEMS)]
    database.do(
        lambda connection: store_resolutions(connection, [lesson(one, n) for n, one in enumerate(items)])
    )
    identity = Identity(database, [])
    first = await turn(identity, items)
    again = sorted([await turn(identity, items) for _ in range(TURNS)])[TURNS // 2]
    database.close()
    return first, again


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, again = asyncio.run(measure(Path(folder)))
    print(f"identity: {ITEMS} remembered items")
    print(f"  out of the database   {first:8.4f} ms each")
    print(
        f"  out of memory         {again:8.4f} ms each, {AIM_MS / again:.1f} times quicker than {AIM_MS} ms"
    )
    print(f"  memory to database    1 : {first / again:.0f}")
    assert again < AIM_MS, f"{again:.4f} ms"


if __name__ == "__main__":
    main()
