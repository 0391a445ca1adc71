"""Every tracker has a unit test of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from webhook.trackers import modules

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", [*modules()])
def test_each_answer_to_a_tracker_has_a_case_in_its_file(name: str) -> None:
    file = Path(__file__).with_name(f"test_{name}.py")

    assert "def test_each_answer_has_this_outcome" in file.read_text()
    assert "def test_each_action_is_this_request" in file.read_text()
