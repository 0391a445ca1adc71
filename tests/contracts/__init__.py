"""The contracts of the services that Watchmark calls, as schemas; every call that a fake gets is held to them.

`violations("trakt", call)` says what is wrong with a call. The fakes ask it (`tests.fakes._server`), and a test
that sent a wrong call fails (`tests/conftest.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.contracts import (
    anilist,
    floppy,
    lastfm,
    listenbrainz,
    mal,
    mdblist,
    punchplay,
    scrob,
    simkl,
    tmdb,
    trakt,
    tvdb,
    tvtime,
)
from tests.contracts._schema import Contract, Request

CONTRACTS: Mapping[str, Contract] = {
    "anilist": anilist.CONTRACT,
    "floppy": floppy.CONTRACT,
    "lastfm": lastfm.CONTRACT,
    "listenbrainz": listenbrainz.CONTRACT,
    "mal": mal.CONTRACT,
    "mdblist": mdblist.CONTRACT,
    "punchplay": punchplay.CONTRACT,
    "scrob": scrob.CONTRACT,
    "simkl": simkl.CONTRACT,
    "tmdb": tmdb.CONTRACT,
    "trakt": trakt.CONTRACT,
    "tvdb": tvdb.CONTRACT,
    "tvtime": tvtime.CONTRACT,
}


def violations(service: str, call: Request) -> list[str]:
    """What the contract of a service does not allow in a call to it."""
    return CONTRACTS[service].violations(call)
