"""A Tautulli on loopback, as far as its API is asked for its history: one row a sitting (`grouping=0`).

https://github.com/Tautulli/Tautulli/wiki/Tautulli-API-Reference

`python -m tests.fakes.tautulli_server --port 0` runs it alone, empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ._server import Fake, main

Json = dict[str, Any]

ROW: Json = {
    "paused_counter": 0,
    "friendly_name": "Mother",
    "player": "Sofa",
    "machine_id": "player-sofa-1",
    "live": 0,
    "parent_rating_key": None,
    "grandparent_rating_key": None,
    "parent_title": None,
    "grandparent_title": None,
    "original_title": "",
    "year": "",
    "media_index": "",
    "parent_media_index": "",
    "percent_complete": 97,
    "watched_status": 1,
    "group_count": 1,
    "state": None,
    "session_key": None,
}


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    key: str = "0123456789abcdef0123456789abcdef"
    header_only: bool = False  # how clients of 2.18 send the key; up to 2.17 it is the parameter that counts
    hours_east: int = 0  # of Greenwich; the days one asks for are local


class TautulliServer(Fake):
    """The server. Fill it with `sit`, a sitting as a row of the history has it, and with `items`."""

    switches: Switches

    def __init__(self, **switches: Any) -> None:
        super().__init__()
        self.switches = Switches(**switches)
        self.server = {"pms_identifier": "5f" * 20, "pms_name": "Attic"}
        self.rows: list[Json] = []
        self.items: dict[str, Json] = {}

    def state(self) -> Json:
        return {"rows": self.rows, "items": self.items}

    def sit(self, row: Mapping[str, Any], stopped: datetime, *, minutes: int = 45, chain: int = 0) -> Json:
        """A sitting that ended then; `chain` is the first sitting of the same viewing."""
        number, end = len(self.rows) + 1, int(stopped.timestamp())
        began = end - 60 * minutes
        made = {**ROW, "row_id": number, "id": number, "reference_id": chain or number}
        self.rows.append({**made, "date": began, "started": began, "stopped": end, **row})
        return self.rows[-1]

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/v2", self.api)]

    async def api(self, request: Request) -> Response:
        asked = request.query_params
        header = request.headers.get("x-api-key", "")
        given = header if self.switches.header_only else asked.get("apikey", "")
        if not given:
            return failed("Parameter apikey is required")
        if given != self.switches.key:
            return failed("Invalid apikey")
        commands = {
            "get_server_info": self.server_info,
            "get_history": self.history,
            "get_metadata": self.metadata,
        }
        command = commands.get(asked.get("cmd", ""))
        if command is None:
            return failed(
                f"Unknown command: {asked.get('cmd')}. Possible commands are: {', '.join(commands)}"
            )
        return JSONResponse({"response": {"result": "success", "message": None, "data": command(asked)}})

    def server_info(self, asked: Mapping[str, str]) -> Json:
        return self.server

    def metadata(self, asked: Mapping[str, str]) -> Json:
        return self.items.get(asked["rating_key"], {})

    def history(self, asked: Mapping[str, str]) -> Json:
        found = [row for row in self.rows if self.day(row["started"]) >= asked.get("after", "")]
        column = asked.get("order_column", "date")
        found.sort(key=lambda row: row[column], reverse=asked.get("order_dir", "desc") == "desc")
        start, length = int(asked.get("start", 0)), int(asked.get("length", 25))
        return {
            "recordsFiltered": len(found),
            "recordsTotal": len(self.rows),
            "data": found[start : start + length],
        }

    def day(self, seconds: int) -> str:
        zone = timezone(timedelta(hours=self.switches.hours_east))
        return datetime.fromtimestamp(seconds, UTC).astimezone(zone).date().isoformat()


def failed(message: str) -> Response:
    return JSONResponse({"response": {"result": "error", "message": message, "data": {}}}, 400)


if __name__ == "__main__":
    main(TautulliServer())
