"""Guids: the identifiers that media servers give items, and the ids in them.

Plex agents: https://support.plex.tv/articles/200241558-agents/
HAMA: https://github.com/ZeroQI/Hama.bundle

The point is whose id it is: a new-style `tvdb://9565927` is the item's own, while
`com.plexapp.agents.thetvdb://121361/3/9` is the series' id with a season and an episode.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from webhook.domain.event import Ids, Kind

MAX_GUID = 500


class GuidForm(StrEnum):
    """The form in which a guid is written."""

    EXTERNAL = "external"
    PLEX = "plex"
    LEGACY = "legacy"
    HAMA = "hama"
    NFO = "nfo"
    CUSTOM = "custom"
    NONE = "none"
    LOCAL = "local"
    LIVE = "live"
    EXTRA = "extra"
    COLLECTION = "collection"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class Guid:
    """A parsed guid. `kind` is the kind it names, `numbering` is as in `Episode`."""

    form: GuidForm = GuidForm.OTHER
    ids: Ids = field(default_factory=Ids)
    show_ids: Ids = field(default_factory=Ids)
    kind: Kind | None = None
    season: int | None = None
    number: int | None = None
    numbering: str = "aired"

    def merge(self, other: Guid) -> Guid:
        """This guid, completed from `other`."""
        numbers = self if self.season is not None else other
        return Guid(
            form=self.form,
            ids=self.ids.merge(other.ids),
            show_ids=self.show_ids.merge(other.show_ids),
            kind=self.kind or other.kind,
            season=numbers.season,
            number=numbers.number,
            numbering=numbers.numbering,
        )


KINDS_BY_WORD = {kind.value: kind for kind in Kind}
ID_PATTERN = r"(?P<id>[^/?]*)"
PATH = r"(?:/(?P<season>[0-9]{1,9})(?:/(?P<number>[0-9]{1,9}))?)?"
QUERY = r"(?:\?.*)?"
KIND_PATTERN = r"(?P<kind>movie|show|season|episode|artist|album|track|clip)"

EXTERNAL = re.compile(rf"(?P<source>imdb|tmdb|tvdb|mbid)://{ID_PATTERN}{PATH}{QUERY}")
PLEX = re.compile(rf"plex://{KIND_PATTERN}/(?P<id>[0-9A-Za-z_-]{{1,100}}){QUERY}")
HAMA = re.compile(
    rf"com\.plexapp\.agents\.hama://(?:(?P<source>anidb|tvdb|tmdb|tsdb|imdb)(?P<mode>[2-9])?-)?{ID_PATTERN}{PATH}{QUERY}"
)
LEGACY = re.compile(rf"(?:com\.plexapp\.agents\.)?(?P<source>[a-z]+)://{ID_PATTERN}{PATH}{QUERY}")
LOCAL = re.compile(rf"local://{ID_PATTERN}{PATH}{QUERY}")
ANIMELIST = re.compile(
    rf"net\.(?:devvsbugs|fribbtastic)\.coding\.plex\.(?P<source>myanimelist)://{ID_PATTERN}{PATH}{QUERY}"
)
NFO = re.compile(
    rf"tv\.plex\.agents\.nfo\.(?:movie|series)://{KIND_PATTERN}/(?:(?P<source>tmdb|imdb|tvdb)_)?{ID_PATTERN}{QUERY}"
)
CUSTOM = re.compile(
    r"tv\.plex\.agents\.custom\.[^:/]+\.(?P<source>tmdb|imdb|tvdb)://"
    rf"{KIND_PATTERN}/(?:[a-z]+-[a-z]+-)?{ID_PATTERN}{QUERY}"
)
IMDB_ID = re.compile(r"tt[0-9]{5,12}")
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
NUMERIC_ID = re.compile(r"[0-9]{1,18}")

SPACES = {
    "imdb": "imdb",
    "tmdb": "tmdb",
    "tsdb": "tmdb",
    "themoviedb": "tmdb",
    "tvdb": "tvdb",
    "thetvdb": "tvdb",
    "thetvdbdvdorder": "tvdb",
    "abstvdb": "tvdb",
    "xbmcnfo": "tmdb",
    "xbmcnfotv": "tvdb",
    "anidb": "anidb",
    "myanimelist": "mal",
    "mbid": "musicbrainz",
}
LEGACY_AGENTS = frozenset(
    ("imdb", "themoviedb", "thetvdb", "thetvdbdvdorder", "abstvdb", "xbmcnfo", "xbmcnfotv", "tvdb", "tmdb")
)
OTHER_ORDERS = frozenset(("thetvdbdvdorder", "abstvdb"))  # DVD and absolute order are not as aired
PARTS_OF_A_SHOW = frozenset((Kind.EPISODE, Kind.SEASON))
OPENINGS = (
    ("com.plexapp.agents.none://", GuidForm.NONE),
    ("tv.plex.agents.none://", GuidForm.NONE),
    ("tv.plex.xmltv://", GuidForm.LIVE),
    ("iva://", GuidForm.EXTRA),
    ("file://", GuidForm.EXTRA),
    ("collection://", GuidForm.COLLECTION),
)
PROVIDERS = {
    "imdb": "imdb",
    "tmdb": "tmdb",
    "tvdb": "tvdb",
    "thetvdb": "tvdb",
    "themoviedb": "tmdb",
    "trakt": "trakt",
    "simkl": "simkl",
    "anidb": "anidb",
    "mal": "mal",
    "myanimelist": "mal",
    "musicbrainztrack": "musicbrainz",
}


def parse_guid(text: str, kind: Kind | None = None) -> Guid:
    """Parse a guid of an item of this kind; an unknown form gives an empty one."""
    text = text.strip()[:MAX_GUID]
    if form := next((form for opening, form in OPENINGS if text.startswith(opening)), None):
        return Guid(form=form)
    for pattern, reader in READERS:
        if match := pattern.fullmatch(text):
            return reader(match, kind)
    return Guid(form=GuidForm.EXTERNAL, ids=clean_ids(imdb=text)) if IMDB_ID.fullmatch(text) else Guid()


def parse_guids(texts: Iterable[str], kind: Kind | None = None) -> Guid:
    """Merge the guids of one item; where they disagree, the first decides."""
    merged: Guid | None = None
    for text in texts:
        said = parse_guid(text, kind)
        merged = said if merged is None else merged.merge(said)
    return merged or Guid()


def provider_ids(mapping: Mapping[Any, Any]) -> Ids:
    """The ids of a Jellyfin or Emby `ProviderIds`, whose keys come in any case."""
    known = Ids()
    for name, value in mapping.items():
        if space := PROVIDERS.get(str(name).lower()):
            known = known.merge(clean_ids(**{space: value}))
    return known


def clean_ids(**named: Any) -> Ids:
    """The ids of these namespaces that are well formed."""
    known = {space: value for space, raw in named.items() if (value := clean_id(space, raw)) is not None}
    return Ids.from_json(known)


def clean_id(space: str, raw: Any) -> int | str | None:
    """An id as its namespace writes it, or None."""
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        return None
    if isinstance(raw, int) and raw >= 10**18:
        return None
    text = str(raw).strip()
    if space == "imdb":
        return text.lower() if IMDB_ID.fullmatch(text.lower()) else None
    if space == "musicbrainz":
        return text.lower() if UUID.fullmatch(text.lower()) else None
    return (int(text) or None) if NUMERIC_ID.fullmatch(text) else None


def ids_of_source(source: str, raw: str) -> Ids:
    """The id of a source; an id that looks like IMDb's is IMDb's, whatever the agent is called."""
    if IMDB_ID.fullmatch(raw):
        return clean_ids(imdb=raw)
    return clean_ids(**{SPACES[source]: raw})


def guid_with_place(
    match: re.Match[str], form: GuidForm, known: Ids, *, show: bool, numbering: str = "aired"
) -> Guid:
    """A guid with a path: with a season it is the show that the id names."""
    season, number = (int(value) if value else None for value in match.group("season", "number"))
    if season is None:
        return Guid(form=form, show_ids=known) if show else Guid(form=form, ids=known)
    kind = Kind.SEASON if number is None else Kind.EPISODE
    return Guid(form=form, show_ids=known, kind=kind, season=season, number=number, numbering=numbering)


def external(match: re.Match[str], kind: Kind | None) -> Guid:
    return guid_with_place(match, GuidForm.EXTERNAL, ids_of_source(match["source"], match["id"]), show=False)


def plex(match: re.Match[str], kind: Kind | None) -> Guid:
    return Guid(form=GuidForm.PLEX, ids=Ids(plex=match["id"]), kind=KINDS_BY_WORD.get(match["kind"]))


def legacy(match: re.Match[str], kind: Kind | None) -> Guid:
    source = match["source"]
    if source not in LEGACY_AGENTS:
        return Guid()
    numbering = "mapped" if source in OTHER_ORDERS else "aired"
    known = ids_of_source(source, match["id"])
    return guid_with_place(match, GuidForm.LEGACY, known, show=kind in PARTS_OF_A_SHOW, numbering=numbering)


def hama(match: re.Match[str], kind: Kind | None) -> Guid:
    source = match["source"] or "anidb"
    known = ids_of_source(source, match["id"])
    numbering = "mapped" if match["mode"] or not first_season(source, match) else "aired"
    return guid_with_place(match, GuidForm.HAMA, known, show=kind in PARTS_OF_A_SHOW, numbering=numbering)


def animelist(match: re.Match[str], kind: Kind | None) -> Guid:
    numbering = "aired" if first_season("anidb", match) else "mapped"
    known = ids_of_source("myanimelist", match["id"])
    return guid_with_place(match, GuidForm.HAMA, known, show=kind in PARTS_OF_A_SHOW, numbering=numbering)


def first_season(source: str, match: re.Match[str]) -> bool:
    """True if the numbers count as aired: an anime list's own series has one season, its first."""
    return source != "anidb" or match["season"] in (None, "1")


def local(match: re.Match[str], kind: Kind | None) -> Guid:
    return guid_with_place(match, GuidForm.LOCAL, Ids(), show=False)


def nfo(match: re.Match[str], kind: Kind | None) -> Guid:
    return guid_of_provider(GuidForm.NFO, match)


def custom(match: re.Match[str], kind: Kind | None) -> Guid:
    return guid_of_provider(GuidForm.CUSTOM, match)


def guid_of_provider(form: GuidForm, match: re.Match[str]) -> Guid:
    guid = Guid(form=form, kind=KINDS_BY_WORD.get(match["kind"]))
    if match["source"] is None and not IMDB_ID.fullmatch(match["id"]):
        return guid
    return replace(guid, ids=ids_of_source(match["source"] or "imdb", match["id"]))


READERS = (
    (EXTERNAL, external),
    (PLEX, plex),
    (HAMA, hama),
    (ANIMELIST, animelist),
    (LOCAL, local),
    (NFO, nfo),
    (CUSTOM, custom),
    (LEGACY, legacy),
)
