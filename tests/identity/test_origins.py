"""The trace says of an item which ids it has, from where, and how sure they are."""

from __future__ import annotations

from webhook import clock
from webhook.domain.event import Episode, Ids, Movie
from webhook.identity.origins import find_origins
from webhook.identity.resolutions import Resolution, store_resolutions
from webhook.storage.db import Database


def test_the_webhooks_own_ids_are_from_the_webhook(database: Database) -> None:
    film = Movie(title="Quiet Harbour", year=2001, ids=Ids(imdb="tt9000009"))

    found = database.ask(lambda connection: find_origins(connection, film))

    assert found == [
        {"whose": "own", "namespace": "imdb", "value": "tt9000009", "via": "webhook", "sure": 1.0}
    ]


def test_what_a_lookup_found_says_which_and_how_sure(database: Database) -> None:
    part = Episode(title="Part 3", show="Tidewater", season=1, number=3, ids=Ids(imdb="tt9000003"))
    better = Episode(
        title="Part 3", show="Tidewater", season=1, number=3, ids=Ids(imdb="tt9000003", tvdb=77),
        show_ids=Ids(tvdb=5),
    )  # fmt: skip
    lesson = Resolution(asked=part, found=better, via=("own", "tmdb"), at=clock.now())
    database.do(lambda connection: store_resolutions(connection, [lesson]))

    found = database.ask(lambda connection: find_origins(connection, part))

    told = {(entry["whose"], entry["namespace"]): (entry["via"], entry["sure"]) for entry in found}
    assert told[("own", "imdb")] == ("webhook", 1.0)
    assert "tmdb" in told[("own", "tvdb")][0]
    assert "tmdb" in told[("show", "tvdb")][0]


def test_an_item_without_any_id_has_no_origins(database: Database) -> None:
    home = Movie(title="Beach")

    assert database.ask(lambda connection: find_origins(connection, home)) == []
