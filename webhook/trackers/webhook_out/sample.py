"""A sample play, which a preview shows, and the test that is sent."""

from __future__ import annotations

from datetime import UTC, datetime

from webhook.domain.event import Action, Episode, Ids, Movie
from webhook.trackers import Delivery

SAMPLE = Delivery(
    id=81,
    action=Action.STOP,
    mark=True,
    at=datetime(2026, 11, 20, 21, tzinfo=UTC),
    duration_ms=2_820_000,
    progress=97.0,
    item=Episode(
        title='The "Northern" Light',
        show="Harbour Watch",
        season=2,
        number=5,
        year=2009,
        ids=Ids(imdb="tt1234567", tvdb=1234567),
        show_ids=Ids(tmdb=12345, tvdb=12345, imdb="tt0123456"),
    ),
)
TEST = Delivery(
    id=0,
    action=Action.STOP,
    at=datetime(2026, 11, 20, 21, tzinfo=UTC),
    duration_ms=60_000,
    progress=1.0,
    item=Movie(title="Watchmark test"),
)
"""Without ids and not watched, so that no receiver keeps it; at 1 percent Ryot drops it."""
