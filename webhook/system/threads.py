"""Threads for work that takes a whole core and that webhooks must not wait for."""

from __future__ import annotations

import os
import sys


def step_back() -> None:
    """Lower this thread's priority."""
    if sys.platform == "linux":  # elsewhere this would lower the whole process
        os.nice(10)
