"""What the tests of all sources share: our own payloads, and one moment to receive them at."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

PAYLOADS = Path(__file__).parents[1] / "payloads"

Load = Callable[[str], dict[str, Any]]


@pytest.fixture
def load() -> Load:
    """Reads `<source>/<what happened>.json`."""

    def read(name: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
        return loaded

    return read


@pytest.fixture
def received_at() -> datetime:
    """Nine seconds after what the payloads tell of."""
    return datetime(2023, 11, 14, 22, 13, 29, tzinfo=UTC)
