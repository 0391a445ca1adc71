"""Models of settings in the API: requests and replies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, create_model
from typing_extensions import TypedDict

from webhook.web.http.models import Body, Expect, OneOf

OFFERED = ("WATCHED_MARK", "CATCH_UP_MINUTES", "SILENCE_DAYS", "RETENTION_DAYS", "LOG_LEVEL")
"""The settings made on the settings page; those of trackers and servers are under Connections."""

Value = str | int | float | None


class Setting(TypedDict):
    name: Annotated[str, OneOf(lambda: OFFERED)]
    value: Value
    default: Value
    description: str
    choices: list[str] | None
    fixed: Annotated[bool, Field(description="The environment says it, so it can only be changed there.")]
    set_by: Literal["environment", "browser"] | None


class BackupsJson(TypedDict):
    """Backups by the clock: `hours` is 0 where there are none; `failure` is why they fail now, and since when."""

    hours: int
    keep: int
    folder: str
    newest: str | None
    failure: str | None
    failed_since: str | None


_VALUES: dict[str, Any] = dict.fromkeys(
    OFFERED, (Annotated[Value, Expect("text or a number, or null")], None)
)
SettingValues: type[Body] = create_model("SettingValues", __base__=Body, **_VALUES)
