"""A calendar of watched plays (iCalendar, RFC 5545): https://www.rfc-editor.org/rfc/rfc5545.

An entry begins when the watched mark was made and is as long as the item; where only the day is known it is
an all-day entry. A play that only says when it was ticked is left out: it has no place in a
calendar. The UID is made of what was watched and when, so a calendar that imports the file again
changes its entries and doubles none. Entries are transparent: they make nobody busy.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo

import orjson

from webhook.domain.event import Episode, Item, Kind, Movie, Track, item_to_json
from webhook.domain.play import Dated, Play
from webhook.transfer.exports._pieces import join_pieces
from webhook.transfer.exports._values import Exported, day, stamp, watched_plays
from webhook.transfer.records import Kept

LABEL = "Calendar"
DESCRIPTION = "A calendar of what was watched when, to import or look at in a calendar program."
SUFFIX = "ics"
MEDIA_TYPE = "text/calendar; charset=utf-8"
KINDS = frozenset({Kind.MOVIE, Kind.EPISODE, Kind.TRACK})

OCTETS = 75
"""The most bytes of one line, without its end."""

ESCAPED = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"})
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


def write(plays: Iterable[Exported], library: Iterable[Kept], *, zone: tzinfo = UTC) -> Iterator[bytes]:
    """One entry for each watched play whose date is known."""
    return join_pieces(fold_line(line) for line in lines(plays, zone))


def lines(plays: Iterable[Exported], zone: tzinfo) -> Iterator[str]:
    yield from ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Watchmark//History//EN", "CALSCALE:GREGORIAN")
    for entry, at in watched_plays(plays, KINDS):
        if entry.play.dated is not Dated.TICKED:
            yield from event(entry, at, zone)
    yield "END:VCALENDAR"


def event(entry: Exported, at: datetime, zone: tzinfo) -> Iterator[str]:
    play = entry.play
    yield from ("BEGIN:VEVENT", f"UID:{uid(entry, at)}", f"DTSTAMP:{basic(at)}")
    yield from when(play, at, zone)
    yield f"SUMMARY:{escape_text(summary(play.item))}"
    yield f"CATEGORIES:{escape_text(play.item.kind.value)}"
    if play.player:
        yield f"LOCATION:{escape_text(play.player)}"
    yield from ("TRANSP:TRANSPARENT", "END:VEVENT")


def when(play: Play, at: datetime, zone: tzinfo) -> Iterator[str]:
    if play.dated is Dated.DAY:
        yield f"DTSTART;VALUE=DATE:{day(at, Dated.DAY, zone):%Y%m%d}"
        return
    yield f"DTSTART:{basic(at)}"
    if play.duration_ms and (seconds := round(play.duration_ms / 1000)):
        yield f"DURATION:PT{seconds}S"


def basic(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def uid(entry: Exported, at: datetime) -> str:
    told = [item_to_json(entry.play.item), stamp(at), entry.play.player, entry.foreign_key]
    return f"{hashlib.sha256(orjson.dumps(told)).hexdigest()[:32]}@watchmark"


def summary(item: Item) -> str:
    """The title of an entry: `Show – S03E09 – Title`, `Film (2010)` or `Artist – Title`."""
    match item:
        case Movie(title=title, year=int(year)):
            return f"{title or 'A film'} ({year})"
        case Episode():
            return (
                " – ".join(part for part in (item.show, episode_code(item), item.title) if part)
                or "An episode"
            )
        case Track():
            return " – ".join(part for part in (item.artist, item.title) if part) or "A track"
        case _:
            return item.title or "A film"


def episode_code(item: Episode) -> str | None:
    if item.season is None or item.number is None:
        return None
    return f"S{item.season:02}E{item.number:02}"


def escape_text(text: str) -> str:
    """A text as an iCalendar value: special characters escaped, control characters as spaces."""
    return CONTROLS.sub(" ", text.replace("\r\n", "\n")).translate(ESCAPED)


def fold_line(line: str) -> bytes:
    """The line with its end, folded if too long, but never inside a character."""
    whole = line.encode("utf-8", "replace")
    pieces = []
    room = OCTETS
    while len(whole) > room:
        cut = room
        while whole[cut] & 0xC0 == 0x80:
            cut -= 1
        pieces.append(whole[:cut])
        whole, room = whole[cut:], OCTETS - 1
    return b"\r\n ".join([*pieces, whole]) + b"\r\n"
