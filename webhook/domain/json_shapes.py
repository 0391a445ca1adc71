"""The JSON objects that items and what lists them are written as."""

from __future__ import annotations

from typing import Required

from typing_extensions import TypedDict

IdsJson = dict[str, int | str]
"""Ids by namespace, as `Ids.by_namespace` returns them."""


class ItemJson(TypedDict, total=False):
    """An item, as `item_to_json` writes it; which fields there are depends on its kind."""

    kind: Required[str]
    title: str | None
    year: int | None
    ids: IdsJson
    show: str | None
    show_ids: IdsJson
    season: int | None
    number: int | None
    numbering: str
    artist: str | None
    album: str | None
    album_artist: str | None


class ListedEpisodeJson(TypedDict, total=False):
    """An episode of a show's list, as `ListedEpisode.to_json` writes it."""

    season: Required[int]
    number: Required[int]
    title: str | None
    aired: str | None
    ids: IdsJson
    minutes: int
