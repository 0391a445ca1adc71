"""Exports of the history: one file is one kind of `watchmark export KIND`; its name is the kind.

An export module has six names: `LABEL` (its name for people), `DESCRIPTION` (one sentence: what it is
for), `SUFFIX` and `MEDIA_TYPE` of the file, `KINDS` (the kinds of item it takes; plays of any other are
left out) and `write(plays, library, *, zone=UTC) -> Iterator[bytes]`. Plays come oldest first. The file
is streamed: however long the history, no more than a piece of it is in memory. `zone` is the person's
own time zone, for formats that know days only. The same plays make the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import ModuleType

from webhook.system.modules import load_modules
from webhook.transfer.exports._values import Exported as Exported


@cache
def modules() -> Mapping[str, ModuleType]:
    """Every export module by its name: the files of this folder without a leading underscore."""
    return load_modules(__name__)
