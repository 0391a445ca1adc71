"""The watch history that Plex keeps in an account, also of what is in no library: saved answers of its API.

Plex gives no file. The answers of `GetWatchHistoryHub` (https://community.plex.tv/api), each in a JSON file, or the
list of their nodes in one, loose or in a zip:

| Field of a node                         | What it is                                                          |
|-----------------------------------------|---------------------------------------------------------------------|
| `id`, `date`                            | the row's own id, and when it was watched                           |
| `metadataItem.type`                     | MOVIE or EPISODE; others are marks of a whole, left out and counted |
| `metadataItem.title`, `year`, `guid`    | of a film; `guid` is `plex://movie/…`                               |
| `.index`, `.parent.index`               | the number of an episode, and of its season                         |
| `.grandparent.title`, `.guid` or `.key` | the show, `plex://show/…` or `/library/metadata/…`                  |

The server keeps the same viewings some minutes apart: those are one play.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from webhook.domain.event import Episode, Ids, Movie
from webhook.texts import texts
from webhook.transfer.imports._archive import Bundle
from webhook.transfer.imports._fields import Wrong, date, inner, mapping, number, text, year
from webhook.transfer.imports._repeats import Repeats
from webhook.transfer.records import Bad, Entry, LeftOut, Unusable

LABEL = "Plex account"

ANSWER, NODES = "data.user.watchHistory.nodes.item", "item"
MARKS = texts({"whole": "They are marks of a whole show or season, which do not say what was watched when."})
ID_LENGTH = 100


def read(bundle: Bundle) -> Iterator[Entry]:
    """The viewings of the answers, file by file; what has no place here is counted at the end of each."""
    files = {name: prefix for name in bundle.names if (prefix := place(bundle.head(name)))}
    if not files:
        raise Unusable(
            f"{bundle.path} holds no watch history of a Plex account: JSON with “metadataItem”, as GetWatchHistoryHub gives."
        )
    bundle.plan(list(files))
    repeats = Repeats("plexaccount")
    for name, prefix in files.items():
        others: Counter[str] = Counter()
        for count, value in enumerate(bundle.items(name, prefix), start=1):
            yield from [value] if isinstance(value, Bad) else read_node(value, name, count, repeats, others)
        if others:
            yield LeftOut(file=name, count=others.total(), why=MARKS["whole"])


def place(head: bytes) -> str | None:
    """Where the nodes of a file are, in ijson's notation; None for another file."""
    if b'"metadataItem"' not in head:
        return None
    if b'"watchHistory"' in head:
        return f"item.{ANSWER}" if head.lstrip().startswith(b"[") else ANSWER
    return NODES if head.lstrip().startswith(b"[") else None


def read_node(value: Any, name: str, count: int, repeats: Repeats, others: Counter[str]) -> Iterator[Entry]:
    try:
        node = mapping(value)
        told = mapping(node.get("metadataItem"))
        kind = str(told.get("type")).upper()
        if kind in ("SHOW", "SEASON"):
            others[kind] += 1
            return
        item = node_item(told, kind)
        own = text(node.get("id"))
        yield repeats.viewing(item, date(node.get("date")), key_of(item), own)
    except Wrong as wrong:
        yield wrong.bad(name, None, f"entry {count}: ")


def node_item(told: Mapping[str, Any], kind: str) -> Movie | Episode:
    if kind == "MOVIE":
        return make_film(told)
    if kind == "EPISODE":
        return make_episode(told)
    raise Wrong(f"“{kind[:40]}” is not tracked")


def make_film(told: Mapping[str, Any]) -> Movie:
    item = Movie(title=text(told.get("title")), year=year(told.get("year")), ids=plex_ids(told, "movie"))
    if not item.ids and item.title is None:
        raise Wrong("it is a movie without an id and without a title")
    return item


def make_episode(told: Mapping[str, Any]) -> Episode:
    show = inner(told, "grandparent")
    item = Episode(
        title=text(told.get("title")),
        show=text(show.get("title")),
        season=number(inner(told, "parent").get("index")),
        number=number(told.get("index")),
        ids=plex_ids(told, "episode"),
        show_ids=plex_ids(show, "show"),
    )
    if item.season is None or item.number is None or not (item.show or item.show_ids):
        raise Wrong("it is an episode without its show and numbers")
    return item


def plex_ids(told: Mapping[str, Any], kind: str) -> Ids:
    """Plex's own id, the last part of its guid or of its key."""
    guid, key = text(told.get("guid")) or "", text(told.get("key")) or ""
    prefix = f"plex://{kind}/"
    found = guid.removeprefix(prefix) if guid.startswith(prefix) else key.rpartition("/library/metadata/")[2]
    usable = found.isascii() and found.isalnum() and len(found) <= ID_LENGTH and not found.isdigit()
    return Ids(plex=found) if usable else Ids()


def key_of(item: Movie | Episode) -> str:
    of = item.show_ids if isinstance(item, Episode) else item.ids
    if isinstance(item, Episode):
        return f"{of.plex or item.show}:{item.season}x{item.number}"
    return f"{of.plex or f'{item.title}:{item.year}'}"
