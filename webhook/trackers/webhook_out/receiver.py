"""The receiver of an account: its address, headers and shape, as a person typed them and as they are sealed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from webhook.domain.outcome import Park, Snooze
from webhook.settings import address
from webhook.texts import texts
from webhook.trackers import Delivery, SignInFailed, Tokens
from webhook.trackers.webhook_out.sample import SAMPLE
from webhook.trackers.webhook_out.shapes import DATED, DATES, SHAPES, VALUES, template_values
from webhook.trackers.webhook_out.signature import read_secret
from webhook.trackers.webhook_out.template import TemplateError, fill_in, names_in, parse_template

OWN = "template"
SHAPE_LABELS: Mapping[str, str] = texts(
    {
        "nested": "Jellyfin, nested (Yamtrack, Ryot, Scrob)",
        "flat": "Jellyfin, flat (Movary)",
        "generic": "Generic (another Watchmark)",
        OWN: "My own template",
    }
)
LATE_LABELS: Mapping[str, str] = texts(
    {
        "dated": "Only where the shape has a date",
        "always": "Always, even if dated when sent",
        "never": "Never",
    }
)
MAX_ADDRESS, MAX_HEADERS, MAX_HEADER, MAX_USER = 2000, 20, 2000, 200
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
SEPARATOR = re.compile(r"[/?&=]")
OURS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "te", "upgrade"}
)
"""Headers that belong to the call itself."""

MIN_SECRET = 4
"""Characters from which a part of an address or a header is taken for a secret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receiver:
    """Where plays are sent, and how. `late` says which late ones are."""

    url: str
    shape: str
    headers: Mapping[str, str]
    template: str
    late: str
    user: str | None
    secret: str = ""
    """Signs each webhook, where there is one."""

    @property
    def host(self) -> str:
        return httpx.URL(self.url).netloc.decode()

    @property
    def public_url(self) -> str:
        """The address without its path, in which the token stands."""
        return f"{httpx.URL(self.url).scheme}://{self.host}/…"

    @property
    def name(self) -> str:
        return f"{self.user} at {self.host}" if self.user else self.host

    @property
    def is_dated(self) -> bool:
        return bool(names_in(self.template) & DATES) if self.shape == OWN else self.shape in DATED

    @property
    def takes_late(self) -> bool:
        return self.late == "always" or (self.late == "dated" and self.is_dated)

    def body(self, delivery: Delivery) -> Any:
        if self.shape == OWN:
            return fill_in(parse_template(self.template, VALUES), template_values(delivery, self.user))
        return SHAPES[self.shape](delivery, self.user)

    def preview(self) -> str:
        return json.dumps(self.body(SAMPLE), indent=2, ensure_ascii=False)


def read_receiver(tokens: Tokens) -> Receiver:
    """The receiver that is stored; raises Snooze where there is none."""
    if not tokens.get("url"):
        raise Snooze("no receiver is stored", park=Park.SIGNED_OUT)
    return Receiver(
        url=tokens["url"],
        shape=tokens["shape"],
        headers=tokens["headers"],
        template=tokens["template"],
        late=tokens["late"],
        user=tokens["user"] or None,
        secret=tokens.get("secret", ""),
    )


def make_receiver(given: Mapping[str, str], stored: Tokens) -> Tokens:
    """What is stored of a receiver as it was typed; raises SignInFailed with the reason."""
    shape, late = given.get("shape") or "nested", given.get("late") or "dated"
    if shape not in SHAPE_LABELS:
        raise SignInFailed(f"there is no shape called {shape[:40]}; there is {', '.join(SHAPE_LABELS)}")
    if late not in LATE_LABELS:
        raise SignInFailed(f"late is one of {', '.join(LATE_LABELS)}, not {late[:40]}")
    user = given.get("receiver_user", "").strip()
    if len(user) > MAX_USER or not (user.isprintable() or not user):
        raise SignInFailed(f"the user name must be text of at most {MAX_USER} characters")
    url = read_address(given.get("address", "").strip() or stored.get("url", ""))
    template = given.get("template", "") if given.get("template", "").strip() else stored.get("template", "")
    return {
        "url": url,
        "shape": shape,
        "headers": read_headers(given.get("headers", "")) or headers_to_keep(given, stored, url),
        "template": read_template(template) if shape == OWN else "",
        "late": late,
        "user": user,
        "secret": read_signing_secret(given.get("signing_secret", "").strip())
        or secret_to_keep(given, stored, url),
    }


def headers_to_keep(given: Mapping[str, str], stored: Tokens, url: str) -> Mapping[str, str]:
    """The headers that are stored, unless they are removed; another machine never gets them."""
    if "remove_headers" in given or not is_same_machine(stored, url):
        return {}
    headers: Mapping[str, str] = stored["headers"]
    return headers


def secret_to_keep(given: Mapping[str, str], stored: Tokens, url: str) -> str:
    """The signing secret that is stored, unless it is removed or the receiver is another."""
    if "remove_secret" in given or not is_same_machine(stored, url):
        return ""
    return str(stored.get("secret", ""))


def is_same_machine(stored: Tokens, url: str) -> bool:
    return bool(stored) and httpx.URL(stored["url"]).netloc == httpx.URL(url).netloc


def read_signing_secret(given: str) -> str:
    if given:
        try:
            read_secret(given)
        except ValueError as error:
            raise SignInFailed(str(error)) from error
    return given


def read_address(given: str) -> str:
    if not given:
        raise SignInFailed("enter the address of the receiver")
    if len(given) > MAX_ADDRESS:
        raise SignInFailed(f"the address is longer than {MAX_ADDRESS} characters")
    try:
        url = httpx.URL(address(given))
    except ValueError as error:
        raise SignInFailed(f"the address {error}") from error
    if url.userinfo or url.fragment:
        raise SignInFailed("the address must have no password and no # in it; put a password into a header")
    return given


def read_headers(given: str) -> dict[str, str]:
    """The headers, one a line; a line without its value is refused and never repeated, as it may be a secret."""
    headers: dict[str, str] = {}
    for number, line in enumerate(given.splitlines(), 1):
        if not line.strip():
            continue
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not value or not HEADER_NAME.fullmatch(name):
            raise SignInFailed(f"line {number} of the headers is not of the form Name: value")
        if name.lower() in OURS:
            raise SignInFailed(f"line {number} of the headers: {name} is set by Watchmark itself")
        if len(value) > MAX_HEADER or not (value.isascii() and value.isprintable()):
            raise SignInFailed(f"line {number} of the headers: the value must be plain text")
        headers[name] = value
    if len(headers) > MAX_HEADERS:
        raise SignInFailed(f"there are more than {MAX_HEADERS} headers")
    return headers


def read_template(given: str) -> str:
    try:
        parse_template(given, VALUES)
    except TemplateError as error:
        raise SignInFailed(str(error).rstrip(".")) from error
    return given


def conceal(said: str, receiver: Receiver) -> str:
    """What a receiver said, without what it repeats of the address and the headers."""
    url = httpx.URL(receiver.url)
    secrets = [*SEPARATOR.split(url.raw_path.decode()), *SEPARATOR.split(f"{url.path}?{url.params}")]
    for value in receiver.headers.values():
        secrets += [value, *value.split()]
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= MIN_SECRET:
            said = said.replace(secret, "…")
    return said
