"""What a media server said while it was listened to, in the shape that the source of its name reads.

Not a source: the leading underscore keeps it out of the scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webhook.domain import values
from webhook.domain.event import Action, Unreadable
from webhook.sources._shared import not_after_receipt

KEY = "listened"


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One action that a server told of, and what it said, in its own words.

    `by` is how it was told: by an alert, by a list of sessions, or by a poll of the library. `together` is how many
    changes of its kind were found at once.
    """

    action: Action
    at: datetime
    by: str
    said: Mapping[str, Any]
    position_ms: int | None = None
    manual: bool = False
    together: int = 1

    def to_json(self) -> dict[str, Any]:
        """The statement as the body of a webhook."""
        told: dict[str, Any] = {"action": self.action.value, "at": self.at.isoformat(), "by": self.by}
        if self.position_ms is not None:
            told["position_ms"] = self.position_ms
        if self.manual:
            told["manual"] = True
        if self.together > 1:
            told["together"] = self.together
        return {KEY: told, **self.said}


def read_statement(payload: Mapping[str, Any], received_at: datetime) -> Statement | None:
    """The statement of this payload; None for a server's own webhook. Raises Unreadable."""
    if KEY not in payload:
        return None
    told = values.mapping(payload[KEY])
    try:
        action = Action(told.get("action", ""))
    except ValueError as error:
        raise Unreadable("it is no statement of a media server: its action is unknown") from error
    return Statement(
        action=action,
        at=not_after_receipt(values.moment(told.get("at")), received_at),
        by=values.text(told.get("by")) or "",
        said={name: value for name, value in payload.items() if name != KEY},
        position_ms=values.position(told.get("position_ms")),
        manual=told.get("manual") is True,
        together=values.position(told.get("together")) or 1,
    )
