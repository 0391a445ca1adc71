"""The key of an item's picture, and the cover that stands in where there is none. Pure.

All episodes of a show share its picture, all tracks of an album its cover. The strongest id decides, so that two shows
of one name have two keys as soon as either's id is known. Until then a play's is the key of its show on its server.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from webhook.domain.event import Episode, Ids, Item, Kind, Movie, Season, Show, Track
from webhook.domain.items import fold_title

FILM_IDS = ("imdb", "tmdb", "trakt", "simkl", "plex", "tvdb", "mal", "anidb")
SHOW_IDS = ("tvdb", "tmdb", "imdb", "trakt", "simkl", "plex", "anidb", "mal")
"""Namespaces by strength: first the ids that every sender knows, so that one item has one key whoever reports it."""

TEXT_IDS = frozenset({"imdb", "plex"})

MAX_TITLE_LENGTH = 120
HUES = 12
"""Colours of generated covers; each has a class in the style sheet."""

ON_SERVER = "episode:of@"
SHOW_TITLE, SHOW_ON_SERVER = "show:title:", "show:of@"
"""What the keys of shows without ids begin with: by their title, and by their key on a server."""

PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SEASON_KEY = re.compile(r"(show:[^:]+:[^:]+):s([0-9]{1,6})")
WORD = re.compile(r"[^\W_]+")


def picture_key(item: Item) -> str | None:
    """The key of the item's picture; None where nothing names it."""
    return next(picture_keys(item), None)


def picture_keys(item: Item) -> Iterator[str]:
    """Every key under which the item's picture may be stored, the strongest first; a title only without ids."""
    match item:
        case Movie():
            yield from film_keys(item)
        case Show():
            yield from show_keys_of(item.title, item.ids)
        case Episode() | Season():
            yield from show_keys_of(item.show, item.show_ids)
        case Track():
            yield from music_keys(item)


def key_of_play(item: Item, known_by: Iterable[str]) -> str | None:
    """The key of a play's picture; `known_by` are the keys of the play, with its show's on its server."""
    key = picture_key(item)
    if key is None or not key.startswith(SHOW_TITLE):
        return key
    return next(filter(None, map(server_picture_key, known_by)), key)


def title_picture_key(item: Item) -> str | None:
    """The key of the picture of an item's show by its title alone; None where it has ids."""
    key = picture_key(item)
    return key if key is not None and key.startswith(SHOW_TITLE) else None


def server_picture_key(known: str) -> str | None:
    """The key of the picture of a show without ids, from an episode's key in its show on its server."""
    server, _, rest = known.removeprefix(ON_SERVER).partition(":")
    show_key = rest.rpartition(":")[0]
    is_plain = PLAIN_ID.fullmatch(server) and PLAIN_ID.fullmatch(show_key)
    return f"{SHOW_ON_SERVER}{server}:{show_key}" if is_plain and known.startswith(ON_SERVER) else None


def season_key(show_key: str, season: int) -> str:
    """The key of the poster of a show's season."""
    return f"{show_key}:s{season}"


def split_season(key: str) -> tuple[str, int | None]:
    """The key of a show's picture and the season, where it is that of a season's poster."""
    found = SEASON_KEY.fullmatch(key)
    return (found[1], int(found[2])) if found else (key, None)


def film_keys(item: Movie) -> Iterator[str]:
    named = list(id_names(item.ids, FILM_IDS))
    if not named and item.title:
        named = [title_name(item.title) + (f":{item.year}" if item.year else "")]
    yield from (f"movie:{name}" for name in named)


def show_keys_of(title: str | None, ids: Ids) -> Iterator[str]:
    """The keys of a show. Its year is none of them: an episode's may be its own."""
    named = list(id_names(ids, SHOW_IDS)) or ([title_name(title)] if title else [])
    yield from (f"show:{name}" for name in named)


def music_keys(item: Track) -> Iterator[str]:
    artist = item.album_artist or item.artist
    if artist and item.album:
        yield f"album:{title_name(artist)}:{title_name(item.album).removeprefix('title:')}"
    elif artist:
        yield f"artist:{title_name(artist)}"


def id_names(ids: Ids, namespaces: tuple[str, ...]) -> Iterator[str]:
    known = ids.by_namespace()
    for name in namespaces:
        value = str(known.get(name, ""))
        if PLAIN_ID.fullmatch(value):
            yield f"{name}:{value}"


def title_name(title: str) -> str:
    """A title as part of a key: folded, or a digest where that is long or has signs that an address has not."""
    folded = fold_title(title)
    if not folded.isalnum() or len(folded) > MAX_TITLE_LENGTH:
        folded = hashlib.sha256(folded.encode("utf-8", "surrogatepass")).hexdigest()[:24]
    return f"title:{folded}"


def item_of_key(key: str) -> Movie | Show | None:
    """The film or show that a key with an id names; None where it holds a title."""
    kind, _, name = key.partition(":")
    namespace, _, value = name.partition(":")
    if namespace not in (FILM_IDS if kind == Kind.MOVIE else SHOW_IDS):
        return None
    ids = Ids.from_json({namespace: int(value) if value.isdecimal() and namespace not in TEXT_IDS else value})
    return Movie(ids=ids) if kind == Kind.MOVIE else Show(ids=ids)


def play_prefix(key: str) -> str | None:
    """What the keys of every play of a picture's item begin with; None where no play can be found so."""
    show_key, season = split_season(key)
    if season is not None:
        within = play_prefix(show_key)
        return within and f"{within}{season}x"
    kind, _, name = key.partition(":")
    folded = name.removeprefix("title:").partition(":")[0]
    match kind, name.startswith("title:"):
        case Kind.MOVIE, _:
            return key
        case Kind.SHOW, False:
            return f"episode:{name}:" if key.startswith(SHOW_ON_SERVER) else f"episode:of:{name}:"
        case Kind.SHOW, True:
            return f"episode:title:{folded}:"
        case (("album" | "artist"), True):
            return f"track:title:{folded}:"
    return None


# --- generated covers


def cover_letters(name: str | None) -> str:
    """The letters on a cover: the initials of the first two words."""
    words = WORD.findall(name or "")
    return "".join(word[0] for word in words[:2]).upper()[:2] or "·"


def cover_hue(name: str | None) -> int:
    """The number of a cover's colour, the same for one name everywhere."""
    digest = hashlib.sha256(fold_title(name or "").encode("utf-8", "surrogatepass")).digest()
    return digest[0] % HUES
