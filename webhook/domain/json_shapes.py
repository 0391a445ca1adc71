"""The JSON objects that items and what lists them are written as."""

from __future__ import annotations

from typing import Any, NotRequired, Required

from typing_extensions import ReadOnly, TypedDict

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


class ReadableItem(TypedDict, total=False):
    """What `item_from_json` asks of an object with an item's fields; it may have any others."""

    kind: ReadOnly[str | None]
    ids: ReadOnly[IdsJson | None]
    show_ids: ReadOnly[IdsJson | None]


class NamedItem(TypedDict, total=False):
    """The fields that name an item, of any object that has them beside others."""

    kind: ReadOnly[str | None]
    title: ReadOnly[str | None]
    show: ReadOnly[str | None]
    season: ReadOnly[int | None]
    number: ReadOnly[int | None]
    year: ReadOnly[int | None]
    artist: ReadOnly[str | None]


class ItemChangeJson(TypedDict, total=False):
    """The fields of an item that somebody corrects; ids are replaced as a whole."""

    kind: str
    title: str | None
    show: str | None
    season: int | None
    number: int | None
    year: int | None
    ids: IdsJson
    show_ids: IdsJson


class ListedEpisodeJson(TypedDict, total=False):
    """An episode of a show's list, as `ListedEpisode.to_json` writes it."""

    season: Required[int]
    number: Required[int]
    title: str | None
    aired: str | None
    ids: IdsJson
    minutes: int


class ListsJson(TypedDict, total=False):
    """What is let through or not, by name."""

    libraries: list[str]
    not_libraries: list[str]
    players: list[str]
    not_players: list[str]
    kinds: list[str]


class FiltersJson(ListsJson, total=False):
    """A person's filters; `Filters.from_json` reads it."""

    home_videos: bool


class RulesJson(ListsJson, total=False):
    """The rules of one account; `AccountRules.from_json` reads them."""

    watched_mark: float | None
    dry_run: bool


class ProposedJson(TypedDict):
    """A film or show that is proposed for an item; what a tracker proposes has no picture, and no score of a lookup."""

    kind: str
    title: str | None
    year: int | None
    ids: IdsJson
    picture: NotRequired[str | None]
    score: NotRequired[float]
    via: NotRequired[str]


class ExchangeJson(TypedDict, total=False):
    """One HTTP request of an attempt and its answer, secrets removed."""

    method: str
    url: str
    sent: Any
    status: int
    error: str
    took_ms: int
    withheld: bool
