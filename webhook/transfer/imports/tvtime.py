"""TV Time, from the exports that people saved before it closed: its own (the GDPR zip), and those of two extensions.

A whole zip or one file of it. What is read of which file stands in PARTS; of a zip nothing else is opened, for
TV Time's own also holds passwords and tokens. Where two files tell the same (the old layout beside the new one,
JSON beside CSV) the first of them in PARTS counts, and the others add what it lacks.

Every dated mark is a play. The dates are when something was marked, and marks that came in bulk say only
that (`Dated.TICKED`). Rewatches that are counted but not dated, and marks without any date, are no
plays: each file says how many, or which. Lists have no place here, and it is said how much is left out; emotions
are not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from webhook.transfer.imports import _tvtime_gdpr, _tvtime_out
from webhook.transfer.imports._archive import Bundle
from webhook.transfer.imports._tvtime_values import Given
from webhook.transfer.records import Bad, Entry, Unusable

LABEL = "TV Time"
COPY = re.compile(r" ?\(\d+\)(?=\.\w+$)")
"""The suffix that a browser adds to the name of a file that was downloaded before."""

Reader = Callable[[Bundle, str, Given], Iterator[Entry]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One kind of file of an export.

    `called` is a pattern of its name in a zip. A single file is recognised by its columns (all of `has`,
    none of `lacks`) or, for JSON, by the keys of its first object; `by_name` if only the name tells,
    `packed` if it is read only from a zip. `passes`: how often it is read.
    """

    called: re.Pattern[str]
    read: Reader
    has: frozenset[str]
    lacks: frozenset[str] = frozenset()
    by_name: bool = False
    packed: bool = False
    json: bool = False
    passes: int = 1


def part(
    called: str,
    read: Reader,
    has: str,
    lacks: str = "",
    *,
    passes: int = 1,
    by_name: bool = False,
    packed: bool = False,
) -> Part:
    return Part(
        called=re.compile(called),
        read=read,
        has=frozenset(has.split()),
        lacks=frozenset(lacks.split()),
        by_name=by_name,
        packed=packed,
        json=called.endswith("json"),
        passes=passes,
    )


PARTS = (
    part(r"tracking-prod-records-v2.*\.csv", _tvtime_gdpr.records, "key created_at", passes=2),
    part(
        r"tracking-prod-records(?!-v2).*\.csv",
        _tvtime_gdpr.older_records,
        "type entity_type",
        "key",
        passes=2,
    ),
    part(
        r"seen_episode\.csv",
        _tvtime_gdpr.read_views,
        "episode_id tv_show_name",
        "cpt source watched_on_source_id",
        passes=2,
    ),
    # Parts of the old log: they hold some of the marks and add those that the fuller files lack.
    part(r"watched_on_episode\.csv", _tvtime_gdpr.read_views, "episode_id watched_on_source_id", passes=2),
    part(
        r"seen_episode_source\.csv",
        _tvtime_gdpr.read_views,
        "episode_id tv_show_name source",
        "cpt",
        passes=2,
    ),
    part(r"rewatched_episode\.csv", _tvtime_gdpr.read_rewatches, "episode_id cpt"),
    part(r"followed_tv_show\.csv", _tvtime_gdpr.follows, "tv_show_id archived"),
    part(r"user_tv_show_data\.csv", _tvtime_gdpr.favourites, "tv_show_id is_favorited"),
    part(r"ratings-live-votes\.csv", _tvtime_gdpr.votes, "vote_key", by_name=True),
    part(r"ratings-v2-prod-votes\.csv", _tvtime_gdpr.votes, "vote_key", by_name=True),
    part(r"ratings-3-prod-episode_votes\.csv", _tvtime_gdpr.votes, "vote_key", by_name=True),
    part(r"tv_show_rate\.csv", _tvtime_gdpr.show_ratings, "tv_show_name rating"),
    part(r"(tvtime-series|shows)(?!-episodes).*\.json", _tvtime_out.shows_json, "seasons"),
    part(r"(tvtime-)?movies.*\.json", _tvtime_out.movies_json, "is_watched", "seasons"),
    part(r"tvtime-series-episodes.*\.csv", _tvtime_out.episodes_csv, "series_tvdb_id is_watched", passes=2),
    part(r"tvtime-series(?!-episodes).*\.csv", _tvtime_out.series_csv, "tvdb_id title status", "type"),
    part(r"tvtime-movies.*\.csv", _tvtime_out.movies_csv, "tvdb_id title is_watched", "type series_tvdb_id"),
    part(r"activity_history\.csv", _tvtime_out.activity, "imdb_id type is_watched", passes=3),
    part(
        r"favorites\.json", _tvtime_out.favourites_json, "", by_name=True, passes=len(_tvtime_out.FAVOURITES)
    ),
    part(r"lists-prod-lists\.csv", _tvtime_out.lists_csv, "", packed=True),
    part(r"tvtime-lists.*\.csv", _tvtime_out.lists_csv, "", packed=True),
    part(r"list_.*\.csv", _tvtime_out.lists_csv, "", packed=True),
    part(r"(tvtime-)?lists.*\.json", _tvtime_out.lists_json, "", packed=True),
)


def read(bundle: Bundle) -> Iterator[Entry]:
    """The entries of an export, file by file in the order of PARTS; raises Unusable if none is TV Time's."""
    found = find_parts(bundle)
    if not found:
        raise Unusable(
            f"{bundle.path.name} is no export of TV Time that is known here: neither its own zip, nor files of TV Time Out "
            "or TV Time Liberator. Give the zip as it was downloaded, or one of its files."
        )
    bundle.plan([name for known, name in found for _ in range(known.passes)])
    yield from bundle.duplicate_files({name for _, name in found})
    given = Given()
    refused: dict[str, Unusable] = {}
    for known, name in found:
        try:
            yield from known.read(bundle, name, given)
        except Unusable as error:
            refused[name] = error
        given.finish()
    if len(refused) == len(found):
        raise next(iter(refused.values()))
    for name, reason in refused.items():
        yield Bad(file=name, line=None, why=str(reason), do="The other files of the export were read.")


def find_parts(bundle: Bundle) -> list[tuple[Part, str]]:
    """The files to read with their kinds: of a zip by name, a single file by its content."""
    if bundle.loose:
        return [(known, name) for name in bundle.names for known in part_of_single_file(bundle, name)]
    return [(known, name) for known in PARTS for name in reversed(bundle.names) if matches(known, name)]


def matches(known: Part, name: str) -> bool:
    return known.called.fullmatch(COPY.sub("", name.lower())) is not None


def part_of_single_file(bundle: Bundle, name: str) -> Iterator[Part]:
    """The kind of a single file, if any: by its name if that is recognisable, else by its content."""
    there = frozenset(keys(bundle, name)) if is_json(bundle, name) else frozenset(bundle.columns(name))
    loose = [known for known in PARTS if not known.packed]
    fits = [known for known in loose if known.json == is_json(bundle, name) and is_fit(known, there)]
    by_name = [known for known in fits if matches(known, name)]
    yield from (by_name or [known for known in fits if not known.by_name])[:1]


def is_fit(known: Part, there: frozenset[str]) -> bool:
    return known.has <= there and not known.lacks & there


def is_json(bundle: Bundle, name: str) -> bool:
    return bundle.head(name, 64).lstrip()[:1] in (b"[", b"{")


def keys(bundle: Bundle, name: str) -> set[str]:
    """The keys of the first object of a JSON array."""
    first = next(bundle.items(name), None)
    return set(first) if isinstance(first, dict) else set()
