"""Sign-in by a header of the reverse proxy, which says who has signed in to it: Remote-User and its kin.

The header counts only where the connection itself comes from one of the networks that are named for it. They are named
apart from TRUSTED_PROXIES, because whoever may send it may be anybody.
"""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, field_validator

from webhook import settings
from webhook.network.proxies import Headers, TrustedProxies, parse_networks
from webhook.settings import Environ

HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")


class Settings(BaseModel):
    """Settings of the sign-in by a proxy's header."""

    model_config = ConfigDict(frozen=True)

    header: str = Field(
        description="Header in which your proxy names the person who has signed in to it, e.g. Remote-User"
    )
    networks: str = Field(
        description="Addresses or networks of the proxies whose header counts, e.g. 172.30.0.2; nobody else's does"
    )

    @field_validator("header")
    @classmethod
    def check_header(cls, name: str) -> str:
        if not HEADER_NAME.fullmatch(name):
            raise ValueError("must be the name of a header such as Remote-User")
        return name

    @field_validator("networks")
    @classmethod
    def check_networks(cls, text: str) -> str:
        parse_networks(text)
        return text


class ProxySignIn:
    """Reads whom a proxy names, and believes only those of the settings."""

    def __init__(self, settings: Settings) -> None:
        self.header = settings.header.lower().encode()
        self.proxies = TrustedProxies(parse_networks(settings.networks))

    def find_name(self, peer: str, headers: Headers) -> str | None:
        """The name in the header of a request that came from this peer; None where it does not count or is not clear."""
        if not self.proxies.includes(peer):
            return None
        found = [value for name, value in headers if name == self.header]
        if len(found) != 1:
            return None
        try:
            return found[0].decode("utf-8").strip() or None
        except UnicodeDecodeError:
            return None


def open_reader(environ: Environ) -> ProxySignIn | None:
    """The reader of the settings, or None; raises SettingsError."""
    given = settings.read_settings(Settings, "proxy_sign_in_", environ)
    return None if given is None else ProxySignIn(given)
