"""Formulas: a text that a spreadsheet would run is written with an apostrophe before it, which says "this is text".

Titles come from outside, so one may begin with = + - @, a tab or a line break. Every CSV export guards its texts,
and every CSV import takes such an apostrophe off again, so that what was written is read back as it was.
"""

from __future__ import annotations

FORMULAS = ("=", "+", "-", "@", "\t", "\n", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with; the last four are wide forms, which some spreadsheets take for the others.
https://owasp.org/www-community/attacks/CSV_Injection"""

BEFORE = " '"
"""What may stand before a formula that is run all the same, or was guarded before."""


def guard(text: str) -> str:
    return f"'{text}" if text.lstrip(BEFORE).startswith(FORMULAS) else text


def unguard(text: str) -> str:
    """The text as it was before `guard`."""
    return text[1:] if text.startswith("'") and text.lstrip(BEFORE).startswith(FORMULAS) else text
