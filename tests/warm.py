"""Imported by the process that commands are forked from: what each start would do anew is done there once."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

from tests import cheap
from webhook import app


def open_once(folder: Path) -> None:
    """Open a service and its web: modules imported late, routes and SQL are compiled by then."""
    service = app.open_service({"DATA_DIR": str(folder)})
    app.web_app(service)
    service.database.close()


cheap.apply()
with tempfile.TemporaryDirectory(prefix="watchmark-") as home:
    open_once(Path(home))
gc.collect()
gc.freeze()  # what is shared with the forked need not be looked through by each of them
