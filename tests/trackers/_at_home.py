"""The film and the pilot of `_adapters`, as the media servers have them."""

from __future__ import annotations

from typing import Any

PLEX_FILM: dict[str, Any] = {
    "ratingKey": "4711", "type": "movie", "title": "TRON: Legacy", "year": 2010, "librarySectionID": 1,
    "guid": "plex://movie/5d776825880197001ec90a00", "Guid": [{"id": "imdb://tt1104001"}, {"id": "tmdb://20526"}],
}  # fmt: skip
PLEX_SHOW: dict[str, Any] = {
    "ratingKey": "4600", "type": "show", "title": "Breaking Bad", "year": 2008, "librarySectionID": 2,
    "guid": "plex://show/5d9c086c46115600200aa2fe", "Guid": [{"id": "tvdb://81189"}],
}  # fmt: skip
PLEX_PILOT: dict[str, Any] = {
    "ratingKey": "4712", "type": "episode", "title": "Pilot", "grandparentTitle": "Breaking Bad", "year": 2008,
    "grandparentRatingKey": "4600", "parentRatingKey": "4700", "parentIndex": 1, "index": 1, "librarySectionID": 2,
    "guid": "plex://episode/5d9c1273ba2eb9001f1b2c3d", "Guid": [{"id": "tvdb://349232"}],
}  # fmt: skip
FILM_DTO: dict[str, Any] = {
    "Id": "f1" * 16, "Type": "Movie", "Name": "TRON: Legacy", "ProductionYear": 2010,
    "ProviderIds": {"Imdb": "tt1104001", "Tmdb": "20526"},
}  # fmt: skip
SHOW_DTO: dict[str, Any] = {
    "Id": "50" * 16, "Type": "Series", "Name": "Breaking Bad", "ProviderIds": {"Tvdb": "81189"},
}  # fmt: skip
PILOT_DTO: dict[str, Any] = {
    "Id": "e1" * 16, "Type": "Episode", "Name": "Pilot", "SeriesName": "Breaking Bad", "SeriesId": "50" * 16,
    "ParentIndexNumber": 1, "IndexNumber": 1, "ProviderIds": {"Tvdb": "349232"},
}  # fmt: skip
