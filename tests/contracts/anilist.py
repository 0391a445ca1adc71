"""AniList, from https://docs.anilist.co. All calls go to one address; a fake logs each under the name of its operation."""

from __future__ import annotations

from tests.contracts._schema import (
    NUMBER,
    WHOLE,
    Contract,
    Operation,
    Schema,
    any_of,
    exactly,
    matching,
    thing,
)

SIGNED = {
    "user-agent": ".+",
    "accept": "application/json",
    "content-type": "application/json",
    "authorization": "Bearer .+",
}
PART: Schema = any_of(NUMBER, {"type": "null"})
DATE: Schema = any_of(thing(**{"year!": PART, "month!": PART, "day!": PART}), {"type": "null"})
"""Null clears it; a date that is to stay is left out."""


def operation(name: str, query: str, variables: Schema) -> Operation:
    body = thing(**{"query!": matching(query), "variables!": variables})
    return Operation(method="POST", path=f"/{{name:(?:{name})?}}", headers=SIGNED, body=body)


CONTRACT = Contract(
    [
        operation("Viewer", r"query\{Viewer\{.*", thing()),
        operation("Media", r"query\(\$id:Int\)\{Media\(id:\$id,type:ANIME\).*", thing(**{"id!": NUMBER})),
        operation(
            "SaveMediaListEntry",
            r"mutation.*\{SaveMediaListEntry\(.*",
            thing(
                **{
                    "mediaId!": NUMBER,
                    "status!": exactly("CURRENT", "PLANNING", "COMPLETED", "DROPPED", "PAUSED", "REPEATING"),
                    "progress!": WHOLE,
                    "repeat!": WHOLE,
                    "startedAt": DATE,
                    "completedAt": DATE,
                }
            ),
        ),
        operation(
            "DeleteMediaListEntry",
            r"mutation\(\$id:Int\)\{DeleteMediaListEntry\(id:\$id\).*",
            thing(**{"id!": NUMBER}),
        ),
    ]
)
