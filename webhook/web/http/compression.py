"""Compression of what pages load: HTML, style sheet and scripts; a session's cookie is withheld from other sites."""

from __future__ import annotations

import gzip
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

MIN_SIZE = 1024
LEVEL = 5
"""A page of 100 KB takes about 2 ms."""

COMPRESSIBLE = frozenset({".css", ".js", ".svg"})


def html_response(request: Request, text: str, status: int) -> Response:
    """A page, compressed where the browser takes that."""
    response = HTMLResponse(text, status)
    response.headers["Vary"] = "Accept-Encoding"
    if len(response.body) < MIN_SIZE or not accepts_gzip(request.headers.get("accept-encoding", "")):
        return response
    body = gzip.compress(bytes(response.body), LEVEL, mtime=0)
    return Response(body, status, {**response.headers, **gzip_headers(body)})


def gzip_headers(body: bytes) -> dict[str, str]:
    return {"content-encoding": "gzip", "content-length": str(len(body))}


@lru_cache(maxsize=32)
def compress_file(path: Path, version: float) -> bytes:
    """A file's content as gzip, once for each version of it."""
    return gzip.compress(path.read_bytes(), mtime=0)


def accepts_gzip(accepted: str) -> bool:
    """True if a request's Accept-Encoding takes gzip."""
    codings = [coding.strip().lower().replace(" ", "") for coding in accepted.split(",")]
    return any(
        coding == "gzip" or (coding.startswith("gzip;") and not coding.endswith("q=0")) for coding in codings
    )
