"""Webhooks as media servers send them, about invented films and shows."""

from __future__ import annotations

from typing import Any


def plex(
    event: str, number: int = 1, *, user: str = "anna", season: int = 1, **metadata: Any
) -> dict[str, Any]:
    """A Plex webhook about an episode, with the episode's own ids."""
    return {
        "event": event,
        "user": True,
        "owner": True,
        "Account": {"id": 1, "title": user},
        "Server": {"title": "Attic", "uuid": "a" * 40},
        "Player": {"local": True, "title": "Living Room", "uuid": "living-room"},
        "Metadata": {
            "librarySectionType": "show",
            "librarySectionTitle": "Series",
            "ratingKey": f"{season}{number:05}",
            "type": "episode",
            "title": f"Part {number}",
            "grandparentTitle": "Tidewater",
            "guid": f"plex://episode/{season * 100_000 + number:024x}",
            "Guid": [{"id": f"tvdb://{season * 100_000 + number}"}],
            "parentIndex": season,
            "index": number,
            **metadata,
        },
    }


def film(event: str, **metadata: Any) -> dict[str, Any]:
    """A Plex webhook about a film."""
    made = plex(event)
    made["Metadata"] = {
        "librarySectionType": "movie",
        "librarySectionTitle": "Films",
        "ratingKey": "77",
        "type": "movie",
        "title": "The Lighthouse Keeper",
        "year": 2019,
        "guid": "plex://movie/00000000000000000000abcd",
        "Guid": [{"id": "imdb://tt9000001"}, {"id": "tmdb://900001"}],
        "duration": 6_000_000,
        **metadata,
    }
    return made
