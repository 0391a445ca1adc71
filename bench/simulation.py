"""A prime-time hour of 100,000 households, computed from measured costs: how many processes, and what breaks first."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from bench.servers import table

HOUSEHOLDS = 100_000
VIEWINGS = 1.2
"""Viewings that a household begins in the hour."""

WEBHOOKS = 5
"""Webhooks of a viewing: play, pause, resume, scrobble, stop."""

PEAK = 3.0
"""How many times the mean comes in the minutes after the full and the half hour."""

PEAK_MINUTES = 4
USABLE = 0.7
"""The part of a core that is planned with; the rest is for what is not measured."""

RAW = "raw bodies"
"""The part of the table of webhooks that is pruned."""

DATABASE_CORES = 8
PATIENCE = 2.0
"""Seconds that a webhook may wait for its turn, 99 of 100."""

RETENTION_DAYS, HOURS_A_DAY = 90, 4
"""Days that raw bodies are kept, as by default, and prime-time hours that a day comes to."""

CONNECTIONS, MAX_CONNECTIONS = 8, 100
"""Connections that a process opens at most, and those that PostgreSQL allows by itself."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """CPU milliseconds for a webhook in a process and in the database, and the bytes that each table grows by.

    `scan` is what each worker spends on a webhook that another takes.
    """

    receive: float
    receive_database: float
    work: float
    work_database: float
    scan: float
    tables: Mapping[str, float]


def arrivals(dice: random.Random) -> list[int]:
    """Webhooks in each second of the hour."""
    total = HOUSEHOLDS * VIEWINGS * WEBHOOKS
    weights = [PEAK if second // 60 % 30 < PEAK_MINUTES else 1.0 for second in range(3600)]
    scale = total / sum(weights)
    return [max(0, round(dice.gauss(mean, math.sqrt(mean)))) for mean in (scale * one for one in weights)]


def wait_p99(coming: list[int], per_second: float) -> float:
    """Seconds that a webhook waits, 99 of 100, where so many are worked off in a second."""
    queue, waits = 0.0, []
    for count in coming:
        waits.append((queue / per_second, count))
        queue = max(0.0, queue + count - per_second)
    waits.sort()
    left = 0.01 * sum(coming)
    for seconds, count in reversed(waits):
        left -= count
        if left <= 0:
            return seconds
    return 0.0


def needed(coming: list[int], cost: float) -> int:
    """Processes of a core each that keep the wait within the patience."""
    count = 1
    while wait_p99(coming, count * USABLE * 1000 / cost) > PATIENCE:
        count += 1
    return count


def report(costs: Costs) -> None:
    coming = arrivals(random.Random(7))
    receivers, workers = needed(coming, costs.receive), needed(coming, costs.work)
    database = costs.receive_database + costs.work_database
    cores = max(coming) * database / 1000 / USABLE
    daily = sum(coming) * HOURS_A_DAY
    heaviest = max((name for name in costs.tables if name != RAW), key=lambda name: costs.tables[name])
    grown = sum(costs.tables.values()) - costs.tables[RAW]
    table(
        f"{HOUSEHOLDS:,} households, a prime-time hour",
        [
            ("webhooks", f"{sum(coming):,}", f"{sum(coming) / 3600:,.0f}/s, at the peak {max(coming):,}/s"),
            ("receivers", f"{receivers}", f"of a core each, {USABLE:.0%} planned with"),
            ("workers", f"{workers}", f"99 of 100 webhooks wait less than {PATIENCE:.0f} s"),
            ("cores of the database", f"{cores:.1f}", f"{database:.2f} ms for a webhook"),
            ("connections", f"{(receivers + workers) * CONNECTIONS}", f"of {MAX_CONNECTIONS} by default"),
            ("fastest growing table", heaviest, f"{costs.tables[heaviest]:,.0f} of {grown:,.0f} bytes a webhook"),
            ("… in a day", f"{daily * costs.tables[heaviest] / 1e9:,.1f} GB", f"of {daily * grown / 1e9:,.1f} GB"),
            (
                f"… raw bodies of {RETENTION_DAYS} days",
                f"{daily * RETENTION_DAYS * costs.tables[RAW] / 1e9:,.0f} GB",
                "RETENTION_DAYS",
            ),
            ("… what stays, in a year", f"{daily * 365 * (grown - costs.tables[RAW]) / 1e9:,.0f} GB", ""),
            ("breaks first", first_to_break(costs), "as households are added, with one database"),
        ],
    )  # fmt: skip


def first_to_break(costs: Costs) -> str:
    """The part that cannot be had twice and is full first, with the households that fill it."""
    rate = PEAK * VIEWINGS * WEBHOOKS / 3600
    parts = {
        f"{DATABASE_CORES} cores of the database": DATABASE_CORES
        / (costs.receive_database + costs.work_database),
        "the look of each worker at all that waits": 1 / costs.scan,
    }
    name = min(parts, key=lambda part: parts[part])
    return f"{name}, at {parts[name] * USABLE * 1000 / rate:,.0f} households"
