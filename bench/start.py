"""Starting: how long it takes until webhooks are taken, and the memory of a process with nothing to do."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from bench.servers import service, table


def once(folder: str) -> tuple[float, float]:
    """Seconds until it answers, and MiB a moment later."""
    began = time.monotonic()
    with service(DATA_DIR=folder) as (process, _):
        took = time.monotonic() - began
        time.sleep(1.5)
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return took, resident / 1024


def main() -> None:
    folder = tempfile.mkdtemp(prefix="bench")
    first, *runs = [once(folder) for _ in range(4)]
    table(
        "Starting",
        [
            ("first start to first answer", f"{first[0]:.2f} s", "makes the tables and the key"),
            (
                "start to first answer",
                f"{statistics.median(took for took, _ in runs):.2f} s",
                "aim under 1.5",
            ),
            (
                "memory when idle",
                f"{statistics.median(memory for _, memory in runs):.0f} MiB",
                f"aim under 90 (first start {first[1]:.0f})",
            ),
        ],
    )


if __name__ == "__main__":
    main()
