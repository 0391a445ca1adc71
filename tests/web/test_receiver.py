"""The page, the API and the command for a receiver of outgoing webhooks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tests.fakes._server import Server
from tests.fakes.webhook_out import WebhookOut
from tests.test_cli import Home
from tests.test_cli import home as home_of_commands
from tests.web.conftest import Household, form_token
from webhook.storage.tables import account

PAGE = "/connections/webhook_out"
TEMPLATE = '{"what": "{{title}}", "when": "{{date}}"}'
SECRET = "a-very-secret-key"
SIGNING_SECRET = "whsec_" + "c2VjcmV0" * 4
MINE = select(account.c.id, account.c.tokens).where(account.c.tracker == "webhook_out")
commands = home_of_commands


@pytest.fixture
def receiver() -> Iterator[Server]:
    with Server(WebhookOut()) as server:
        server.fake.home = server.url
        yield server


@pytest.fixture
def address(receiver: Server) -> str:
    return str(receiver.fake.sign_in("anna", "yamtrack")["url"])


def save(browser: httpx.Client, **fields: str) -> httpx.Response:
    token = form_token(browser.get(PAGE).text)
    return browser.post(f"{PAGE}/sign-in", data={"form_token": token, "person": "me", **fields})


def read(browser: httpx.Client) -> str:
    return unescape(browser.get(PAGE).text)


def stored(home: Household) -> dict[str, Any]:
    return dict(home.service.seal.open(home.do(lambda connection: connection.execute(MINE).one()).tokens))


def test_an_address_is_saved_and_a_test_is_sent(home: Household, receiver: Server, address: str) -> None:
    browser = home.browser()

    fields = {"headers": f"X-Key: {SECRET}", "signing_secret": SIGNING_SECRET}
    answer = save(browser, address=address, receiver_user="anna", **fields)

    assert answer.headers["location"] == f"{PAGE}?said=connected"
    (call,) = receiver.fake.made("POST /webhook/jellyfin")
    assert (call.status, call.headers["x-key"]) == (200, SECRET)
    assert call.headers["webhook-signature"].startswith("v1,")
    assert call.body["Item"]["Name"] == "Watchmark test"
    page = read(browser)
    assert "Working as anna at 127.0.0.1" in page
    assert "Send a test" in page
    assert address.rpartition("/")[2] not in page
    assert SECRET not in page
    assert SIGNING_SECRET not in page


def test_send_a_test_sends_it_again(home: Household, receiver: Server, address: str) -> None:
    browser = home.browser()
    save(browser, address=address)
    made = home.do(lambda connection: connection.execute(MINE).one()).id

    token = form_token(browser.get(PAGE).text)
    browser.post(f"{PAGE}/test", data={"form_token": token, "account": str(made)})

    assert len(receiver.fake.made("POST /webhook/jellyfin")) == 2


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "does not accept its token"),
        (404, "not the receiver's"),
        (301, "not the receiver's"),
        (500, "500"),
    ],
)
def test_a_test_that_fails_says_why(
    home: Household, receiver: Server, address: str, status: int, says: str
) -> None:
    receiver.fake.faults.add("POST /", status=status, headers={"Location": "/login"})
    browser = home.browser()

    save(browser, address=address)

    assert says in read(browser)
    assert len(receiver.fake.calls) == 1  # no redirect is followed


def test_a_template_that_is_no_json_is_refused_with_its_line_and_what_was_typed_stays(
    home: Household, receiver: Server, address: str
) -> None:
    browser = home.browser()

    answer = save(browser, address=address, shape="template", template='{"a": 1,\n"b" 2}')

    assert answer.status_code == 422
    page = unescape(answer.text)
    assert "Line 2 of the template is not valid JSON" in page
    assert "Nothing was changed." in page
    assert '"b" 2}</textarea>' in page
    assert receiver.fake.calls == []


def test_a_preview_shows_a_sample_play_and_saves_nothing(home: Household, receiver: Server) -> None:
    browser = home.browser()

    answer = save(browser, preview="on", shape="template", template='{"what": "{{title}}"}')
    wrong = save(browser, preview="on", shape="template", template='{"what": {{titel}}}')

    assert "This is a preview. Nothing is saved or sent yet." in answer.text
    assert json.dumps({"what": 'The "Northern" Light'}, indent=2) in unescape(answer.text)
    assert "there is no value called titel" in wrong.text
    assert "No receiver yet." in read(browser)
    assert receiver.fake.calls == []


def test_what_is_secret_stays_where_its_field_is_left_empty(home: Household, address: str) -> None:
    browser = home.browser()
    save(browser, address=address, headers=f"X-Key: {SECRET}")

    save(browser, address="", headers="", shape="template", template=TEMPLATE)

    now = stored(home)
    assert (now["url"], now["headers"], now["shape"]) == (address, {"X-Key": SECRET}, "template")
    page = read(browser)
    assert TEMPLATE in page
    assert "stored: 127.0.0.1" in page


def test_only_the_owner_enters_an_address(home: Household, receiver: Server, address: str) -> None:
    api = home.api(home.person("bob"))
    browser = home.browser("bob")

    token = form_token(browser.get(PAGE).text)
    fields = {"form_token": token, "address": address}
    posted = [
        browser.post(f"{PAGE}/sign-in", data={**fields, **more}).status_code
        for more in ({}, {"preview": "on"})
    ]
    connected = api.post("/api/v1/accounts/connect", json={"tracker": "webhook_out", "address": address})

    assert posted == [403, 403]
    assert connected.status_code == 403
    assert "The owner enters the address of the receiver on this page." in read(browser)
    assert receiver.fake.calls == []


def test_the_owner_enters_it_for_a_member(home: Household, receiver: Server, address: str) -> None:
    home.person("bob")

    answer = home.api().post(
        "/api/v1/accounts/connect",
        json={
            "tracker": "webhook_out",
            "person": "bob",
            "address": address,
            "shape": "nested",
            "late": "never",
        },
    )

    assert answer.json()["works"]
    assert "bob" in read(home.browser("bob"))


def test_a_wrong_shape_is_refused_by_the_api(home: Household, address: str) -> None:
    body = {"tracker": "webhook_out", "person": "me", "address": address, "shape": "round"}

    assert home.api().post("/api/v1/accounts/connect", json=body).status_code == 422


def test_the_command_reads_a_file(commands: Home, address: str, tmp_path: Path) -> None:
    file = tmp_path / "receiver.json"
    fields = {
        "address": address,
        "shape": "template",
        "headers": {"X-Key": SECRET},
        "template": {"a": "{{title}}"},
    }
    file.write_text(json.dumps(fields))

    answer = commands.run("connect", "webhook_out", "--receiver", str(file))

    assert "me is signed in to Outgoing webhook as 127.0.0.1" in answer.stdout
    assert SECRET not in answer.stdout


def test_the_command_asks_for_shape_and_address(commands: Home, receiver: Server, address: str) -> None:
    answer = commands.run("connect", "webhook_out", stdin=f"nested\n{address}\n")

    assert "is signed in to Outgoing webhook" in answer.stdout
    assert len(receiver.fake.made("POST /webhook/jellyfin")) == 1


@pytest.mark.parametrize("text", ["[]", "{", '"x"'])
def test_the_command_refuses_a_file_that_is_no_receiver(commands: Home, tmp_path: Path, text: str) -> None:
    file = tmp_path / "receiver.json"
    file.write_text(text)

    answer = commands.run("connect", "webhook_out", "--receiver", str(file))

    assert answer.exit_code == 1
    assert "is not a JSON object" in answer.stderr
