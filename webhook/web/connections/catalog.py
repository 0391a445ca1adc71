"""Every service that can be connected: trackers, lookups, media servers and notifications."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from webhook import lookups, servers, trackers
from webhook.maintenance import notifications
from webhook.settings import Settings, variable
from webhook.texts import texts
from webhook.web.http.errors import Problem
from webhook.web.visible import Visitor

ServiceKind = Literal["tracker", "lookup", "server", "notices"]

NOTICES = "notifications"

KIND_WORDS: Mapping[ServiceKind, str] = texts(
    {
        "tracker": "tracker",
        "lookup": "lookup",
        "server": "media server",
        "notices": "notifications",
    }
)

STATES: Mapping[str, str] = texts(
    {
        "working": "Working",
        "not_set_up": "Not set up",
        "not_tested": "Not tested yet",
        "not_working": "Not working",
        "down": "Down",
        "signed_out": "Needs sign-in",
        "vip_required": "VIP required",
        "account_limit": "Account limit",
        "limited": "Partly working",
        "account_locked": "Locked",
        "app_deleted": "API app gone",
        "service_closed": "Closed",
    }
)
"""The states of a service or an account in words."""


NOT_USED: Sequence[tuple[str, str]] = texts(
    (
        ("Imgur", "it hosted the images for emails to Plex users, which Watchmark doesn't send"),
        ("Gracenote", "it filled in music tags, and Watchmark doesn't change files"),
        ("Jackett", "it searches for torrents, and Watchmark doesn't download anything"),
        (
            "Gmail and Google Contacts",
            "notifications are sent with Apprise, which can send email without them",
        ),
        ("YouTube", "it identified songs to download; media servers already identify what they play"),
        ("Google Sheets", "the history is exported as CSV, JSON, iCalendar and other files"),
        ("Google Play Music", "music was uploaded to it, and Watchmark doesn't upload music"),
        ("Letterboxd", "it has no suitable API; use import and export files instead"),
    )
)
"""Services of the founding documents that are no connections, and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceInfo:
    """A service as it can be connected. `fields` are its settings, by variable."""

    name: str
    kind: ServiceKind
    label: str
    purpose: str
    steps: tuple[str, ...]
    fields: Mapping[str, FieldInfo]

    @property
    def takes_accounts(self) -> bool:
        """True if people sign in to it: a tracker, or a media server that can be told."""
        return self.name in trackers.modules()


@cache
def services() -> Mapping[str, ServiceInfo]:
    """All services by name: trackers, separate lookups, servers and notifications."""
    told = {name: module for name, module in trackers.modules().items() if name not in servers.modules()}
    asked = {name: module for name, module in lookups.modules().items() if name not in told}
    groups: list[tuple[ServiceKind, Mapping[str, ModuleType]]] = [
        ("tracker", told),
        ("lookup", asked),
        ("server", servers.modules()),
    ]
    found = {
        name: ServiceInfo(
            name=name,
            kind=kind,
            label=module.LABEL,
            purpose=module.PURPOSE,
            steps=module.SETUP,
            fields={variable(f"{name}_", field): info for field, info in fields_of(module.Settings)},
        )
        for kind, modules in groups
        for name, module in modules.items()
    }
    urls = {"NOTIFY_URLS": Settings.model_fields["notify_urls"]}
    found[NOTICES] = ServiceInfo(
        name=NOTICES,
        kind="notices",
        label=notifications.LABEL,
        purpose=notifications.PURPOSE,
        steps=notifications.SETUP,
        fields=urls,
    )
    return found


def fields_of(settings: type[BaseModel]) -> Iterable[tuple[str, FieldInfo]]:
    return settings.model_fields.items()


def find_service(visitor: Visitor, name: str) -> ServiceInfo:
    """The service with this name; a member finds only what one signs in to, since the rest belongs to the owner."""
    found = services().get(name)
    if found is None or (not visitor.is_admin and not found.takes_accounts):
        raise Problem(404, f"There is no connection named {name[:50]}.")
    return found
