"""Episodes of anime, as a progress tracker is handed them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.trackers._adapters import NOW, WATCHED, WATCHED_FILM
from webhook.domain.anime_index import AnimeEntry
from webhook.trackers import Delivery

TITANS, FILM = 16498, 21519


def episode(number: int, **more: Any) -> Delivery:
    """Watched on 2026-11-22."""
    return replace(WATCHED, id=number, anime=AnimeEntry(id=TITANS, number=number), **more)


def film(**more: Any) -> Delivery:
    return replace(WATCHED_FILM, anime=AnimeEntry(id=FILM, number=1), **more)


LONG_AGO, SINCE = NOW - timedelta(days=30), NOW + timedelta(seconds=2)
