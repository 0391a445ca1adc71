"""Receiving: durable acknowledgements a second, against an empty route and the same route without the store."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from pathlib import Path

from bench import payloads
from bench.servers import Load, process, table, wrk

ROUNDS, SECONDS = 3, 3


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    script = payloads.script(folder, payloads.multipart(payloads.plex("media.scrobble")))
    bare = folder / "bare.lua"
    bare.write_text('wrk.method = "POST"\n')
    with contextlib.ExitStack() as stack:
        urls = {
            kind: stack.enter_context(process("-m", "bench.receivers", kind))[1]
            for kind in ("empty", "no-store", "store")
        }
        for url, used in ((urls["empty"], bare), (urls["no-store"], script), (urls["store"], script)):
            wrk(url, 16, 1, used)
        for connections in (16, 32, 64):
            report(connections, measured(urls, connections, script, bare))


def measured(urls: dict[str, str], connections: int, script: Path, bare: Path) -> dict[str, Load]:
    """The median of several rounds, the three taking turns."""
    loads: dict[str, list[Load]] = {kind: [] for kind in urls}
    for _ in range(ROUNDS):
        for kind, url in urls.items():
            loads[kind].append(wrk(url, connections, SECONDS, bare if kind == "empty" else script))
    return {kind: median(entries) for kind, entries in loads.items()}


def median(loads: list[Load]) -> Load:
    return Load(
        statistics.median(load.per_second for load in loads),
        statistics.median(load.p50_ms for load in loads),
        statistics.median(load.p99_ms for load in loads),
        sum(load.errors for load in loads),
    )


def report(connections: int, loads: dict[str, Load]) -> None:
    empty, bare, stored = loads["empty"], loads["no-store"], loads["store"]
    table(
        f"Receiving, {connections} connections (SQLite, synchronous=FULL)",
        [
            ("empty route", f"{empty.per_second:,.0f}/s", "the reference"),
            ("without the store", f"{bare.per_second:,.0f}/s", f"p99 {bare.p99_ms:.1f} ms"),
            (
                "acknowledged, durable",
                f"{stored.per_second:,.0f}/s",
                f"p99 {stored.p99_ms:.1f} ms, {stored.errors} errors",
            ),
            ("of the empty route", f"{stored.per_second / empty.per_second:.2f}", "at least 0.20, aim 0.30"),
            ("of the route without store", f"{stored.per_second / bare.per_second:.2f}", "at least 0.70"),
            ("p99 against without store", f"{stored.p99_ms / bare.p99_ms:.1f} ×", "at most 3 × (at 16)"),
        ],
    )


if __name__ == "__main__":
    main()
