"""Parameters and bodies of requests, bounded in size and time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from urllib.parse import parse_qs

import orjson
from starlette.requests import Request

from webhook.queries.paging import MAX_PAGE_SIZE, PAGE_SIZE
from webhook.storage.json_fields import MAX_ID
from webhook.web.http.errors import Problem

MAX_BODY_SIZE = 64 * 1024
BODY_TIMEOUT = 10.0
MAX_FORM_FIELDS = 300
TIME_CURSOR = re.compile(r"-?[0-9]{1,15}-[0-9]{1,16}")
MAX_TEXT_LENGTH = 200


class Params:
    """The parameters of a page; each error is a sentence that names the parameter."""

    def __init__(self, given: Mapping[str, object]) -> None:
        self.given = given

    def text(self, name: str, longest: int = MAX_TEXT_LENGTH) -> str | None:
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
        """The cursor of a list that is ordered by time."""
        value = self.text("after")
        if value is not None and not TIME_CURSOR.fullmatch(value):
            raise Problem(400, "after must be the cursor that an earlier page gave as next.")
        return value


def clean(value: str, longest: int = MAX_TEXT_LENGTH) -> bool:
    """True for text that both databases can store: no NUL, no lone surrogate, not too long."""
    halved = any("\ud800" <= letter <= "\udfff" for letter in value)
    return len(value) <= longest and "\0" not in value and not halved


def whole(value: str) -> int | None:
    """A whole number valid as an id or a limit, or None."""
    if not (value.isascii() and value.isdigit() and len(value) <= 19):
        return None
    number = int(value)
    return number if 1 <= number <= MAX_ID else None


def id_of(request: Request) -> int:
    """The id in the path; raises Problem 404 where it is no number."""
    number = whole(request.path_params["id"])
    if number is None:
        raise Problem(404, "There is nothing with this id.")
    return number


async def body(request: Request) -> bytes:
    """The body, of at most 64 KB and within ten seconds."""
    kept = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.stream():
                kept += chunk
                if len(kept) > MAX_BODY_SIZE:
                    raise Problem(
                        413, f"The body is larger than {MAX_BODY_SIZE // 1024} KB.", {"Connection": "close"}
                    )
    except TimeoutError as error:
        raise Problem(408, f"The body did not arrive within {BODY_TIMEOUT:.0f} seconds.") from error
    return bytes(kept)


async def form(request: Request) -> dict[str, str]:
    """The fields of a form; of a repeated field, the first value."""
    text = (await body(request)).decode("utf-8", "replace")
    try:
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except ValueError as error:
        raise Problem(400, "The form has too many fields.") from error
    return {name: values[0] for name, values in fields.items()}


async def json_object(request: Request, *, required: bool = True) -> dict[str, object]:
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
