"""The loader: posts many distinct webhooks over kept connections, as cheaply as Python can.

`python -m bench.loader URL CONNECTIONS FIRST COUNT PEOPLE [SECONDS]` prints what it measured as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from urllib.parse import urlsplit

import uvloop

from bench import payloads


class Loader:
    """Posts numbered webhooks until all are answered, or the time is up."""

    def __init__(self, url: str, first: int, count: int, people: int, seconds: float) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self.numbers = iter(range(first, first + count))
        self.people = people
        self.seconds = seconds
        self.took: list[float] = []
        self.refused = 0
        fixed = {**payloads.HEADERS, "Host": parts.netloc}
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fixed.items())]
        self.head = "\r\n".join(lines).encode()

    def request(self, number: int) -> bytes:
        user = payloads.user(number % self.people, self.people)
        body = payloads.multipart(payloads.plex("media.scrobble", number, user))
        return b"%b\r\nContent-Length: %d\r\n\r\n%b" % (self.head, len(body), body)

    async def post_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends: float) -> None:
        for number in self.numbers:
            request = self.request(number)
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length[15:]))
            self.took.append(time.perf_counter() - began)
            self.refused += head[9:12] != b"200"
            if time.monotonic() > ends:
                break
        writer.close()

    async def run(self, connections: int) -> dict[str, float]:
        opened = [await asyncio.open_connection(self.host, self.port) for _ in range(connections)]
        began, ends = time.time(), time.monotonic() + self.seconds
        await asyncio.gather(*(self.post_all(*pair, ends) for pair in opened))
        seconds = time.time() - began
        took = sorted(self.took)
        return {
            "began": began,
            "count": len(took),
            "refused": self.refused,
            "per_second": len(took) / seconds,
            "p50_ms": took[len(took) // 2] * 1000,
            "p99_ms": took[int(len(took) * 0.99)] * 1000,
        }


def main() -> None:
    url, connections, first, count, people, *seconds = sys.argv[1:]
    loader = Loader(url, int(first), int(count), int(people), float(seconds[0]) if seconds else 600.0)
    print(json.dumps(uvloop.run(loader.run(int(connections)))))


if __name__ == "__main__":
    main()
