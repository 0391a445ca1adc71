"""Nothing that a page says to people is outside the catalogue.

The pages are drawn in a language that puts each text of the catalogue into marks. What stands outside the marks then is
data, a name, a number or an address, or it is a text that somebody forgot.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Iterator
from functools import cache
from gettext import NullTranslations
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from tests.locale.update import collect
from tests.web.conftest import PASSWORD
from tests.web.every_row import BEFORE, MEMBER, OPTIONAL, OWNER, VALUES
from tests.web.test_every_get import SET_UP, Open, addresses, opened, queries, served
from webhook import lookups, servers, sources, trackers
from webhook.web.http import language
from webhook.web.http.language import Texts

__all__ = ["opened"]

MARKED = "de"
"""The language whose texts are put into marks here."""

OPENS, CLOSES = "⟦", "⟧"
PROSE_ATTRIBUTES = frozenset(
    {"title", "aria-label", "placeholder", "alt", "data-speaks", "data-found", "data-copied"}
)
VERBATIM = frozenset({"bdi", "code", "pre", "textarea", "script", "style"})
"""What holds names, addresses and what machines say."""

VOID = frozenset(
    {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "use", "wbr", "path", "rect", "stop"}
)
WORD = re.compile(r"[^\W\d_]{2,}")
MOST_OF_ONE = 40
"""How many addresses of one page are drawn; rows of every state come before rows of every shape."""


class Marked(NullTranslations):
    """A language that says each text in marks, and nothing that is in no catalogue."""

    def __init__(self) -> None:
        super().__init__()
        self.known = {text for message in collect() for text in strings(message.id)}

    def gettext(self, message: str) -> str:
        return f"{OPENS}{message}{CLOSES}" if message in self.known else message

    def pgettext(self, context: str, message: str) -> str:
        return self.gettext(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


def strings(text: Any) -> Iterator[str]:
    yield from [text] if isinstance(text, str) else text


@cache
def marked_texts() -> Texts:
    catalogue = language.read_catalogue(MARKED)
    for message in catalogue:
        if isinstance(message.id, str) and message.id:
            message.string = f"{OPENS}{message.id}{CLOSES}"
    return Texts(Marked(), language.patterns_of(catalogue))


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    texts = marked_texts()
    monkeypatch.setattr(
        language, "texts_of", lambda name: texts if name == MARKED else Texts(NullTranslations())
    )
    language.translate_to.cache_clear()
    yield
    language.translate_to.cache_clear()


class Reader(HTMLParser):
    """Finds what a page says outside the marks."""

    def __init__(self, is_data: Callable[[str], bool]) -> None:
        super().__init__()
        self.is_data = is_data
        self.depth = 0
        self.inside: list[str] = []
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name, value in attrs:
            prose = name in PROSE_ATTRIBUTES or (
                name == "value" and given.get("type") in ("submit", "button")
            )
            if prose and value and not self.verbatim:
                self.judge(outside(value)[0], f"{tag} {name}")
        if tag not in VOID:
            foreign = "lang" in given and tag != "html"
            self.inside.append("pre" if foreign else tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self.inside:
            self.inside.pop()

    @property
    def verbatim(self) -> bool:
        return not VERBATIM.isdisjoint(self.inside)

    def handle_data(self, data: str) -> None:
        said, self.depth = outside(data, self.depth)
        if not self.verbatim:
            self.judge(said, self.inside[-1] if self.inside else "")

    def judge(self, said: str, place: str) -> None:
        if WORD.search(said) and not self.is_data(said):
            self.found.append(f"{place}: {' '.join(said.split())}")


def outside(text: str, depth: int = 0) -> tuple[str, int]:
    """What stands outside the marks of a text, and how many are still open at its end."""
    said = ""
    for letter in text:
        depth += (letter == OPENS) - (letter == CLOSES)
        said += letter if not depth and letter != CLOSES else " " if letter == CLOSES else ""
    return said, depth


# --- what is data


def labels() -> Iterator[str]:
    translated = language.read_catalogue(MARKED)
    for modules in (sources.modules(), trackers.modules(), lookups.modules(), servers.modules()):
        yield from modules
        yield from (module.LABEL for module in modules.values() if is_name(module.LABEL, translated))
    yield from (
        "Watchmark",
        "VideoScrobbler",
        "TheTVDB",
        "IMDb",
        "Letterboxd",
        "Yamtrack",
        "iCalendar",
        "CSV",
        "UTC",
        "API",
    )


def is_name(label: str, translated: Any) -> bool:
    """True if a label is the same in every language, as that of a service is."""
    message = translated.get(label)
    return message is None or message.string == label


def names_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from names_in(one)
    elif isinstance(value, str):
        yield value


@cache
def data_words() -> frozenset[str]:
    """The words of names, titles and services, which are the same in every language."""
    known = [
        *labels(),
        *names_in(dict(VALUES)),
        *names_in(dict(OPTIONAL)),
        *zoneinfo.available_timezones(),
        *OTHERS,
        *calendar_names(),
    ]
    return frozenset(word for name in known for word in WORD.findall(name))


OTHERS = (
    OWNER, MEMBER, BEFORE, "mine", "reader", "first", "The Deep HS", "KeyError", "SQLite", "debug info warning error",
    "imdb tvdb tmdb trakt plex", "ABCD", "pause", "broke off", "It broke off. It ends. It said no. Busy. Nobody knows it.",
    "signed_out vip_required account_limit account_locked app_deleted service_closed",
)  # fmt: skip
"""What else the rows are called, and what services said to them in the language that is theirs."""


def is_data(said: str) -> bool:
    return data_words().issuperset(WORD.findall(ADDRESS.sub("", said)))


def calendar_names() -> Iterator[str]:
    for width in ("wide", "abbreviated"):
        yield from language.month_names(MARKED, width).values()
        yield from language.day_names(MARKED, width).values()


ADDRESS = re.compile(r"\btt\d+|\S*(://|@|/)\S*|\S*[_=]\S*|\b\w+:\w+\b")
"""An address, a variable or an id, as they are written."""


# --- the test


@pytest.mark.parametrize("name", [OWNER, MEMBER])
def test_no_text_of_a_page_is_outside_the_catalogue(opened: Open, marked: None, name: str) -> None:
    home = opened(**(SET_UP if name == OWNER else {}))
    paths = [path for path in served(home) if not path.startswith("/api/v1/")]
    found: dict[str, str] = {}

    async def visit(client: httpx.AsyncClient) -> None:
        client.headers["Accept-Language"] = MARKED
        await client.post("/sign-in", data={"name": name, "password": PASSWORD})
        asked = [address for path in paths for address in addresses(path, home.rows)[:MOST_OF_ONE]]
        for address in [*asked, *queries(home.rows), "/nothing"]:
            answer = await client.get(address)
            if answer.headers.get("content-type", "").startswith(("text/html", "image/svg")):
                reader = Reader(is_data)
                reader.feed(answer.text)
                for said in reader.found:
                    found.setdefault(said, address)

    home.visit(visit)

    assert not found, "\n".join(f"{said}  ({address})" for said, address in found.items())
