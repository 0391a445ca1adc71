"""Reverse proxies: the origin of a request behind the trusted ones."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
Passed: TypeAlias = dict[str, list[str]]

NOBODY = "none"
MAX_HOPS = 16
"""Maximum number of proxies in a row; earlier entries are ignored."""

MAX_PAIRS = 8
USUAL = {b"x-forwarded-for": "for", b"x-forwarded-proto": "proto", b"x-forwarded-host": "host"}
SCHEMES = ("http", "https")
HOST = re.compile(r"[\w.:\[\]-]{1,255}", re.ASCII)
PREFIX = {4: 32, 6: 64}


@dataclass(frozen=True, slots=True)
class Origin:
    """A request's sender address, scheme and host; None for those that no proxy reports."""

    address: str
    scheme: str | None = None
    host: str | None = None


class TrustedProxies:
    """The trusted proxies, whose forwarded headers are used."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self.networks = networks
        self.includes = lru_cache(maxsize=4096)(self.look_up)

    def look_up(self, address: str) -> bool:
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self.networks)

    def origin(self, peer: str, headers: Headers) -> Origin:
        """The origin: the last forwarded address that is not a trusted proxy's."""
        peer = normalize(peer)
        if not self.includes(peer):
            return Origin(peer)
        given = forwarded_values(headers)
        address = peer
        for hop in reversed(given["for"]):
            parsed = parse_hop(hop)
            if parsed is None:
                break
            address = str(parsed)
            if not self.includes(address):
                break
        scheme, host = last(given["proto"]).lower(), last(given["host"])
        return Origin(
            address,
            scheme if scheme in SCHEMES else None,
            host if HOST.fullmatch(host) else None,
        )


@lru_cache(maxsize=8)
def trusted_proxies(setting: str) -> TrustedProxies:
    return TrustedProxies(parse_networks(setting))


def parse_networks(text: str) -> list[Network]:
    """Parse the networks in a setting; raises ValueError with the reason."""
    words = text.replace(",", " ").split()
    if [word.lower() for word in words] == [NOBODY]:
        return []
    try:
        return [ipaddress.ip_network(word, strict=False) for word in words]
    except ValueError as error:
        raise ValueError(
            f"must be addresses or networks such as 172.16.0.0/12, or {NOBODY}: {error}"
        ) from error


# --- addresses


def parse_address(text: str) -> Address | None:
    """An address, without its zone; one of IPv4 that is written as IPv6 is one of IPv4."""
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


@lru_cache(maxsize=4096)
def normalize(text: str) -> str:
    parsed = parse_address(text)
    return text if parsed is None else str(parsed)


@lru_cache(maxsize=4096)
def is_private(address: str) -> bool:
    """True for a private address, as of home networks and containers."""
    parsed = parse_address(address)
    return parsed is not None and parsed.is_private


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """The network counted as one sender: a single IPv4 address, or the IPv6 prefix of one customer."""
    parsed = parse_address(address)
    if parsed is None:
        return address
    return str(ipaddress.ip_network((parsed, PREFIX[parsed.version]), strict=False))


# --- headers


def forwarded_values(headers: Headers) -> Passed:
    """The forwarded values, oldest first: from X-Forwarded-For and its kin, else from Forwarded (RFC 7239)."""
    usual: Passed = {"for": [], "proto": [], "host": []}
    standard: Passed = {"for": [], "proto": [], "host": []}
    for name, value in headers:
        if name in USUAL:
            usual[USUAL[name]] += hops(value.decode("latin-1"))
        elif name == b"forwarded":
            for key, text in pairs(value.decode("latin-1")):
                standard.setdefault(key, []).append(text)
    return usual if usual["for"] else {key: usual[key] or standard[key] for key in usual}


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """The names and values in a Forwarded header."""
    for hop in hops(text):
        for pair in hop.split(";", MAX_PAIRS)[:MAX_PAIRS]:
            key, _, value = pair.partition("=")
            yield key.strip().lower(), value.strip().strip('"')


def hops(text: str) -> list[str]:
    return [hop.strip() for hop in text.rsplit(",", MAX_HOPS)[-MAX_HOPS:]]


def parse_hop(hop: str) -> Address | None:
    """An address as a proxy writes it, with a port or without; None where it is hidden or none."""
    if hop.startswith("["):
        return parse_address(hop[1:].partition("]")[0])
    return parse_address(hop.partition(":")[0] if hop.count(":") == 1 else hop)


def last(values: Sequence[str]) -> str:
    return values[-1] if values else ""
