"""The name of a browser and its system, as far as its User-Agent tells."""

from __future__ import annotations

from collections.abc import Sequence

BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("Chromium", "Chromium"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
"""What stands in the User-Agent of each browser; those that name another as well come first."""

SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
MAX_UNKNOWN_LENGTH = 60


def describe_browser(user_agent: str) -> str:
    """The browser and its system, such as `Firefox, Windows`; of what is no browser the beginning of what it says."""
    names = [name for name in (find_name(BROWSERS, user_agent), find_name(SYSTEMS, user_agent)) if name]
    shown = "".join(letter for letter in user_agent if letter.isprintable())
    return ", ".join(names) or shown[:MAX_UNKNOWN_LENGTH]


def find_name(table: Sequence[tuple[str, str]], user_agent: str) -> str | None:
    return next((name for mark, name in table if mark in user_agent), None)
