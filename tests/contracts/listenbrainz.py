"""ListenBrainz: https://listenbrainz.readthedocs.io."""

from __future__ import annotations

from tests.contracts._schema import (
    DIGITS,
    NUMBER,
    TEXT,
    UUID,
    WHOLE,
    Contract,
    Operation,
    Schema,
    exactly,
    many,
    one_of,
    thing,
)

READS = {"authorization": "Token .+", "user-agent": ".+"}
WRITES = {**READS, "content-type": "application/json"}
FIRST = 1_033_430_400  # 2002-10-01
TRACK: Schema = thing(
    **{
        "artist_name!": TEXT,
        "track_name!": TEXT,
        "release_name": TEXT,
        "additional_info": {
            "type": "object",
            "properties": {
                "duration_ms": {**NUMBER, "maximum": 24 * 86_400_000},
                "tracknumber": WHOLE,
                "recording_mbid": UUID,
                "release_mbid": UUID,
                "release_group_mbid": UUID,
                "track_mbid": UUID,
                "artist_mbids": many(UUID),
                "tags": many({"type": "string", "maxLength": 64}, most=50),
            },
            "not": {"required": ["duration", "duration_ms"]},
        },
    }
)
LISTEN = thing(**{"listened_at!": {"type": "integer", "minimum": FIRST}, "track_metadata!": TRACK})


def submitted(kind: str, listens: Schema) -> Schema:
    return thing(**{"listen_type!": exactly(kind), "payload!": listens})


CONTRACT = Contract(
    [
        Operation(method="GET", path="/1/validate-token", headers=READS),
        Operation(
            method="POST",
            path="/1/submit-listens",
            headers=WRITES,
            body=one_of(
                submitted("single", many(LISTEN, most=1)),
                submitted("playing_now", many(thing(**{"track_metadata!": TRACK}), most=1)),
                submitted("import", many(LISTEN, most=1000)),
            ),
        ),
        Operation(
            method="POST",
            path="/1/feedback/recording-feedback",
            headers=WRITES,
            body=thing(**{"recording_mbid!": UUID, "score!": exactly(-1, 0, 1)}),
        ),
        Operation(
            method="POST",
            path="/1/delete-listen",
            headers=WRITES,
            body=thing(**{"listened_at!": WHOLE, "recording_msid!": UUID}),
        ),
        Operation(
            method="GET",
            path="/1/user/{name}/listens",
            headers=READS,
            query={"count": DIGITS, "max_ts": DIGITS, "min_ts": DIGITS},
        ),
        Operation(
            method="GET",
            path="/1/metadata/lookup",
            headers=READS,
            query={"artist_name!": TEXT, "recording_name!": TEXT},
        ),
    ]
)
