"""Responses as XML, or as JSON on request, and errors with Last.fm's numbers.

Last.fm's own: https://www.last.fm/api/rest and https://www.last.fm/api/errorcodes
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

import orjson
from starlette.responses import Response

ERRORS: Mapping[int, tuple[int, str]] = {
    2: (404, "Invalid service - This service does not exist"),
    3: (400, "Invalid method - No method with that name in this package"),
    4: (403, "Authentication failed - You do not have permissions to access the service"),
    5: (400, "Invalid format - This service does not exist in that format"),
    6: (400, "Invalid parameters - A required parameter is missing, or one is invalid"),
    7: (404, "Invalid resource specified"),
    8: (500, "Operation failed - Something is wrong here; it is in the log. Please try again later"),
    9: (403, "Invalid session key - Please authenticate again"),
    10: (403, "Invalid API key - Its owner makes one with: watchmark apps add"),
    11: (503, "Service offline - Nothing can be stored now. Please try again later"),
    13: (403, "Invalid method signature supplied"),
    14: (403, "This token has not been authorised yet"),
    15: (403, "This token has expired"),
    26: (403, "Suspended API key - This app has been suspended"),
    29: (429, "Rate limit exceeded"),
}
"""The HTTP status and the message of each error number."""

SINGULAR = {"videos": "video", "friends": "user"}
INVALID_XML = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)  # by XML 1.0, not even escaped


class Fault(Exception):
    """A call that fails: the error number, and the detail of this call."""

    def __init__(
        self, code: int, detail: str | None = None, status: int | None = None, **headers: str
    ) -> None:
        self.code = code
        self.status = status or ERRORS[code][0]
        self.message = f"{ERRORS[code][1]}: {detail}" if detail else ERRORS[code][1]
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(self.message)


def success(said: Mapping[str, object], *, as_json: bool) -> Response:
    if as_json:
        return Response(orjson.dumps(said), media_type="application/json")
    return xml(f'<lfm status="ok">{"".join(elements(said))}</lfm>')


def failure(fault: Fault, *, as_json: bool) -> Response:
    if as_json:
        said = {"error": fault.code, "message": fault.message}
        return Response(orjson.dumps(said), fault.status, fault.headers, "application/json")
    error = f'<error code="{fault.code}">{escape_value(fault.message)}</error>'
    return xml(f'<lfm status="failed">{error}</lfm>', fault.status, fault.headers)


def xml(body: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    document = f'<?xml version="1.0" encoding="utf-8"?>\n{body}'
    return Response(document.encode(), status, dict(headers or {}), "text/xml; charset=utf-8")


def elements(said: Mapping[str, object]) -> Iterator[str]:
    for name, value in said.items():
        yield element(name, value)


def element(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        inside = "".join(elements(value))
    elif isinstance(value, list):
        inside = "".join(element(SINGULAR[name], entry) for entry in value)
    else:
        inside = escape_value(value)
    return f"<{name}>{inside}</{name}>"


def escape_value(value: Any) -> str:
    if value is None:
        return ""
    shown = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return escape(INVALID_XML.sub("", shown))
