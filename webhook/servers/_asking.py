"""How a media server is asked over HTTP, and what its refusals say to a person.

Not a server: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import orjson
from pydantic import AfterValidator

from webhook import settings
from webhook.client import call, shown
from webhook.domain.outcome import Dead, Retry, Snooze, Undelivered
from webhook.domain.retry import decide


def without_slash(given: str) -> str:
    return given.rstrip("/")


Address = Annotated[settings.Address, AfterValidator(without_slash)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """Where a server is and what lets one in.

    `key` names the setting that holds the secret, `mend` says how to get another.
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

    def away(self, error: Retry) -> Retry:
        """No answer came."""
        reason = (
            f"{error.reason}. Nothing was read. Does it run, and is {self.setting} ({self.url}) its address?"
        )
        return Retry(reason, after=error.after)

    def refused(self, status: int, headers: Mapping[str, str], answer: str) -> Undelivered:
        """An answer came, and it is no success."""
        if status in (401, 403):
            reason = f"{self.label} does not accept {self.key} (it answered {status}). {self.mend}"
            return Dead(reason, answer=answer)
        if 300 <= status < 400:
            where = headers.get("location", "elsewhere")
            reason = f"{self.label} sends on to {where}. Set {self.setting} to the address it really has."
            return Dead(reason, answer=answer)
        if status == 404:
            return self.stranger(f"{self.label} answered 404", answer)
        said = decide(self.label, status, headers, answer)
        return Retry(said.reason, answer=answer, after=said.after) if isinstance(said, Snooze) else said

    def stranger(self, what: str, answer: str) -> Dead:
        """What came is nothing that this server says."""
        reason = (
            f"{what}. Is {self.setting} ({self.url}) the address of {self.label}, with no page before it?"
        )
        return Dead(reason, answer=answer)


async def ask(
    http: httpx.AsyncClient,
    door: Door,
    path: str,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Any:
    """The JSON that a server answers a GET with; raises Retry where none came, and Dead where it refuses."""
    response = await reached(http, door, path, params, headers)
    if not response.is_success:
        raise door.refused(response.status_code, response.headers, shown(response))
    return understood(door, response)


async def reached(
    http: httpx.AsyncClient,
    door: Door,
    path: str,
    params: Mapping[str, str] | None,
    headers: Mapping[str, str] | None,
) -> httpx.Response:
    try:
        return await call(http, door.label, "GET", door.url + path, headers=headers, params=params)
    except Retry as error:
        raise door.away(error) from error


def understood(door: Door, response: httpx.Response) -> Any:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        said = f"{door.label} answered {response.status_code} with something that is no JSON"
        raise door.stranger(said, shown(response)) from error
