"""What is shipped beside the image, read by the programs it is written for: Prometheus and systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.running import ROOT

pytestmark = pytest.mark.soak

RULES = ROOT / "deploy" / "prometheus-rules.yaml"
ALERTS = Path(__file__).with_name("alerts.yaml")
UNIT = ROOT / "deploy" / "watchmark.service"
MAX_EXPOSURE = 2.0
"""As `systemd-analyze security` counts it, from 0 to 10; below 2 it says OK."""


def answer(program: str, package: str, *arguments: str) -> str:
    """What a program says of a file; fails where it finds fault with it."""
    assert shutil.which(program), f"wanted: apt-get install --no-install-recommends {package}"
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_is_silent_otherwise() -> None:
    named = set(re.findall(r"- alert: (\w+)", RULES.read_text()))

    answer("promtool", "prometheus", "check", "rules", str(RULES))
    answer("promtool", "prometheus", "test", "rules", str(ALERTS))

    assert set(re.findall(r"alertname: (\w+)\n\s+exp_alerts", ALERTS.read_text())) == named


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program in it that is on this machine."""
    made = tmp_path / UNIT.name
    made.write_text(UNIT.read_text().replace("/opt/watchmark/bin/watchmark", "/bin/true"))
    return made


def test_systemd_understands_each_line_of_the_unit(unit: Path) -> None:
    assert answer("systemd-analyze", "systemd", "verify", "--man=no", str(unit)) == ""


def test_systemd_finds_the_unit_little_exposed(unit: Path) -> None:
    said = answer("systemd-analyze", "systemd", "security", "--offline=true", "--no-pager", str(unit))
    (exposure,) = re.findall(r"Overall exposure level for \S+ ([\d.]+)", said)

    assert float(exposure) < MAX_EXPOSURE
