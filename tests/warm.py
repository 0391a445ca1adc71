"""Imported by the process that commands are forked from: what each start would do anew is done there once."""

from __future__ import annotations

import gc
import tempfile
from importlib import import_module
from pathlib import Path

from tests import cheap
from tests.drawn import picture
from webhook import app, lookups, servers, trackers
from webhook.pictures.decode import render

LATE = (
    "anyio._backends._asyncio", "certifi", "httpcore", "psycopg", "typer._adapters", "uvicorn.lifespan.on", "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl", "webhook.network.connections", "webhook.transfer.import_job", "webhook.web.metrics",
)  # fmt: skip
"""What a service that was opened loads once it serves, calls or keeps a picture."""


def open_once(folder: Path) -> None:
    """Open a service and its web: modules imported late, routes and SQL are compiled by then."""
    service = app.open_service({"DATA_DIR": str(folder)})
    app.web_app(service)
    app.late_routes(service)
    service.database.close()


cheap.apply()
for name in LATE:
    import_module(name)
for plugins in (trackers, lookups, servers):
    plugins.modules()
assert render(picture()) is not None
with tempfile.TemporaryDirectory(prefix="watchmark-") as home:
    open_once(Path(home))
gc.collect()
gc.freeze()  # what is shared with the forked need not be looked through by each of them
