"""HTTP calls to media servers, and the errors of theirs in words for a person.

Not a server: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import httpx
import orjson
from pydantic import AfterValidator

from webhook import settings
from webhook.client import MAX_ANSWER, call, excerpt
from webhook.domain.outcome import Dead, Retry, Snooze, Undelivered
from webhook.domain.retry import decide


def without_slash(given: str) -> str:
    return given.rstrip("/")


T = TypeVar("T")
JsonRow = Mapping[str, Any]
UNKNOWN_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"
"""What an error says where a certificate is of no authority that is trusted, or of another name."""

MAX_PICTURE_SIZE = 8 * 1024 * 1024
MAX_REMEMBERED = 5000
"""Descriptions of items kept at a time; beyond that the oldest is asked for again."""

Address = Annotated[settings.Address, AfterValidator(without_slash)]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerAddress:
    """The address of a server and its access.

    `key` names the setting with the secret, `mend` the way to get another.
    """

    label: str
    name: str
    url: str
    key: str
    mend: str

    @property
    def setting(self) -> str:
        """The setting that holds the address."""
        return f"{self.name}_url".upper()

    def unreachable(self, error: Retry) -> Retry:
        """The error where no answer came."""
        if UNKNOWN_CERTIFICATE in error.reason:
            reason = (
                f"The certificate of {self.label} at {self.url} is not trusted here. If it is from your own "
                f"authority, set CA_FILE to that authority's certificate. Else use the name that it is made out to."
            )
            return Retry(reason, after=error.after)
        reason = f"{error.reason}. Nothing was read. Is it running, and is {self.setting} ({self.url}) its address?"
        return Retry(reason, after=error.after)

    def rejection(self, status: int, headers: Mapping[str, str], answer: str) -> Undelivered:
        """The error of an answer that is no success."""
        if status in (401, 403):
            reason = f"{self.label} does not accept {self.key} (it answered {status}). {self.mend}"
            return Dead(reason, answer=answer)
        if 300 <= status < 400:
            where = headers.get("location", "elsewhere")
            reason = f"{self.label} sends on to {where}. Set {self.setting} to the address it really has."
            return Dead(reason, answer=answer)
        if status == 404:
            return self.wrong_answer(f"{self.label} answered 404", answer)
        said = decide(self.label, status, headers, answer)
        return Retry(said.reason, answer=answer, after=said.after) if isinstance(said, Snooze) else said

    def wrong_answer(self, what: str, answer: str) -> Dead:
        """The error of an answer that is not this server's."""
        reason = (
            f"{what}. Is {self.setting} ({self.url}) the address of {self.label}, without the path of a page?"
        )
        return Dead(reason, answer=answer)


async def get_json(
    http: httpx.AsyncClient,
    address: ServerAddress,
    path: str,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    most: int = MAX_ANSWER,
) -> Any:
    """The JSON that a server answers a GET with; raises Retry where none came, and Dead where it refuses."""
    response = await send(http, address, path, params, headers, most)
    if not response.is_success:
        raise address.rejection(response.status_code, response.headers, excerpt(response))
    return read_json(address, response)


async def send(
    http: httpx.AsyncClient,
    address: ServerAddress,
    path: str,
    params: Mapping[str, str] | None,
    headers: Mapping[str, str] | None,
    most: int = MAX_ANSWER,
) -> httpx.Response:
    url = address.url + path
    try:
        return await call(http, address.label, "GET", url, headers=headers, params=params, most=most)
    except Retry as error:
        raise address.unreachable(error) from error


async def get_picture(
    http: httpx.AsyncClient,
    address: ServerAddress,
    path: str,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes | None:
    """The bytes of a picture, not looked at; None where the server has none. Raises Retry and Dead."""
    response = await send(http, address, path, params, headers, most=MAX_PICTURE_SIZE)
    if response.status_code == 404:
        return None
    if not response.is_success:
        raise address.rejection(response.status_code, response.headers, "")
    return response.content


def read_json(address: ServerAddress, response: httpx.Response) -> Any:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        said = f"{address.label} answered {response.status_code} with something that is no JSON"
        raise address.wrong_answer(said, excerpt(response)) from error


def remember_item(known: MutableMapping[str, T], key: str, value: T) -> T:
    """Store a value and drop the oldest above the limit."""
    known[key] = value
    while len(known) > MAX_REMEMBERED:
        del known[next(iter(known))]
    return value
