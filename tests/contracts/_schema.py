"""What a contract is made of: operations, each with the headers, the query and the body that it takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

Schema = dict[str, Any]

BEGINNING, END = 240, 60
"""How much of a violation is shown: what is wrong stands at either end, a whole body in between."""


class Request(Protocol):
    """A call as a fake logs it."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One call. `path` has {names}, each one part of it, or {name:expression}; `headers` are whole expressions.

    `query` and `body` are properties by name, those ending in "!" required, or a whole schema; a body of None
    is none at all.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: Schema | None = None

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        pieces = re.split(r"(\{[^}]*\})", self.path)
        return re.compile("".join(map(expression, pieces)) + "/?")

    @cached_property
    def query_schema(self) -> Draft202012Validator:
        return Draft202012Validator(thing(**self.query))

    @cached_property
    def body_schema(self) -> Draft202012Validator:
        return Draft202012Validator({"type": "null"} if self.body is None else self.body)

    def violations(self, call: Request) -> Iterator[str]:
        for name, wanted in self.headers.items():
            value = call.headers.get(name, "")
            if not re.fullmatch(wanted, value):
                yield f"the header {name} is {value!r}, not {wanted}"
        query: dict[str, str] = {}
        for name, value in parse_qsl(call.query, keep_blank_values=True):
            if name in query:
                yield f"{name} stands twice in the query"
            query[name] = value
        for what, schema, given in (
            ("query", self.query_schema, query),
            ("body", self.body_schema, call.body),
        ):
            for error in schema.iter_errors(given):
                nearest = best_match([error]) or error
                place = "/".join(map(str, nearest.absolute_path))
                yield f"in the {what}{' at ' if place else ''}{place}: {shortened(nearest.message)}"


def shortened(message: str) -> str:
    return message if len(message) <= BEGINNING + END else f"{message[:BEGINNING]} … {message[-END:]}"


def expression(piece: str) -> str:
    if not piece.startswith("{"):
        return re.escape(piece)
    _, _, wanted = piece[1:-1].partition(":")
    return f"(?:{wanted})" if wanted else "[^/]+"


@dataclass(frozen=True)
class Contract:
    """A service's operations. `free` are paths that are no part of the API, such as a page of its website."""

    operations: Sequence[Operation]
    free: Sequence[str] = ()

    def violations(self, call: Request) -> list[str]:
        if any(call.path.startswith(path) for path in self.free):
            return []
        meant = [one for one in self.operations if one.pattern.fullmatch(call.path)]
        right = [one for one in meant if one.method == call.method]
        if not right:
            return [f"there is no {call.method} {call.path}"]
        found = [list(one.violations(call)) for one in right]
        return [] if [] in found else min(found, key=len)


# --- schemas


def thing(**properties: Schema) -> Schema:
    """An object with these properties and no other; "name!" is one it must have."""
    required = [name[:-1] for name in properties if name.endswith("!")]
    kinds = {name.removesuffix("!"): schema for name, schema in properties.items()}
    return {"type": "object", "properties": kinds, "required": required, "additionalProperties": False}


def many(items: Schema, least: int = 1, most: int | None = None) -> Schema:
    bounds = {"minItems": least} | ({} if most is None else {"maxItems": most})
    return {"type": "array", "items": items, **bounds}


def one_of(*schemas: Schema) -> Schema:
    return {"oneOf": list(schemas)}


def any_of(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def matching(expression: str) -> Schema:
    return {"type": "string", "pattern": f"^(?:{expression})$"}


def exactly(*values: Any) -> Schema:
    return {"enum": list(values)}


TEXT: Schema = {"type": "string", "minLength": 1}
NUMBER: Schema = {"type": "integer", "minimum": 1}
WHOLE: Schema = {"type": "integer", "minimum": 0}
DIGITS = matching("[0-9]+")
UUID = matching("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
IMDB = matching("tt[0-9]+")
YEAR: Schema = {"type": "integer", "minimum": 1870, "maximum": 2100}
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"
