"""What a visitor may change: replay, retry, claims, people and filters; each one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import batched if False else islice
