"""Errors of a form: the values typed into it, and the fields that the reason belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import TypedDict

from webhook.domain.event import Kind
from webhook.domain.rules import PLACES, SWITCHES
from webhook.web.connections.models import ConnectionAccount, ConnectionSetting
from webhook.web.http.language import format_number

VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b")


class ShownSetting(ConnectionSetting):
    """A setting as its form shows it: whether it is to be removed, and what is wrong with it."""

    removing: bool
    wrong: str | None


class AccountOptions(TypedDict):
    """An account's settings and rules as its form shows them; in `lists`, a name a line."""

    tells: Sequence[str]
    kinds: Sequence[str]
    mark: str
    lists: Mapping[str, str]
    dry_run: bool
    wrong: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FormError:
    """A form's error: `form` is the last part of its address, `why` the sentence for the person; empty by default."""

    form: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)
    why: str | None = None
    status: int = 200

    def settings(self, settings: Sequence[ConnectionSetting]) -> list[ShownSetting]:
        """The settings as typed, except secrets, with the reason at the fields that it concerns."""
        typed = self.typed if self.form == "settings" else {}
        about = self.faulty_fields(settings) if self.form == "settings" else set()
        return [
            {
                **setting,
                "value": None if setting["secret"] else typed.get(setting["variable"], setting["value"]),
                "removing": f"remove_{setting['variable']}" in typed,
                "wrong": self.why if setting["variable"] in about else stored_value_error(setting),
            }
            for setting in settings
        ]

    def faulty_fields(self, settings: Sequence[ConnectionSetting]) -> set[str]:
        """The settings that the reason names, else the required ones; none unless the status is 422."""
        if self.status != 422:
            return set()
        open_ones = {setting["variable"] for setting in settings if not setting["fixed"]}
        named = open_ones & {*VARIABLE.findall(self.why or "")}
        return named or {one["variable"] for one in settings if one["required"]} & open_ones

    def options(self, account: ConnectionAccount) -> AccountOptions:
        """An account's settings and rules as its form shows them: as typed after an error, else as stored."""
        if self.form == "account" and self.typed.get("account") == str(account["id"]):
            typed = self.typed
            return {
                "tells": [name for name in SWITCHES if f"tell_{name}" in typed],
                "kinds": [kind.value for kind in Kind if f"kind_{kind.value}" in typed],
                "mark": typed.get("watched_mark", ""),
                "lists": {name: typed.get(name, "") for name in PLACES},
                "dry_run": "dry_run" in typed,
                "wrong": self.why,
            }
        rules = account["rules"]
        mark = rules["watched_mark"]
        return {
            "tells": account["tells"],
            "kinds": rules["kinds"],
            "mark": "" if mark is None else format_number(mark),
            "lists": {name: "\n".join(rules[name]) for name in PLACES},
            "dry_run": rules["dry_run"],
            "wrong": None,
        }


def stored_value_error(setting: ConnectionSetting) -> str | None:
    """The sentence on a stored value that is invalid and therefore unused, or None."""
    why = setting["left_out"]
    return why and f"The saved value is not used because it is not valid. {why}"
