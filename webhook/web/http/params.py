"""What a request asks: parameters and bodies, bounded and checked before anything is done with them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import orjson
from starlette.requests import Request

from webhook.queries.paging import MAX_PAGE_SIZE, PAGE_SIZE
from webhook.web.http.errors import Problem

BODY = 64 * 1024
BODY_TIME = 10.0
PLACE = re.compile(r"-?[0-9]{1,15}-[0-9]{1,16}")
BIGGEST = 2**63 - 1
LONGEST = 200


class Params:
    """Parameters by name. What is wrong with one is said in a sentence that names it."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given

    def text(self, name: str, longest: int = LONGEST) -> str | None:
        value = self.given.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str) or not clean(value, longest):
            raise Problem(400, f"{name} must be text of at most {longest} characters.")
        return value

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        value = self.text(name)
        if value is not None and value not in choices:
            raise Problem(400, f"{name} must be one of {', '.join(sorted(choices))}.")
        return value

    def limit(self) -> int:
        value = self.text("limit")
        if value is None:
            return PAGE_SIZE
        number = whole(value)
        if number is None:
            raise Problem(400, f"limit must be a whole number from 1 to {MAX_PAGE_SIZE}.")
        return min(number, MAX_PAGE_SIZE)

    def after(self) -> int | None:
        value = self.text("after")
        number = None if value is None else whole(value)
        if value is not None and number is None:
            raise Problem(400, "after must be the cursor that an earlier page gave as next.")
        return number

    def place(self) -> str | None:
        """The cursor of a list that goes by time."""
        value = self.text("after")
        if value is not None and not PLACE.fullmatch(value):
            raise Problem(400, "after must be the cursor that an earlier page gave as next.")
        return value

    def moment(self, name: str) -> datetime | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            # An unescaped + in an address arrives as a space.
            moment = datetime.fromisoformat(value.replace(" ", "+") if "T" in value else value)
        except ValueError as error:
            raise Problem(400, f"{name} must be a time such as 2026-11-22T20:15:00Z.") from error
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def only(self, names: Collection[str]) -> None:
        """Refuse every other parameter: a filter with a slip in its name must not mean everything."""
        if others := [name for name in self.given if name not in names]:
            known = ", ".join(names)
            raise Problem(400, f"{others[0][:50]} is not a parameter here; there are {known}.")


def clean(value: str, longest: int = LONGEST) -> bool:
    """Whether both databases can keep it: no NUL, no half of a character, not too long."""
    halved = any("\ud800" <= letter <= "\udfff" for letter in value)
    return len(value) <= longest and "\0" not in value and not halved


def whole(value: str) -> int | None:
    """A whole number that an id or a limit can be, or None."""
    if not (value.isascii() and value.isdigit() and len(value) <= 19):
        return None
    number = int(value)
    return number if 1 <= number <= BIGGEST else None


def id_of(request: Request) -> int:
    """The id in the path; what cannot be one is not found."""
    number = whole(request.path_params["id"])
    if number is None:
        raise Problem(404, "There is nothing with this id.")
    return number


async def body(request: Request) -> bytes:
    """The body, of at most 64 KB and within ten seconds."""
    kept = bytearray()
    try:
        async with asyncio.timeout(BODY_TIME):
            async for chunk in request.stream():
                kept += chunk
                if len(kept) > BODY:
                    raise Problem(413, f"The body is larger than {BODY // 1024} KB.", {"Connection": "close"})
    except TimeoutError as error:
        raise Problem(408, f"The body did not arrive within {BODY_TIME:.0f} seconds.") from error
    return bytes(kept)


async def form(request: Request) -> dict[str, str]:
    """The fields of a form of ours; of a field given twice the first."""
    text = (await body(request)).decode("utf-8", "replace")
    try:
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=50)
    except ValueError as error:
        raise Problem(400, "The form has too many fields.") from error
    return {name: values[0] for name, values in fields.items()}


async def json_object(request: Request, *, required: bool = True) -> dict[str, Any]:
    """The JSON object in the body; an empty body is an empty one where none is required."""
    raw = await body(request)
    if not raw and not required:
        return {}
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"The body is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise Problem(400, f"The body must be a JSON object, and this is a {type(value).__name__}.")
    return value
