"""Uploads to the API: streamed to disk, never whole in memory."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from starlette.requests import ClientDisconnect, Request

from webhook.network.asgi import let_in
from webhook.transfer.import_queue import remove_path
from webhook.transfer.limits import NoRoom, TooLarge, TooMany, Upload, Uploads
from webhook.web.http.errors import Problem

UPLOAD_TIMEOUT = 3600.0
"""Maximum seconds of an authenticated upload."""

STALL = 25.0
"""Seconds without data after which an upload is aborted."""

PIECE = 1 << 20
NAME = 100
CLOSE = {"Connection": "close"}
"""Headers that close the connection, since the rest of the body is not read."""

CURL = "curl --data-binary @FILE -H 'Authorization: Bearer …'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A completely received file in its own folder, with its SHA-256."""

    folder: Path
    path: Path
    digest: str

    async def remove(self) -> None:
        await asyncio.to_thread(remove_path, self.folder)


@contextmanager
def accept_upload(request: Request, uploads: Uploads, person_id: int) -> Iterator[Upload]:
    """Reserve an upload for this person; raises Problem if there are too many, it is too large, or space is short."""
    length = request.headers.get("content-length", "")
    try:
        with uploads.receive(person_id, int(length) if length.isdecimal() else None) as upload:
            yield upload
    except TooMany as error:
        raise Problem(429, f"{error}", {**CLOSE, "Retry-After": "60"}) from error
    except TooLarge as error:
        raise Problem(413, f"{error} Nothing was imported.", CLOSE) from error
    except NoRoom as error:
        raise Problem(507, f"{error} Nothing was imported.", CLOSE) from error


async def receive(request: Request, folder: Path, name: str | None, upload: Upload) -> Received:
    """Receive an upload; raises Problem if it is empty, not a file or cannot be stored, and leaves nothing behind."""
    refuse_early(request)
    own = folder / f"receiving-{secrets.token_hex(8)}"
    try:
        await asyncio.to_thread(own.mkdir, 0o700)
        digest, first = await _store_body(request, own / "file", upload)
        path = own / (name or guess_name(first))
        await asyncio.to_thread((own / "file").replace, path)
    except OSError as error:
        await asyncio.to_thread(remove_path, own)
        why = f"The file can't be stored: {error.strerror}. Nothing was imported; free some space and send it again."
        raise Problem(507, why, CLOSE) from error
    except (Problem, ClientDisconnect, TooLarge, NoRoom, asyncio.CancelledError):
        await asyncio.to_thread(remove_path, own)
        raise
    return Received(folder=own, path=path, digest=digest)


def refuse_early(request: Request) -> None:
    """Refuse an upload for reasons known before the body is read."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise Problem(415, f"Send the file itself as the body, not a form: {CURL}", CLOSE)


async def _store_body(request: Request, path: Path, upload: Upload) -> tuple[str, bytes]:
    """Write the body to a file; returns its SHA-256 and its first bytes."""
    digest, first = hashlib.sha256(), b""
    with await asyncio.to_thread(path.open, "xb") as file:
        async for piece in pieces(request):
            await asyncio.to_thread(upload.add, len(piece))
            first = first or bytes(piece[:64])
            await asyncio.to_thread(digest.update, piece)
            await asyncio.to_thread(file.write, piece)
    if not upload.size:
        raise Problem(400, f"The body is empty. Send the export file itself: {CURL}")
    return digest.hexdigest(), first


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """The body of an authenticated request, in pieces large enough to write."""
    let_in(request.scope, UPLOAD_TIMEOUT)
    held = bytearray()
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(STALL):
                held += await anext(stream)
        except StopAsyncIteration:
            break
        except TimeoutError as error:
            raise Problem(408, f"Nothing arrived for {STALL:.0f} seconds. Send it again.", CLOSE) from error
        if len(held) >= PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def guess_name(first: bytes) -> str:
    """A name for an unnamed file by its first bytes, since the formats are recognised by the extension."""
    if first.startswith(b"PK"):
        return "upload.zip"
    return "upload.json" if first.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") else "upload.csv"


def parse_file_name(given: str | None) -> str | None:
    """The file's name as given by the sender; raises Problem."""
    if given is None:
        return None
    name = PurePosixPath(given.replace("\\", "/")).name
    if not name or name == ".." or len(name.encode()) > NAME or not name.isprintable():
        raise Problem(400, f"name must be the name of a file, of at most {NAME} letters.", CLOSE)
    return name
