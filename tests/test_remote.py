"""What a call leaves in the trace: the address and the body, without what is secret."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from webhook import client
from webhook.client import HIDDEN, DryRunStop, Recorder, recording


def kept_of(name: str = "sent", url: str = "http://127.0.0.1:1/2.0/", **body: Any) -> Any:
    """What the trace keeps of a write that a dry run withholds: its body, or its `url`."""

    async def withheld() -> Any:
        kept = Recorder(withhold=True)
        with recording(kept), pytest.raises(DryRunStop):
            async with client.client() as http:
                await http.post(url, **body)
        (exchange,) = kept.exchanges
        return dict(exchange)[name]

    return asyncio.run(withheld())


def test_a_form_is_kept_by_its_fields_with_what_is_secret_hidden() -> None:
    form = {"method": "track.scrobble", "track[0]": "Blå & hvit", "album[0]": "", "sk": "s1", "api_sig": "s2"}

    assert kept_of(data=form) == {
        "method": "track.scrobble",
        "track[0]": "Blå & hvit",
        "album[0]": "",
        "sk": HIDDEN,
        "api_sig": HIDDEN,
    }


def test_json_is_kept_with_what_is_secret_hidden_however_deep_it_lies() -> None:
    assert kept_of(json={"shows": [{"tvdb": 7, "token": "s1"}]}) == {"shows": [{"tvdb": 7, "token": HIDDEN}]}


def test_an_address_is_kept_with_what_is_secret_hidden_and_readable() -> None:
    kept = kept_of("url", "http://127.0.0.1:1/scrobble/start", params={"apikey": "s1", "q": "Blå"})

    assert kept == "http://127.0.0.1:1/scrobble/start?apikey=…&q=Bl%C3%A5"


def test_of_anything_else_only_the_length_is_kept() -> None:
    assert kept_of(content=b"\x89PNG secret") == "11 bytes"
    assert kept_of() is None
