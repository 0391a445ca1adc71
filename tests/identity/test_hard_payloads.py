"""The hard cases as media servers send them: read by their source, then resolved."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.evening import film, plex
from tests.identity.world import ANIME_LIST, Services, everything
from tests.prepared import prepare
from webhook.domain import anime
from webhook.domain.event import Item
from webhook.domain.outcome import Unmatched
from webhook.identity.resolver import Identity
from webhook.sources import read_webhook
from webhook.storage.db import Database

AT = datetime(2026, 11, 22, 20, 15, tzinfo=UTC)
AGENTS = "com.plexapp.agents"


def episode(guid: str, *ids: str, show: str = "Lantern Street", **more: Any) -> dict[str, Any]:
    place = {"parentIndex": 1, "index": 3, "year": 1994, **more}
    guids = [{"id": one} for one in ids]
    return plex("media.scrobble", guid=guid, Guid=guids, grandparentTitle=show, grandparentGuid=None, **place)


def movie(title: str, year: int | None, *ids: str) -> dict[str, Any]:
    return film(
        "media.scrobble", title=title, year=year, guid="plex://movie/1", Guid=[{"id": one} for one in ids]
    )


PLEX = "plex://episode/5f00000000000000000000e1"
JELLYFIN = {
    "NotificationType": "PlaybackStop", "PlayedToCompletion": True, "ItemType": "Episode", "Name": "A / B",
    "SeriesName": "Lantern Street", "SeasonNumber": 3, "EpisodeNumber": 1, "EpisodeNumberEnd": 2, "Year": 1994,
    "Provider_imdb": "tt07000301", "UserId": "u", "NotificationUsername": "anna", "ServerId": "s", "ItemId": "i",
}  # fmt: skip

CASES: list[tuple[str, str, dict[str, Any], list[int | None]]] = [
    ("the episode's own id", "plex", episode(PLEX, "imdb://tt07000103"), [7000103]),
    ("the series' id in an old guid", "plex", episode(f"{AGENTS}.thetvdb://7000/1/3?lang=en"), [7000103]),
    ("an episode that only TMDB numbers", "plex", episode(PLEX, "tmdb://12040104", show="New Wind", index=4, year=2022), [None]),
    ("DVD order", "plex", episode(f"{AGENTS}.thetvdbdvdorder://7000/1/3?lang=en"), [None]),
    ("absolute order", "plex", episode(f"{AGENTS}.abstvdb://7000/1/3?lang=en"), [None]),
    ("production order of a mapped mode", "plex", episode(f"{AGENTS}.hama://tvdb4-7000/1/3?lang=en"), [None]),
    ("a special", "plex", episode(f"{AGENTS}.thetvdb://7000/0/2?lang=en", parentIndex=0, index=2), [7000002]),
    ("a file with two episodes", "jellyfin", JELLYFIN, [7000301, 7000302]),
    ("HAMA by AniDB", "plex", episode(f"{AGENTS}.hama://anidb-901/1/3?lang=en", show="Kaze Club!!", year=2010), [7100203]),
    ("HAMA by AniDB in absolute numbers", "plex", episode(f"{AGENTS}.hama://anidb-903/1/2?lang=en", show="Kaze", index=2, year=2010), [7100202]),
    ("HAMA by an AniDB number no list has", "plex", episode(f"{AGENTS}.hama://anidb-999/1/3?lang=en", show="Kaze Club", year=2009), [None]),
    ("a foreign title", "plex", episode(PLEX, show="Rue des Lanternes"), [7000103]),
    ("the older of two remakes", "plex", episode(PLEX, show="Star Fleet", year=1978), [7020103]),
    ("the newer of two remakes", "plex", episode(PLEX, show="Star Fleet", year=2004), [7021103]),
    ("two of one title and year", "plex", episode(PLEX, show="Twin Roads", year=2020), [None]),
    ("a film's year off by one", "plex", movie("Paper Boats", 2005), [5050]),
    ("a film without ids or year", "plex", movie("Paper Boats", None), [None]),
    ("a film whose ids contradict one another", "plex", movie("Harbour Lights", 2016, "imdb://tt0005001", "tmdb://55002"), [5001]),
    ("a film whose ids are all another's", "plex", movie("Paper Boats", 2004, "imdb://tt0005001", "tmdb://55002"), [None]),
]  # fmt: skip


async def tvdb_of(identity: Identity, item: Item) -> int | None:
    try:
        return (await identity.resolve(item, ("tvdb",))).ids.tvdb
    except Unmatched:
        return None


@pytest.mark.parametrize(
    ("source", "payload", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_hard_case_is_the_right_item_or_none(
    source: str, payload: dict[str, Any], expected: list[int | None], tmp_path: Path
) -> None:
    events = read_webhook(source, payload, AT)
    assert isinstance(events, list)
    prepare(tmp_path)
    database = Database(f"sqlite:///{tmp_path}/watchmark.db", synchronous="OFF")

    async def run() -> list[int | None]:
        services = Services(everything())
        identity = Identity(database, services.lookups(), anime.read_list(ANIME_LIST))
        found = [await tvdb_of(identity, event.item) for event in events]
        await services.http.aclose()
        return found

    found = asyncio.run(run())
    database.close()

    assert found == expected
