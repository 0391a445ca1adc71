"""The language of a page: which one a browser wants, and its words, days and numbers.

English is what the templates and the code hold; a catalogue is read when the first page in its language is asked for.
What the API, the commands and the database hold stays English: a page translates it where it is drawn.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache, reduce
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any

from webhook.domain.event import MANY_OF_KIND, ONE_OF_KIND, Kind
from webhook.domain.outcome import KEPT_IN
from webhook.system import resources

ENGLISH = "en"
DOMAIN = "watchmark"
LANGUAGE_COOKIE = "watchmark_language"
LANGUAGES: Mapping[str, str] = {ENGLISH: "English", "de": "Deutsch"}
"""The languages of the pages, each by its own name."""

LANGUAGE: ContextVar[str] = ContextVar("language", default=ENGLISH)
"""The language of the page that is being answered."""

CODES = frozenset(
    (*Kind, *ONE_OF_KIND.values(), *MANY_OF_KIND.values(), *KEPT_IN.values(), "library", "player")
)
"""The words of one or two that a sentence of the code may hold and that name nobody and nothing of anybody."""

MIN_SPACES = 2
"""How many spaces a value has at least where it is a sentence."""

GROUPED_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+")
"""A number from a thousand on, as the code writes it."""

SENTENCE_END = re.compile(r"(?<=[.?!]) (?=[A-Z])")
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
MAX_REMEMBERED = 4096
MIN_LETTERS = 6
"""How much a sentence says without its values, so that it can be recognised by the rest."""

MAX_SENTENCE = 400
"""The letters up to which a text is compared with the sentences of the code: looking for many values takes long."""

MAX_NESTING = 3
"""How deep a sentence may hold other sentences that are translated as well."""


def choose_language(cookie: str, accepted: str) -> str:
    """The language that the browser was told to show here, else the first of ours that it prefers."""
    if cookie in LANGUAGES:
        return cookie
    ranges = [part.strip().lower().partition(";") for part in accepted.split(",")]
    wanted = [(quality(rest), tag.split("-")[0].strip()) for tag, _, rest in ranges]
    fitting = [(weight, tag) for weight, tag in wanted if weight > 0 and tag in LANGUAGES]
    return max(fitting, key=lambda pair: pair[0], default=(0, ENGLISH))[1]


def quality(parameter: str) -> float:
    """The weight of a language range (RFC 9110, 12.4.2)."""
    name, _, value = parameter.replace(" ", "").partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0


# --- words


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a language, and how those that the code hands on with values in them are recognised."""

    translations: NullTranslations
    patterns: Sequence[tuple[re.Pattern[str], str]] = ()


@cache
def texts_of(language: str) -> Texts:
    """Read the catalogue of a language and compile it in memory."""
    if language == ENGLISH:
        return Texts(NullTranslations())
    from babel.messages.mofile import write_mo

    found = read_catalogue(language)
    compiled = BytesIO()
    write_mo(compiled, found)
    compiled.seek(0)
    return Texts(GNUTranslations(compiled), patterns_of(found))


async def prepare(language: str) -> None:
    """Read a catalogue beside the event loop, which takes a moment the first time."""
    if language not in PREPARED:
        await asyncio.to_thread(texts_of, language)
        PREPARED.add(language)


PREPARED = {ENGLISH}


def read_catalogue(language: str) -> Any:
    """The .po file of a language, as Babel's catalogue."""
    from babel.messages.pofile import read_po

    with path_of_catalogue(language).open("rb") as file:
        return read_po(file, locale=language)


def path_of_catalogue(language: str) -> Path:
    return resources.folder("locale") / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def look_up(text: str) -> str:
    return texts_of(LANGUAGE.get()).translations.gettext(text) if text else ""


def look_up_plural(one: str, many: str, number: int) -> str:
    return texts_of(LANGUAGE.get()).translations.ngettext(one, many, number)


def look_up_in_context(context: str, text: str) -> str:
    return texts_of(LANGUAGE.get()).translations.pgettext(context, text)


def gettext(text: str, **values: object) -> str:
    """A text of the code in the page's language, with its values."""
    return look_up(text) % values


def ngettext(one: str, many: str, number: int, **values: object) -> str:
    """A text with a number, in the form that the language has for that number."""
    return look_up_plural(one, many, number) % {"num": format_number(number), **values}


def translate(text: str | None) -> str:
    """An English sentence, however it was made or stored, in the page's language; as it came if nobody translated it."""
    language = LANGUAGE.get()
    if not text or language == ENGLISH:
        return text or ""
    if len(text) > MAX_SENTENCE:
        return look_up(text)
    return translate_to(language, text, MAX_NESTING)


@lru_cache(MAX_REMEMBERED)
def translate_to(language: str, text: str, depth: int) -> str:
    known = texts_of(language)
    found = known.translations.gettext(text)
    if found != text:
        return found
    for pattern, translation in known.patterns:
        if match := pattern.fullmatch(text):
            values = match.groupdict()
            if depth:
                values = {name: translate_value(language, value, depth) for name, value in values.items()}
            return translation % values
    return translate_parts(language, text, depth)


def translate_value(language: str, value: str, depth: int) -> str:
    """A value within a sentence: a number, a sentence itself, codes; anything else is a name, whatever it is called."""
    if GROUPED_NUMBER.fullmatch(value):
        return number_in(language, int(value.replace(",", "")))
    if CODES.issuperset(codes := value.split(" or ")):
        return join_alternatives([translate_to(language, code, depth - 1) for code in codes])
    return translate_to(language, value, depth - 1) if value.count(" ") >= MIN_SPACES else value


def join_alternatives(names: Sequence[str]) -> str:
    """Names with "or" between them."""
    return reduce(lambda first, second: gettext("%(first)s or %(second)s", first=first, second=second), names)


def translate_parts(language: str, text: str, depth: int) -> str:
    """A text that is known without its full stop, without its capital, or sentence by sentence; else as it is."""
    sentences = SENTENCE_END.split(text)
    if len(sentences) > 1:
        return " ".join(translate_to(language, sentence, depth) for sentence in sentences)
    if text.endswith("."):
        return f"{translate_to(language, text[:-1], depth)}."
    if text[:1].isupper() and not text[1:2].isupper():
        bare = f"{text[0].lower()}{text[1:]}"
        found = translate_to(language, bare, depth)
        return text if found == bare else f"{found[:1].upper()}{found[1:]}"
    return text


def patterns_of(catalogue: Any) -> list[tuple[re.Pattern[str], str]]:
    """The sentences of the code that have values in them, those with the most words first."""
    found = []
    for message in catalogue:
        if not isinstance(message.id, str) or not message.string or not PLACEHOLDER.search(message.id):
            continue
        rest = PLACEHOLDER.sub("", message.id)
        spoken = any(place.endswith(".py") for place, _ in message.locations)
        if spoken and sum(letter.isalpha() for letter in rest) >= MIN_LETTERS:
            found.append((len(rest), pattern_of(message.id), message.string))
    return [(pattern, string) for _, pattern, string in sorted(found, key=lambda one: one[0], reverse=True)]


def pattern_of(text: str) -> re.Pattern[str]:
    """What a text with values looks like once they are in it; a value that comes twice is the same both times."""
    pieces = PLACEHOLDER.split(text)
    named: set[str] = set()
    pattern = ""
    for number, piece in enumerate(pieces):
        if number % 2 == 0:
            pattern += re.escape(piece.replace("%%", "%"))
        else:
            pattern += f"(?P={piece})" if piece in named else f"(?P<{piece}>.+?)"
            named.add(piece)
    return re.compile(pattern, re.DOTALL)


# --- days and numbers


def format_date(at: date, pattern: str) -> str:
    """A date by a pattern of strftime, which the catalogue has in the order of the language."""
    language = LANGUAGE.get()
    if language == ENGLISH:
        return at.strftime(pattern)
    pattern = look_up(pattern)
    for sign, names in (("%A", day_names(language, "wide")), ("%a", day_names(language, "abbreviated"))):
        pattern = pattern.replace(sign, names[at.weekday()])
    for sign, names in (("%B", month_names(language, "wide")), ("%b", month_names(language, "abbreviated"))):
        pattern = pattern.replace(sign, names[at.month])
    return at.strftime(pattern)


def month_name(number: int, pattern: str = "%B") -> str:
    """The name of a month, from 1; by `%b` a short one."""
    return format_date(date(2001, number, 1), pattern).removesuffix(".")


def weekday_name(number: int, pattern: str = "%A") -> str:
    """The name of a weekday, which is 0 on a Monday; by `%a` a short one."""
    return format_date(date(2001, 1, 1 + number), pattern).removesuffix(".")


def day_names(language: str, width: str) -> Mapping[int, str]:
    from babel import Locale

    names: Mapping[int, str] = Locale(language).days["format"][width]
    return names


def month_names(language: str, width: str) -> Mapping[int, str]:
    from babel import Locale

    names: Mapping[int, str] = Locale(language).months["format"][width]
    return names


def format_number(number: float) -> str:
    """A number with the separators of the page's language: 1,234.5 or 1.234,5."""
    return number_in(LANGUAGE.get(), number)


def number_in(language: str, number: float) -> str:
    if language == ENGLISH:
        return f"{number:,}" if isinstance(number, int) else f"{number:,.10g}"
    from babel.numbers import format_decimal

    return str(format_decimal(number, locale=language))
