"""Logging: sentences with structured keys; secrets are removed from every line."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, TextIO
from urllib.parse import quote, unquote

import structlog
from structlog.typing import EventDict, Processor

MAX_LOGGED_TEXT = 64 * 1024
"""Maximum characters of a logged line."""

HIDDEN = "…"

NAMED = (
    r"(?:[\w.-]{0,40}(?:token|secret|passw(?:or)?d|pwd|api[_-]?key|api[_-]?sig|credentials?)"
    r"|device[_-]?code|code|userkey|session[_-]?key|sk|pin)"
)
"""Names of fields that hold secrets."""

QUOTE = r"\\?[\"']"
VALUE = r"[^\s&\"'<>,;})\]\\]+"
"""The end of a secret in an address, a form, JSON or a header."""

LINE = r"[^\r\n\"'\\]+"

SECRETS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(\b{NAMED}=(?:{QUOTE})?){VALUE}",  # ?token=…, Token="…"
        rf"({QUOTE}{NAMED}{QUOTE}\s*[:,]\s*b?(?:{QUOTE})?){VALUE}",  # "password": "…", ('x-api-key', '…')
        rf"(\b[\w-]{{0,40}}(?:-token|-api-key|passw(?:or)?d)\s?:\s?){VALUE}",  # X-Plex-Token: …
        rf"(\b(?:set-)?cookie(?:{QUOTE})?\s*[:,]\s*b?(?:{QUOTE})?)(?!\s){LINE}",  # Cookie: a=…; b=…
        rf"(authorization(?:{QUOTE})?\s*[:=,]\s*b?(?:{QUOTE})?(?:\w+\s+)?){VALUE}",
        r"(\b(?:Bearer|Token)\s+)[\w.~+/=-]{8,}",
        r"(\b(?-i:[Bb]asic|BASIC)\s+)(?=[\w+/=-]*(?-i:[A-Z0-9=]))[\w+/=.~-]{6,}",
        r"(\w://)[^\s/?#@\"']{0,200}:[^\s/?#\"']{0,200}(?=@)",  # https://user:password@…
        r"(/(?:webhooks/\w+|welcome)/)[\w~.-]{8,}",
    )
)
"""Patterns of secrets in addresses, forms, headers and JSON; the group is the text before the secret."""

SUSPECT = re.compile(r"[=:,\\\"'/%]|(?:bearer|token|basic)\s", re.IGNORECASE)
"""What a text with a secret has in it, plain or percent-encoded; most texts of a log do not."""

ENCODED = 3
"""Maximum rounds of percent-decoding in the search for secrets."""


def clean(text: str) -> str:
    """The text without the secrets that addresses, headers and bodies carry, also where they are percent-encoded."""
    text = text if len(text) <= MAX_LOGGED_TEXT else f"{text[:MAX_LOGGED_TEXT]}…"
    if SUSPECT.search(text) is None:
        return text
    return "\n".join(clean_line(line, ENCODED) for line in text.split("\n"))


def clean_line(line: str, times: int) -> str:
    for pattern in SECRETS:
        line = pattern.sub(rf"\1{HIDDEN}", line)
    if "%" not in line or not times:
        return line
    decoded = unquote(line)
    found = clean_line(decoded, times - 1)
    return line if found == decoded else "".join(one if one.isprintable() else quote(one) for one in found)


def clean_event(logger: Any, method: str, event: EventDict) -> EventDict:
    return {name: hidden(name, value) for name, value in event.items()}


def hidden(name: object, value: Any) -> Any:
    """A logged value without its secrets, at any depth."""
    match value:
        case str() | bytes() if value and is_secret_name(str(name)):
            return HIDDEN
        case str():
            return clean(value)
        case bytes():
            return clean(value.decode("utf-8", "replace"))
        case Mapping():
            return {key: hidden(key, part) for key, part in value.items()}
        case list() | tuple():
            return [hidden("", part) for part in value]
    return value


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    return SECRET_NAME.fullmatch(name) is not None


SECRET_NAME = re.compile(rf"{NAMED}|(?:proxy-)?authorization|(?:set-)?cookie", re.IGNORECASE)


class Sink:
    """Writes lines to a stream; one that cannot be written is lost, and whoever logged it goes on."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, line: str) -> None:
        with suppress(OSError, ValueError):
            self.stream.write(f"{line}\n")

    debug = info = warning = error = critical = write


def tolerate(renderer: Processor) -> Processor:
    """The renderer, which names the line instead where a value in it cannot be rendered."""

    def render(logger: Any, method: str, event: EventDict) -> Any:
        line = {name: event.get(name) for name in ("timestamp", "level", "event")}
        try:
            return renderer(logger, method, event)
        except Exception as error:  # noqa: BLE001 - whoever logs must not fail for it
            return f"{line} could not be logged whole: {type(error).__name__}"

    return render


def text_renderer(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    """Renders lines for people; without colors by columns that write the same at a third of the cost."""
    plain = structlog.dev.plain_traceback
    if colors:
        return structlog.dev.ConsoleRenderer(colors=True, exception_formatter=plain)
    columns = [
        structlog.dev.Column("", field_text),
        structlog.dev.Column("timestamp", lambda _, value: str(value)),
        structlog.dev.Column("level", lambda _, value: f"[{value:9}]"),
        structlog.dev.Column("event", lambda _, value: f"{value!s:30}"),
    ]
    return structlog.dev.ConsoleRenderer(columns=columns, exception_formatter=plain)


def field_text(key: str, value: object) -> str:
    plain = isinstance(value, str) and TO_QUOTE.search(value) is None
    return f"{key}={value if plain else repr(value)}"


TO_QUOTE = re.compile(r"[ \t=\r\n\"']")


def configure(style: str, level: str) -> None:
    """Send all logs, including those of libraries, to stderr in one format."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        clean_event,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render = tolerate(
        structlog.processors.JSONRenderer() if style == "json" else text_renderer(colors=sys.stderr.isatty())
    )
    sink = Sink(sys.stderr)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=False,  # a later call changes the format and the level of every logger
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in ("httpx", "httpcore", "uvicorn.access", "alembic", "python_multipart", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for ours in ("uvicorn", "uvicorn.error"):
        logging.getLogger(ours).handlers = []
        logging.getLogger(ours).propagate = True
