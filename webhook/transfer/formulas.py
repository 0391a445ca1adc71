"""CSV formula guard: a text that a spreadsheet would run as a formula gets an apostrophe before it.

Titles come from outside and may begin with = + - @, a tab or a line break. Every CSV export guards its
texts, and every CSV import removes such an apostrophe, so that a text is read back as it was written.
"""

from __future__ import annotations

FORMULAS = ("=", "+", "-", "@", "\t", "\n", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with; the last four are wide forms, which some spreadsheets take for the others.
https://owasp.org/www-community/attacks/CSV_Injection"""

BEFORE = " '"
"""Characters that may precede a formula that still runs, or one that is already guarded."""


def guard(text: str) -> str:
    return f"'{text}" if text.lstrip(BEFORE).startswith(FORMULAS) else text


def unguard(text: str) -> str:
    """The text as it was before `guard`."""
    return text[1:] if text.startswith("'") and text.lstrip(BEFORE).startswith(FORMULAS) else text
