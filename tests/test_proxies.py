"""Reverse proxies: whose word on the sender is taken, and what it comes to."""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from tests.running import ROOT
from webhook import settings
from webhook.network.asgi import ForwardedHeaders
from webhook.network.proxies import Origin, TrustedProxies, network_of, parse_networks
from webhook.settings import SettingsError, load

PROXIES = TrustedProxies(parse_networks("127.0.0.1, 172.16.0.0/12 fd00::/8"))
INSIDE = "172.18.0.2"

XFF, FORWARDED = b"x-forwarded-for", b"forwarded"


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ([], INSIDE),
        ([(XFF, b"203.0.113.7")], "203.0.113.7"),
        ([(XFF, b"198.51.100.1, 203.0.113.7")], "203.0.113.7"),
        ([(XFF, b"198.51.100.1"), (XFF, b"203.0.113.7")], "203.0.113.7"),
        ([(XFF, b"198.51.100.1, 203.0.113.7, 172.20.0.9, 127.0.0.1")], "203.0.113.7"),
        ([(XFF, b"172.20.0.9, 127.0.0.1")], "172.20.0.9"),
        ([(XFF, b"198.51.100.1, unknown, 172.20.0.9")], "172.20.0.9"),
        ([(XFF, b"")], INSIDE),
        ([(XFF, b"' OR 1=1")], INSIDE),
        ([(XFF, b"203.0.113.7:51234")], "203.0.113.7"),
        ([(XFF, b"[2001:db8::7]:51234")], "2001:db8::7"),
        ([(XFF, b"2001:DB8:0::7")], "2001:db8::7"),
        ([(XFF, b"::ffff:203.0.113.7")], "203.0.113.7"),
        ([(XFF, b"fe80::1%eth0")], "fe80::1"),
        ([(XFF, b"a," * 30_000 + b"203.0.113.7")], "203.0.113.7"),
        ([(FORWARDED, b"for=203.0.113.7")], "203.0.113.7"),
        ([(FORWARDED, b'for=198.51.100.1, For="[2001:db8::7]:4711";proto=https;by=_x')], "2001:db8::7"),
        ([(FORWARDED, b"for=_hidden, for=172.20.0.9")], "172.20.0.9"),
        ([(FORWARDED, b"for=198.51.100.1"), (XFF, b"203.0.113.7")], "203.0.113.7"),
        ([(FORWARDED, b"=" * 60_000 + b";" * 60_000)], INSIDE),
    ],
)
def test_the_sender_is_the_last_that_is_no_trusted_proxy(
    headers: list[tuple[bytes, bytes]], address: str
) -> None:
    assert PROXIES.origin(INSIDE, headers).address == address


@pytest.mark.parametrize("peer", ["203.0.113.1", "2001:db8::1", "", "no address"])
def test_only_a_trusted_proxy_is_believed(peer: str) -> None:
    told = [(XFF, b"198.51.100.1"), (FORWARDED, b"for=198.51.100.1"), (b"x-forwarded-host", b"evil.example")]

    assert PROXIES.origin(peer, told) == Origin(peer)


def test_a_proxy_that_is_reached_over_ipv6_is_the_same() -> None:
    assert PROXIES.origin("::ffff:172.18.0.2", [(XFF, b"203.0.113.7")]).address == "203.0.113.7"


@pytest.mark.parametrize(
    ("headers", "scheme", "host"),
    [
        ([(b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"watch.example:444")], "https", "watch.example:444"),
        ([(b"x-forwarded-proto", b"http, HTTPS")], "https", None),
        ([(b"x-forwarded-proto", b"javascript"), (b"x-forwarded-host", b"a/b<script>")], None, None),
        ([(FORWARDED, b"for=203.0.113.7;host=watch.example;proto=https")], "https", "watch.example"),
    ],
)  # fmt: skip
def test_the_scheme_and_the_host_are_what_the_sender_asked_for(
    headers: list[tuple[bytes, bytes]], scheme: str | None, host: str | None
) -> None:
    origin = PROXIES.origin(INSIDE, headers)

    assert (origin.scheme, origin.host) == (scheme, host)


def test_who_has_a_network_of_ipv6_is_one_sender() -> None:
    assert (
        network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2:ffff::9") != network_of("2001:db8:1:3::4")
    )
    assert network_of("203.0.113.7") != network_of("203.0.113.8")
    assert network_of("") == ""


def test_the_setting_names_networks_or_nobody() -> None:
    assert load({"TRUSTED_PROXIES": "10.0.0.0/8 ::1"}).proxies.includes("10.1.2.3")
    assert load({}).proxies.includes("127.0.0.1")
    assert not load({"TRUSTED_PROXIES": "none"}).proxies.includes("127.0.0.1")
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES: must be addresses or networks"):
        load({"TRUSTED_PROXIES": "traefik"})


def test_a_proxy_that_is_not_believed_is_mentioned_once() -> None:
    async def nobody(scope: Any, receive: Any, send: Any) -> None:
        return

    middleware = ForwardedHeaders(nobody, PROXIES)
    told = [(XFF, b"203.0.113.7")]
    asked = [
        ("192.168.1.5", told),
        ("192.168.1.5", told),
        (INSIDE, told),
        ("1.1.1.1", told),
        ("10.0.0.1", []),
    ]

    with capture_logs() as logged:
        for peer, headers in asked:
            scope = {"type": "http", "client": (peer, 1), "headers": headers}
            asyncio.run(middleware(scope, cast(Any, None), cast(Any, None)))

    assert [line["address"] for line in logged] == ["192.168.1.5"]


def test_the_settings_in_the_document_are_such() -> None:
    text = (ROOT / "docs" / "exposing.md").read_text(encoding="utf-8")
    lines = re.findall(r"^ *([A-Z][A-Z_]+)(?:=|: )(\S+)$", text, re.MULTILINE)
    known = {settings.variable("", name) for name in settings.Settings.model_fields}

    assert {"BASE_URL", "TRUSTED_PROXIES", "HOST"} <= {name for name, _ in lines} <= known
    for name, value in lines:
        settings.load({name: value})
    for network in re.findall(r"`([0-9a-f.:/, ]+/\d+)`", text):
        assert parse_networks(network)
