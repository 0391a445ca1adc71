"""Every table as an SQLModel class, the one definition of its rows for SQLite and PostgreSQL.

Each class has its table beside it for Core statements: `webhook` is the table of `WebhookRow`. A file is loaded
when the first of its tables is asked for: making the classes is a third of what a short command takes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import configure_mappers

if TYPE_CHECKING:
    from webhook.storage.tables.apps import *  # noqa: F403 - what is in these files is what this package has
    from webhook.storage.tables.base import *  # noqa: F403
    from webhook.storage.tables.history import *  # noqa: F403
    from webhook.storage.tables.items import *  # noqa: F403
    from webhook.storage.tables.people import *  # noqa: F403
    from webhook.storage.tables.queues import *  # noqa: F403
    from webhook.storage.tables.servers import *  # noqa: F403
    from webhook.storage.tables.sign_in import *  # noqa: F403
    from webhook.storage.tables.transfer import *  # noqa: F403
    from webhook.storage.tables.watchlists import *  # noqa: F403

FILES = (
    "people",
    "queues",
    "items",
    "history",
    "transfer",
    "servers",
    "watchlists",
    "apps",
    "sign_in",
    "base",
)
"""In the order in which commands need them; `base` last, so that `metadata` has every table once it is got here."""


def __getattr__(name: str) -> Any:
    if name.startswith("__") or name in FILES:
        raise AttributeError(name)
    for file in FILES:
        found = vars(import_module(f"{__name__}.{file}"))
        if name in found:
            configure_mappers()  # the attributes of a row can be read only after it
            globals()[name] = found[name]
            return found[name]
    raise AttributeError(f"There is no table {name!r} in {__name__}.")
