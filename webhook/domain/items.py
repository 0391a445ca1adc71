"""The keys of items, by which the next event finds a play, and the comparison of items. Pure.

A key that holds an id, or the item's own key on its server, is enough to find it. A title is not: it finds
what may be the item, and joins nothing that any other fact speaks against.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator

import orjson

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Season, Show, Track, item_to_json

MAX_KEY = 300


def keys(
    item: Item, space: str | None = None, item_key: str | None = None, show_key: str | None = None
) -> tuple[str, ...]:
    """The keys of an item, the surest first; none where there is neither an id nor a whole name.

    `item_key` and `show_key` are its own and its show's on the server that `space` names. Where the server
    is not named, the space is that of the token, or of the source, by which it came.
    """
    found = [*id_keys(item), *numbered_keys(item), *server_keys(item, space, item_key, show_key)]
    found += title_keys(item)
    return tuple(dict.fromkeys(key[:MAX_KEY] for key in found))


def play_keys(
    item: Item, space: str | None = None, item_key: str | None = None, show_key: str | None = None
) -> tuple[str, ...]:
    """The keys under which a play of the item is stored: never none, at the least its whole description."""
    return keys(item, space, item_key, show_key) or (title_key_of(item, space),)


def sure_keys(known_by: Collection[str]) -> list[str]:
    """Of these keys those that hold more than a title."""
    titled = tuple(f"{kind}:title:" for kind in Kind)
    return [key for key in known_by if not key.startswith(titled)]


def id_keys(item: Item) -> Iterator[str]:
    # HAMA writes the anime's id where other agents write the episode's: not enough for an episode.
    shared = {"anidb", "mal"} if isinstance(item, Episode) else set()
    for name, value in item.ids.by_namespace().items():
        if name not in shared:
            yield f"{item.kind}:{name}:{value}"


def numbered_keys(item: Item) -> Iterator[str]:
    if not isinstance(item, Episode) or item.season is None or item.number is None:
        return
    for name, value in {**item.show_ids.by_namespace(), **anime_ids(item)}.items():
        yield f"episode:of:{name}:{value}:{item.season}x{item.number}"


def anime_ids(item: Episode) -> dict[str, int]:
    known = {"anidb": item.ids.anidb, "mal": item.ids.mal}
    return {name: value for name, value in known.items() if value is not None}


def server_keys(item: Item, space: str | None, item_key: str | None, show_key: str | None) -> Iterator[str]:
    if space is None:
        return
    episode = item if isinstance(item, Episode) and item.number is not None else None
    if item_key:  # one file may hold several episodes
        yield own_prefix(item, space) + item_key + ("" if episode is None else f":{episode.number}")
    if show_key and episode is not None and episode.season is not None:
        yield f"{show_prefix(space)}{show_key}:{episode.season}x{episode.number}"


def own_prefix(item: Item, space: str) -> str:
    return f"{item.kind}@{space}:"


def show_prefix(space: str) -> str:
    return f"episode:of@{space}:"


def title_keys(item: Item) -> Iterator[str]:
    match item:
        case Episode(show=str(show), season=int(season), number=int(number)):
            yield f"episode:title:{fold_title(show)}:{season}x{number}"
        case Movie(title=str(title), year=int(year)) | Show(title=str(title), year=int(year)):
            yield f"{item.kind}:title:{fold_title(title)}:{year}"
        case Season(show=str(show), season=int(season)):
            yield f"season:title:{fold_title(show)}:{season}"
        case Track(title=str(title), artist=str(artist)):
            yield f"track:title:{fold_title(artist)}:{fold_title(title)}"


def title_key_of(item: Item, space: str | None) -> str:
    """The key where there is neither an id nor a whole name: the whole description, on its server."""
    said = orjson.dumps(item_to_json(item), option=orjson.OPT_SORT_KEYS)
    return f"{item.kind}:named@{space or ''}:{hashlib.sha256(said).hexdigest()}"


def fold_title(title: str) -> str:
    """A title without case, blanks and punctuation."""
    return "".join(letter for letter in title.casefold() if letter.isalnum()) or title.casefold()


# --- whether two items may be one


def same_item(one: Item, other: Item) -> bool:
    """True if two items that share a key may be one: no fact that both know differs."""
    if one.kind is not other.kind or is_elsewhere(one, other) or one.ids.contradicts(other.ids):
        return False
    if one.ids.agrees(other.ids):
        return True  # a remake shares its namesake's title and numbers; the own ids tell them apart
    here, there = show_ids(one), show_ids(other)
    if here.contradicts(there):
        return False
    return here.agrees(there) or not years_contradict(one, other)


def is_one(one: Item, other: Item) -> bool:
    """True if two items share a key and may be one."""
    return not set(keys(one)).isdisjoint(keys(other)) and same_item(one, other)


def is_elsewhere(one: Item, other: Item) -> bool:
    """True if both are episodes of known places in their shows, and of different ones."""
    if not (isinstance(one, Episode) and isinstance(other, Episode)):
        return False
    places = ((one.season, other.season), (one.number, other.number))
    return all(None not in pair for pair in places) and any(here != there for here, there in places)


def show_ids(item: Item) -> Ids:
    return item.show_ids if isinstance(item, Episode | Season) else Ids()


def years_contradict(one: Item, other: Item) -> bool:
    """True if their years differ beyond doubt; an episode's year may be its own or its show's."""
    if one.year is None or other.year is None:
        return False
    if isinstance(one, Episode) and (one.season or 0) > 1:
        return False
    return abs(one.year - other.year) > (1 if isinstance(one, Episode | Season) else 0)


def agree_beside_title(one: Item, other: Item) -> bool:
    """True if another fact than title and numbers speaks for their being one: the year, or an episode's title."""
    if one.year is not None and one.year == other.year:
        return True
    if isinstance(one, Track):
        return True  # music is known by its names
    here, there = (fold_title(item.title or "") for item in (one, other))
    return (
        isinstance(one, Episode) and here == there and bool(here.strip("0123456789").replace("episode", ""))
    )
