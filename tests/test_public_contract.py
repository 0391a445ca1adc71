"""The public contract changes only where somebody says so: tests/public_contract.txt has it in lines."""

from __future__ import annotations

import asyncio
import difflib
import os
from pathlib import Path

from tests import public_contract
from tests.prepared import open_service

KEPT = Path(__file__).with_name("public_contract.txt")
HINT = (
    "The public contract has changed (above: - was, + is). If that is meant, say it in CHANGELOG.md, follow "
    "docs/versions.md where a line goes, and accept it: make contract-accept"
)


def test_the_public_contract_is_as_it_was_announced(tmp_path: Path) -> None:
    service = open_service({"DATA_DIR": str(tmp_path)})
    found = public_contract.contract(service)
    asyncio.run(service.http.aclose())
    service.database.close()

    if os.environ.get("ACCEPT_CONTRACT"):
        KEPT.write_text(found, encoding="utf-8")

    kept = KEPT.read_text(encoding="utf-8")
    changes = list(difflib.unified_diff(kept.splitlines(), found.splitlines(), "was", "is", n=0, lineterm=""))
    assert not changes, "\n".join([*changes, HINT])


def test_the_contract_has_something_under_each_heading() -> None:
    parts = KEPT.read_text(encoding="utf-8").split("# ")[1:]

    assert {part.splitlines()[0]: len(part.splitlines()) > 5 for part in parts} == dict.fromkeys(
        ("addresses", "settings", "commands", "words", "metrics", "tables"), True
    )
