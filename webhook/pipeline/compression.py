"""Compressed bodies: inflated piece by piece, so that the reader can stop at any size."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator

from webhook.pipeline.body import Cut

MAX_PIECE_BYTES = 64 * 1024
MAX_HEAD = 4 * 1024
"""Bytes within which a compressed body must inflate to something, or it is treated as uncompressed."""

GZIP, ZLIB, RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
MAGIC = b"\x1f\x8b"
PLAIN = re.compile(rb"[{\[][\s\"{\[}\]]|--")
READABLE = (b"", b"identity", b"gzip", b"x-gzip", b"deflate")
DAMAGED = "The compressed body is damaged or not whole."


async def inflate(chunks: AsyncIterator[bytes], encoding: bytes) -> AsyncIterator[bytes]:
    """The decompressed body; one that is not compressed, whatever its header says, is passed through."""
    begun, inflater, cut = b"", None, None
    try:
        while inflater is None and len(begun) < MAX_HEAD and (chunk := await anext(chunks, b"")):
            begun += chunk
            inflater = inflater_for(begun, encoding)
    except Cut as error:
        cut = error
    if inflater is not None:
        async for piece in inflate_rest(begun, chunks, inflater):
            yield piece
        return
    yield begun
    if cut is not None:
        raise cut
    async for chunk in chunks:
        yield chunk


def inflater_for(begun: bytes, encoding: bytes) -> zlib._Decompress | None:
    """The decompressor for a body with these first bytes, or None if it does not look compressed."""
    window = window_of(begun, encoding)
    if window is None:
        return None
    try:
        return zlib.decompressobj(window) if zlib.decompressobj(window).decompress(begun, 1) else None
    except zlib.error:
        return None


def window_of(begun: bytes, encoding: bytes) -> int | None:
    """The window bits by which zlib names the compression, from the first bytes; None if there is none."""
    if begun.startswith(MAGIC):
        return GZIP
    if encoding != b"deflate" or PLAIN.match(begun):
        return None
    # `deflate` should mean zlib's format, but some senders use the raw one inside it.
    is_zlib = begun[0] & 15 == 8 and int.from_bytes(begun[:2]) % 31 == 0
    return ZLIB if is_zlib else RAW


async def inflate_rest(
    begun: bytes, chunks: AsyncIterator[bytes], inflater: zlib._Decompress
) -> AsyncIterator[bytes]:
    fruitless = chunk = begun
    while chunk and not inflater.eof:
        try:
            piece = inflater.decompress(chunk, MAX_PIECE_BYTES)
        except zlib.error as error:
            if fruitless:
                yield fruitless
            raise Cut(DAMAGED) from error
        if piece:
            yield piece
            fruitless = b""
        await asyncio.sleep(0)  # a small body may inflate to a large one, so others get a turn
        chunk = inflater.unconsumed_tail or await anext(chunks, b"")
    if piece := inflater.flush():
        yield piece
    if not inflater.eof:
        raise Cut(DAMAGED)
