"""Security, where it is of the whole: secrets in what is written, where calls go.

SECURITY.md lists every threat with the test that holds its answer.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, insert, select, update

from tests.evening import film
from tests.fakes._server import Server
from tests.fakes.trakt import Trakt
from tests.prepared import open_service
from tests.running import ROOT, Installed, Process, eventually, started
from webhook import clock
from webhook.domain.event import Movie, item_to_json
from webhook.domain.outcome import Park
from webhook.people import tokens
from webhook.queues import parking
from webhook.service import Service
from webhook.storage.tables import account, delivery, play

APP = {"TRAKT_CLIENT_ID": "fake-client-id", "TRAKT_CLIENT_SECRET": "fake-client-secret"}


# --- secrets in what is written

CANARIES = {
    "access token": "canary-access-f00d",
    "refresh token": "canary-refresh-f00d",
    "client secret": "canary-client-secret-f00d",
    "password": "canary-password-f00d",
    "wrong token": "canary-wrong-webhook-token-f00d",
    "wrong api token": "canary-wrong-api-token-f00d",
    "notify address": "canary-notify-f00d",
    "admin password": "canary-admin-f00d",
}


def sign_in_tokens(fake: Trakt) -> dict[str, Any]:
    """A sign-in with tokens that are easily found again."""
    made = dict(fake.sign_in("anna"))
    session = fake.sessions[-1]
    session.access, session.refresh = CANARIES["access token"], CANARIES["refresh token"]
    return {**made, "access_token": session.access, "refresh_token": session.refresh}


def spoil(connection: Connection, service: Service) -> None:
    """A delivery and a play that are faults of ours when they are worked on, and an account to be announced."""
    mine = connection.execute(select(account.c.id).where(account.c.tracker == "trakt")).scalar_one()
    home = connection.execute(select(account.c.id).where(account.c.tracker == "tvtime")).scalar_one()
    item = item_to_json(Movie(title="Paper Boats"))
    now = service.started_at
    parking.park(connection, home, Park.SIGNED_OUT, "gone", now)
    values = {"account_id": mine, "key": "spoiled", "action": "watched", "mark": True, "happened_at": now}
    values |= {"item": item, "details": {"rating": "no number"}, "state": "waiting", "due_at": now}
    connection.execute(insert(delivery), {**values, "created_at": now})
    connection.execute(update(account).where(account.c.id == mine).values(due_at=now))
    person_id = connection.execute(select(account.c.person_id).where(account.c.id == mine)).scalar_one()
    row = {"person_id": person_id, "kind": "movie", "item": {"kind": "nonsense"}, "state": "stopped"}
    connection.execute(insert(play), {**row, "source": "plex", "started_at": now, "last_at": now})


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_secret_is_in_anything_the_service_writes(tmp_path: Path, style: str) -> None:
    with Server(Trakt()) as trakt:
        process = Installed(
            tmp_path, TRAKT_CLIENT_ID="fake-client-id", TRAKT_CLIENT_SECRET=CANARIES["client secret"],
            TRAKT_API_URL=trakt.url, TRAKT_AUTH_URL=trakt.url, TRAKT_WRITES_PER_SECOND="0",
            LOG_LEVEL="debug", LOG_FORMAT=style, NOTIFY_URLS=f"json://127.0.0.1:1/{CANARIES['notify address']}",
        ).prepare()  # fmt: skip
        process.connect("trakt", sign_in_tokens(trakt.fake))
        process.prepared(spoil)
        with started(process):
            welcome = process.ready["welcome"].rsplit("/", 1)[1]
            token = httpx.URL(process.ready["webhooks"]["plex"]).params["token"]
            everything_that_can_happen(process, trakt.fake, token)
            eventually(
                lambda: "failed with an unexpected error and will be retried" in process.log(),
                "a delivery has crashed",
            )
            eventually(lambda: "A notice could not be sent" in process.log(), "a notice has failed")
            shown = json.dumps([process.api(path) for path in ("/webhooks", "/deliveries", "/accounts")])
            traces = [process.api(f"/deliveries/{one['id']}") for one in process.api("/deliveries")["items"]]
            process.stop()

    secrets = {**CANARIES, "welcome": welcome, "webhook token": token, "api token": "api-secret"}
    written = process.log()
    assert "Traceback" in written
    assert {name for name, secret in secrets.items() if secret in written} == set()
    assert {name for name, secret in secrets.items() if secret in shown + json.dumps(traces)} == set()


def everything_that_can_happen(process: Process, fake: Trakt, token: str) -> None:
    """A webhook, a refused one, the API, the pages, sign-ins, a 401 with a renewal, and our own faults."""
    http, url = process.http, process.url
    fake.faults.add("POST /scrobble", status=401)
    process.post("plex", film("media.scrobble"))
    process.post("emby", None, content=b"{broken", headers={"Content-Type": "application/json"})
    for address in ("/webhooks/plex?token={}", "/webhooks/plex/{}", "/webhooks/emby/{}"):
        http.post(url + address.format(CANARIES["wrong token"]), json={})
        http.get(url + address.format(token))
    bearer = {"Authorization": f"Bearer {CANARIES['wrong api token']}"}
    assert http.get(f"{url}/api/v1/plays", headers=bearer).status_code == 401
    assert http.get(f"{url}/api/v1/plays", headers=process.bearer).status_code == 500
    http.get(f"{url}/api/v1/webhooks?token={token}", headers=process.bearer)
    http.get(f"{url}/metrics", headers=process.bearer)
    http.get(process.ready["welcome"])
    http.post(process.ready["welcome"], data={"password": CANARIES["password"], "again": "another"})
    http.post(f"{url}/sign-in", data={"name": "me", "password": CANARIES["password"]})
    http.post(
        process.ready["welcome"], data={"password": CANARIES["password"], "again": CANARIES["password"]}
    )
    eventually(lambda: bool(fake.made("POST /oauth/token")), "the sign-in is renewed")


LOGGING = """
import logging, sys
import structlog
from webhook import logs
logs.configure(sys.argv[1], "debug")
for secret in ("/webhooks/plex?token=canary-f00d", "/webhooks/emby/canary-f00d", "/welcome/canary-f00d",
               "Authorization: Bearer canary-f00d", "refresh_token=canary-f00d&x=1"):
    logging.getLogger("of a library").warning("POST %s failed", secret)
    structlog.get_logger().info("Ours", address=secret)
    try:
        raise ValueError(secret)
    except ValueError:
        structlog.get_logger().exception("A fault")
"""


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_secret_in_an_address_or_a_header_is_cut_out_of_every_line(style: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOGGING, style], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert len(ended.stderr.splitlines()) >= 15
    assert "Traceback" in ended.stderr
    assert "canary-f00d" not in ended.stderr + ended.stdout


def test_the_stored_sign_ins_cannot_be_read_without_the_key(tmp_path: Path) -> None:
    with Server(Trakt()) as trakt:
        process = Process(tmp_path, **APP, TRAKT_API_URL=trakt.url, TRAKT_AUTH_URL=trakt.url).prepare()
        process.connect("trakt", sign_in_tokens(trakt.fake))
        process.http.close()

    held = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name != "secret.key")
    assert [name for name, secret in CANARIES.items() if secret.encode() in held] == []
    modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.glob("*") if path.suffix != ".txt"}
    assert (modes["watchmark.db"], modes["secret.key"]) == (0, 0)


# --- one play, followed through the log


def test_one_play_can_be_followed_through_the_log(tmp_path: Path) -> None:
    with Server(Trakt()) as trakt:
        process = Process(
            tmp_path, **APP, TRAKT_API_URL=trakt.url, TRAKT_AUTH_URL=trakt.url, TRAKT_WRITES_PER_SECOND="0",
            LOG_LEVEL="info", LOG_FORMAT="json",
        ).prepare()  # fmt: skip
        process.connect("trakt", trakt.fake.sign_in("anna"))
        with started(process):
            number = process.post("plex", film("media.scrobble")).json()["webhook"]
            process.post("plex", film("media.scrobble", title="Another"))
            eventually(lambda: len(followed(process, number)) == 2, "both trackers were told")
            (event,) = process.api(f"/webhooks/{number}")["events"]
            process.stop()

    lines = [json.loads(line) for line in process.log().splitlines()]
    assert all(isinstance(line, dict) and {"event", "level", "timestamp"} <= set(line) for line in lines)
    told = {(line["tracker"], line["delivery"], line["state"]) for line in followed(process, number)}
    assert told == {(one["tracker"], one["id"], "done") for one in event["deliveries"]}


def followed(process: Process, number: int) -> list[Mapping[str, Any]]:
    lines = [json.loads(line) for line in process.log().splitlines() if line.endswith("}")]
    return [line for line in lines if line.get("webhook") == number and line.get("state") == "done"]


# --- where calls go


def test_a_redirect_to_another_server_is_not_followed(tmp_path: Path) -> None:
    with Server(Trakt()) as elsewhere, Server(Trakt()) as trakt:
        moved = {"Location": f"{elsewhere.url}/scrobble/stop"}
        trakt.fake.faults.add("POST /scrobble", status=302, headers=moved, body="", times=-1)
        process = Process(
            tmp_path, **APP, TRAKT_API_URL=trakt.url, TRAKT_AUTH_URL=trakt.url, TRAKT_WRITES_PER_SECOND="0"
        ).prepare()
        process.connect("trakt", trakt.fake.sign_in("anna"))
        with started(process):
            number = process.post("plex", film("media.scrobble")).json()["webhook"]
            eventually(lambda: bool(trakt.fake.made("POST /scrobble")), "it was called")
            eventually(lambda: tried(process, number), "and the answer was taken down")

        assert elsewhere.fake.calls == []


def tried(process: Process, number: int) -> bool:
    (event,) = process.api(f"/webhooks/{number}")["events"]
    return any(one["tracker"] == "trakt" and one["tries"] for one in event["deliveries"])


def test_an_address_in_a_payload_is_never_called(tmp_path: Path) -> None:
    with Server(Trakt()) as elsewhere:
        process = Process(tmp_path).prepare()
        with started(process):
            here = {"thumb": f"{elsewhere.url}/thumb", "art": f"{elsewhere.url}/art", "key": elsewhere.url}
            number = process.post("plex", film("media.scrobble", **here)).json()["webhook"]
            eventually(lambda: process.api(f"/webhooks/{number}")["state"] == "interpreted", "it is read")
            eventually(lambda: bool(process.api("/deliveries", state="done")["items"]), "and told")

        assert elsewhere.fake.calls == []


# --- the list


def test_every_test_that_the_list_names_is_there() -> None:
    listed = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "SECURITY.md").read_text())

    assert len(listed) > 30
    missing = [(path, name) for path, name in listed if f"def {name}(" not in (ROOT / path).read_text()]
    assert missing == []


def test_every_threat_of_the_list_has_a_test() -> None:
    rows = re.findall(r"^\| .* \|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    threats = [row for row in rows if not row.startswith("| Threat |")]

    assert len(threats) > 30
    assert [row for row in threats if not re.search(r"`tests/[\w/]+\.py::\w+` \|$", row)] == []


def test_the_digest_of_a_token_is_what_is_compared(tmp_path: Path) -> None:
    process = Process(tmp_path).prepare()
    process.http.close()
    service = open_service(process.settings)
    rows = service.database.ask(lambda connection: tokens.valid_tokens(connection, "api", clock.now()))
    service.database.close()

    assert [row.digest for row in rows] == [tokens.digest("api-secret")]
    assert "api-secret" not in repr(rows)
