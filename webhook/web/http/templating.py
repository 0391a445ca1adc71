"""Templates, and the formats of times, items and states for people."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, date, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any, cast

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.ext import InternationalizationExtension
from jinja2.runtime import Context
from markupsafe import Markup

from webhook import clock, lookups, sources, trackers
from webhook.domain.event import MANY_OF_KIND, REASONS, Action
from webhook.domain.outcome import Park, explain_limit, parked_sentence
from webhook.domain.pictures import cover_hue, cover_letters, season_key
from webhook.domain.rules import DRY_RUN
from webhook.people import scopes
from webhook.queries.deliveries import DeliveryJson, LimitJson
from webhook.queries.up_next import UpNextJson
from webhook.texts import texts
from webhook.web.http import charts, language
from webhook.web.http.item_names import (
    film_page_key,
    headline,
    item_title,
    picture_of,
    picture_title,
    show_page_key,
    subline,
    title_with_year,
)
from webhook.web.http.language import format_date, format_number, gettext, ngettext, translate
from webhook.web.visible import DELIVERY_STATES, WEBHOOK_STATES

FIELD_NAME = re.compile(r"^[a-z_]+: ")
HERE = Path(__file__).parent.parent
STATIC = HERE / "static"

TONES = {
    "interpreted": "good",
    "done": "good",
    "working": "good",
    "playing": "good",
    "received": "wait",
    "waiting": "wait",
    "paused": "wait",
    "unclaimed": "warn",
    "held": "warn",
    "unmatched": "warn",
    "parked": "warn",
    "quarantined": "bad",
    "dead": "bad",
}
"""The colour of a state, neutral by default; the word is always shown beside it."""

ACTION_WORDS = texts(
    {
        "start": "started",
        "pause": "paused",
        "resume": "resumed",
        "stop": "stopped",
        "watched": "watched",
        "unwatched": "marked unwatched",
        "rate": "rated",
        "unrate": "rating removed",
        "add": "added to the library",
        "favourite": "loved",
        "unfavourite": "unloved",
        "watchlist": "put on the watchlist",
        "unwatchlist": "taken off the watchlist",
        "progress": "progress",
    }
)


BRIEF_REASONS = texts(
    {
        "trailer": "trailers",
        "theme": "theme music",
        "photo": "photos",
        "live_tv": "live TV",
        "no_ids": "no IDs",
        "unsupported_event": "not about viewing",
        "unsupported_kind": "other kinds",
        "nobody_did_it": "by the server itself",
        "duplicate_of_play": "duplicates",
        "test": "test messages",
        "home_video": "home videos",
        "no_rating": "without a rating",
        "not_completed": "not finished",
    }
)
"""The reasons why webhooks are ignored, in words for a chip, where the code does not say it."""


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        optimized=False,  # a constant that a filter translates is said in the language of each page
        auto_reload=False,  # avoids a check for changed templates on each page
        autoescape=True,  # titles are arbitrary file names
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[InternationalizationExtension],
    )
    # With newstyle a text is HTML and its values are escaped, so that a sentence may hold <b> and a title cannot.
    made.install_gettext_callables(  # type: ignore[attr-defined]
        language.look_up, language.look_up_plural, newstyle=True, pgettext=language.look_up_in_context
    )
    made.globals["ngettext"] = with_formatted_number(cast(Callable[..., str], made.globals["ngettext"]))
    made.filters |= FILTERS
    made.globals["version"] = fingerprint()
    return made


def with_formatted_number(plural: Callable[..., str]) -> Callable[..., str]:
    """Jinja's ngettext, whose `num` has the separators of the language unless it is given."""

    @pass_context
    def ngettext(context: Context, one: str, many: str, number: int, **values: object) -> str:
        return plural(context, one, many, number, **{"num": format_number(number), **values})

    return ngettext


def hindrance(delivery: DeliveryJson) -> str:
    """A sentence on what a parked delivery waits for."""
    reason = delivery["reason"] or gettext("The account needs attention")
    kind = Action.WATCHED.value if delivery["mark"] else delivery["action"]
    if refused := explain_limit(reason, kind, label(delivery["tracker"])):
        return gettext(
            "%(refused)s, then retry. Everything else is sent as usual.", refused=translate(refused)
        )
    return translate(parked_sentence(Park(reason), None) if reason in set(Park) else reason)


def refusal(limit: LimitJson) -> str:
    """A sentence on what a service refuses of an account."""
    return translate(explain_limit(limit["reason"], limit["kind"], label(limit["tracker"])) or "")


def link_texts(text: Markup, *targets: str) -> Markup:
    """A text of the catalogue whose links, in their order, lead to these addresses."""
    for target in targets:
        before, after = text.split("<a>", 1)
        text = Markup('{}<a href="{}">{}').format(before, target, after)
    return text


def fingerprint() -> str:
    """A fingerprint of the static files, by which browsers may cache them."""
    files = sorted(path for path in STATIC.iterdir() if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:10]


DAYS_COUNTED = 14
"""The days until an episode airs that are counted; a later one is named by its date."""

DAYS_NEW = 30
"""The days for which an episode counts as new, so that the day on which it aired is of interest."""

ORIGINS = texts({
    "webhook": "the webhook", "title": "a search by title", "chosen by a person": "a person's choice", "choice": "a person's choice",
    "history": "the history", "server": "the media server",
})  # fmt: skip
"""What gave an id, beside the lookups, in words after “from”."""

NAMED_DAYS = texts({0: "today", 1: "yesterday", -1: "tomorrow"})

DATES = texts(
    (
        "%-d %b %Y, %H:%M:%S %Z", "%A %H:%M", "%-d %b %H:%M", "%-d %b %Y", "%-d %b", "%A", "%-d %B", "%-d %B %Y",
        "%A %-d %B", "%A %-d %B %Y", "%a %-d %b", "%a %-d %b %Y", "aired %A", "aired %-d %b", "aired %-d %b %Y",
    )
)  # fmt: skip
"""The patterns of dates, by strftime; a translation has them in its own order."""

ZONE: ContextVar[tzinfo] = ContextVar("zone", default=UTC)
"""The time zone of the page being rendered."""


def draw(template: str, known: Mapping[str, object], zone: tzinfo | None = None) -> str:
    before = ZONE.set(zone or UTC)
    try:
        return environment().get_template(template).render(known)
    finally:
        ZONE.reset(before)


def format_moment(stamped: str) -> str:
    """A time of the API in the person's zone: 22 Nov 2026, 21:15:09 CET."""
    at = datetime.fromisoformat(stamped).astimezone(ZONE.get())
    return format_date(at, "%-d %b %Y, %H:%M:%S %Z")


def format_nearby(stamped: str) -> str:
    """A time as one would say it: today 15:25, yesterday 09:02, Thursday 21:10, 22 Nov 21:10, 3 Feb 2024."""
    at = datetime.fromisoformat(stamped).astimezone(ZONE.get())
    today = clock.now().astimezone(ZONE.get()).date()
    days = (today - at.date()).days
    if days in NAMED_DAYS:
        return f"{gettext(NAMED_DAYS[days])} {at:%H:%M}"
    if 0 < days < 7:
        return format_date(at, "%A %H:%M")
    return format_date(at, "%-d %b %H:%M" if at.year == today.year else "%-d %b %Y")


def format_since(stamped: str) -> str:
    """A time after "since": 15:25 for one of today, else as `format_nearby` says it."""
    at = datetime.fromisoformat(stamped).astimezone(ZONE.get())
    is_today = at.date() == clock.now().astimezone(ZONE.get()).date()
    return f"{at:%H:%M}" if is_today else format_nearby(stamped)


def format_day(at: date) -> str:
    """A day as a heading: Today, Yesterday, Thursday, 22 November, 3 February 2024."""
    today = clock.now().astimezone(ZONE.get()).date()
    days = (today - at).days
    if days in NAMED_DAYS:
        return gettext(NAMED_DAYS[days]).capitalize()
    if 0 < days < 7:
        return format_date(at, "%A")
    return format_date(at, "%-d %B" if at.year == today.year else "%-d %B %Y")


def airs(day: str) -> str:
    """The day on which an episode airs or aired: today, tomorrow, in 3 days, aired Thursday, aired 3 Oct."""
    at, today = date.fromisoformat(day), clock.now().astimezone(ZONE.get()).date()
    days = (at - today).days
    if days in (0, 1):
        return gettext(NAMED_DAYS[-days])
    if 1 < days <= DAYS_COUNTED:
        return ngettext("in %(num)s day", "in %(num)s days", days)
    if -7 < days < 0:
        return gettext("aired yesterday") if days == -1 else format_date(at, "aired %A")
    named = "%-d %b" if at.year == today.year else "%-d %b %Y"
    return format_date(at, f"aired {named}" if days < 0 else named)


def availability(entry: UpNextJson) -> str:
    """When the next episode airs or aired, and how many are left: tomorrow, aired Thursday, 12 to watch."""
    today = clock.now().astimezone(ZONE.get()).date()
    rest = gettext("%(number)s to watch", number=format_number(entry["left"])) if entry["left"] > 1 else ""
    if rest and (today - date.fromisoformat(entry["aired"])).days > DAYS_NEW:
        return rest
    return " \N{MIDDLE DOT} ".join(part for part in (airs(entry["aired"]), rest) if part)


def day(stamped: str) -> str:
    return format_date(datetime.fromisoformat(stamped).astimezone(ZONE.get()), "%-d %b %Y")


def localtime(stamped: str) -> str:
    """A time as the value of a form's date field."""
    return datetime.fromisoformat(stamped).astimezone(ZONE.get()).strftime("%Y-%m-%dT%H:%M:%S")


def hour(stamped: str) -> str:
    return datetime.fromisoformat(stamped).astimezone(ZONE.get()).strftime("%H:%M")


NAMES_OF_CODES = texts(
    (
        "movie", "track", "season", "show", "library", "player", "playing", "following", "archived", "for later", "removed",
        "redated", "corrected", "merged", "reassigned", "restored", "added", "signed out", "vip required",
        "account limit", "account locked", "app deleted", "service closed", "everything", "nothing",
    )
)  # fmt: skip
"""Kinds, states and edits that pages show by their name."""


def label(name: str) -> str:
    """The display name of a tracker or a source."""
    return translate(labels().get(name, name))


@cache
def labels() -> dict[str, str]:
    modules = {**sources.modules(), **trackers.modules()}
    return {
        "videoscrobbler": "VideoScrobbler",
        "watchmark": "Watchmark",
        **{name: module.LABEL for name, module in modules.items()},
    }


def origin_text(via: str) -> str:
    """Where an id came from, in words; `a+b` came from both."""
    known = {**{name: module.LABEL for name, module in lookups.modules().items()}, **ORIGINS}
    return ", ".join(translate(known.get(one, one)) for one in via.split("+"))


def reason_text(reason: str | None) -> str:
    """The reason why something was ignored, in words."""
    return translate(REASONS.get(reason or "", reason)).removeprefix(gettext("filter: "))


def brief_reason(reason: str) -> str:
    said = translate(BRIEF_REASONS.get(reason, reason)).removeprefix(gettext("filter: "))
    return said.replace("_", " ")


def without_field(text: str) -> str:
    """A sentence of the API without the field that it begins with, which a page has by another name."""
    return FIELD_NAME.sub("", text)


def capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


def shorten(text: str, longest: int) -> str:
    """A text of at most so many characters, for where nothing can wrap."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"


def span(ms: int | None) -> str:
    """A duration as a player shows it: 1:02:03."""
    if ms is None:
        return "?"
    seconds = ms // 1000
    minutes, hours = seconds // 60 % 60, seconds // 3600
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


def minutes(ms: int | None) -> int:
    """A position in whole minutes, as `live.js` moves it on."""
    return (ms or 0) // 60_000


def request_text(value: Any) -> str:
    """A tracker request's body as text."""
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


FILTERS: Mapping[str, Callable[..., object]] = {
    "t": translate,
    "number": format_number,
    "dated": format_date,
    "month": language.month_name,
    "weekday": language.weekday_name,
    "linked": link_texts,
    "named": title_with_year,
    "moment": format_moment,
    "nearby": format_nearby,
    "since": format_since,
    "localtime": localtime,
    "spoken": charts.duration_text,
    "airs": airs,
    "shorten": shorten,
    "day": day,
    "hour": hour,
    "titled": item_title,
    "headline": headline,
    "subline": subline,
    "minutes": minutes,
    "availability": availability,
    "day_heading": format_day,
    "label": label,
    "dry": lambda delivery: delivery["reason"] == DRY_RUN,
    "origin": origin_text,
    "why": reason_text,
    "brief": brief_reason,
    "parked": lambda state, why=None: translate(
        parked_sentence(Park(state), why) if state in set(Park) else state
    ),
    "hindrance": hindrance,
    "refusal": refusal,
    "tone": lambda state: TONES.get(state, "quiet"),
    "state": lambda state: translate({**WEBHOOK_STATES, **DELIVERY_STATES}.get(state, state)),
    "kinds": lambda kind: translate(MANY_OF_KIND.get(kind, kind)),
    "did": lambda action: translate(ACTION_WORDS.get(action, action)),
    "sent": request_text,
    "sentence": capitalize,
    "without_field": without_field,
    "span": span,
    "scopes": lambda stored: translate(scopes.spell(stored)),
    "picture_of": picture_of,
    "cover_letters": lambda entry: cover_letters(picture_title(entry)),
    "hue": cover_hue,
    "film_key": film_page_key,
    "season_key": lambda key, season: key and season_key(key, season),
    "show_key": show_page_key,
    "cover_hue": lambda entry: cover_hue(picture_title(entry)),
}
"""What templates say a value in words with."""
