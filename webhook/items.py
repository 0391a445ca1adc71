"""What an item is known by, so that the next event finds it, and whether two items may be one. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from webhook.event import Episode, Ids, Item, Movie, Season, Show, Track


def keys(item: Item, server: str | None = None, item_key: str | None = None) -> tuple[str, ...]:
    """What the item is known by: ids, show and numbers, title, and its key on its own server."""
    found = [*id_keys(item), *numbered_keys(item), *title_keys(item)]
    if server and item_key:
        number = f":{item.number}" if isinstance(item, Episode) and item.number is not None else ""
        found.append(f"{item.kind}@{server}:{item_key}{number}")
    return tuple(dict.fromkeys(key[:300] for key in found))


def id_keys(item: Item) -> Iterator[str]:
    # HAMA writes the anime's id where other agents write the episode's: not enough for an episode.
    shared = {"anidb", "mal"} if isinstance(item, Episode) else set()
    for name, value in item.ids.known().items():
        if name not in shared:
            yield f"{item.kind}:{name}:{value}"


def numbered_keys(item: Item) -> Iterator[str]:
    if not isinstance(item, Episode) or item.season is None or item.number is None:
        return
    for name, value in {**item.show_ids.known(), **anime_ids(item)}.items():
        yield f"episode:of:{name}:{value}:{item.season}x{item.number}"


def anime_ids(item: Episode) -> dict[str, int]:
    known = {"anidb": item.ids.anidb, "mal": item.ids.mal}
    return {name: value for name, value in known.items() if value is not None}


def title_keys(item: Item) -> Iterator[str]:
    match item:
        case Episode(show=str(show), season=int(season), number=int(number)):
            yield f"episode:title:{folded(show)}:{season}x{number}"
        case Movie(title=str(title), year=int(year)) | Show(title=str(title), year=int(year)):
            yield f"{item.kind}:title:{folded(title)}:{year}"
        case Season(show=str(show), season=int(season)):
            yield f"season:title:{folded(show)}:{season}"
        case Track(title=str(title), artist=str(artist)):
            yield f"track:title:{folded(artist)}:{folded(title)}"


def folded(title: str) -> str:
    """A title without case, blanks and punctuation."""
    return "".join(letter for letter in title.casefold() if letter.isalnum()) or title.casefold()


def same_item(one: Item, other: Item) -> bool:
    """Whether two items that share a key may be one: no id that both know differs."""
    if one.kind is not other.kind:
        return False
    if (
        isinstance(one, Episode)
        and isinstance(other, Episode)
        and (one.number, one.season) != (other.number, other.season)
    ):
        numbered = None not in (one.number, other.number, one.season, other.season)
        if numbered:
            return False
    if one.ids.contradicts(other.ids):
        return False
    # A remake has its namesake's title and numbers; where the episode's own ids agree, it is that one.
    here, there = (item.show_ids if isinstance(item, Episode) else Ids() for item in (one, other))
    return one.ids.agrees(other.ids) or not here.contradicts(there)
