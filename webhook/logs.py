"""Logging: a sentence for people with keys for machines; secrets are cut out of every line."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

LONGEST = 64 * 1024
"""The letters of a line that are logged."""

SECRET = re.compile(
    r"""((?:[?&]|\b)(?:token|access_token|refresh_token|client_secret|code|password|api_sig|sk|apikey|api_key)=)[^&\s"']+"""
    r"""|(Bearer\s+|Token\s+)[\w.~+/=-]{8,}"""
    r"""|(/(?:webhooks/\w+|welcome)/)[\w~-]{8,}""",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """The text without the secrets that addresses and headers carry; cut where no line is so long."""
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return SECRET.sub(lambda found: (found.group(1) or found.group(2) or found.group(3)) + "…", text)


def cleaned(logger: Any, method: str, event: EventDict) -> EventDict:
    return {name: clean(value) if isinstance(value, str) else value for name, value in event.items()}


def configure(style: str, level: str) -> None:
    """Everything that logs, ours and the libraries', goes one way: to stderr, in one style."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        cleaned,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, cleaned, renderer],
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
