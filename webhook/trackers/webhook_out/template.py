"""Templates: JSON with `{{names}}` in it, which are filled in with the values of a play.

A value is written as JSON, so that a quote in a title cannot break out of its text. A member that is one name
only, of which nothing is known, is left out: receivers take an empty id for an id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

MAX_TEMPLATE = 16 * 1024
"""Characters of a template."""

NAME = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")
BRACED = re.compile(r"\{\{([^{}\n]*)\}\}")
PARTS = re.compile(r'"(?:[^"\\\n]|\\.)*"|\{\{[^{}\n]*\}\}')
"""A text of JSON, or a name that stands outside of one."""

BARE = "\0"
"""Begins a name that stood without quotes, whose value keeps its own type."""

LEFT_OUT = object()


class TemplateError(ValueError):
    """A template that cannot be filled in; the message names the line at fault."""


def parse_template(text: str, known: Collection[str]) -> Any:
    """The template as JSON, in which each name stands in a text; raises TemplateError."""
    if len(text) > MAX_TEMPLATE:
        raise TemplateError(f"The template is longer than {MAX_TEMPLATE} characters.")
    for number, line in enumerate(text.splitlines(), 1):
        for name in BRACED.findall(line):
            if (wanted := name.strip()) not in known:
                raise TemplateError(f"Line {number} of the template: there is no value called {wanted[:40]}.")
    try:
        parsed = json.loads(PARTS.sub(quote_name, text), parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        raise TemplateError(
            f"Line {error.lineno} of the template is not valid JSON, from character {error.colno} on."
        ) from error
    except (ValueError, RecursionError) as error:
        raise TemplateError(
            "The template is not valid JSON: a number is too large, or it is too deep."
        ) from error
    if not isinstance(parsed, dict | list):
        raise TemplateError("Line 1 of the template: it must be an object or a list.")
    return parsed


def quote_name(match: re.Match[str]) -> str:
    part = match.group()
    return part if part.startswith('"') else f'"\\u0000{part}"'


def refuse_constant(name: str) -> Any:
    raise ValueError(name)


def names_in(text: str) -> set[str]:
    return set(NAME.findall(text))


def fill_in(part: Any, values: Mapping[str, object]) -> Any:
    """The part with its names filled in; LEFT_OUT where nothing is known of it."""
    if isinstance(part, dict):
        filled = {name: fill_in(value, values) for name, value in part.items()}
        return {name: value for name, value in filled.items() if value is not LEFT_OUT}
    if isinstance(part, list):
        return [value for value in (fill_in(one, values) for one in part) if value is not LEFT_OUT]
    return fill_in_text(part, values) if isinstance(part, str) else part


def fill_in_text(text: str, values: Mapping[str, object]) -> Any:
    """A text that is one name is left out where nothing is known; without quotes it is the value itself."""
    alone = NAME.fullmatch(text.removeprefix(BARE).strip())
    if alone is None:
        return NAME.sub(lambda match: as_word(values.get(match.group(1))), text)
    value = values.get(alone.group(1))
    if value is None:
        return LEFT_OUT
    return value if text.startswith(BARE) else as_word(value)


def as_word(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, bool) else str(value)
