"""The API's documentation: every operation of the document, with links that lead somewhere."""

from __future__ import annotations

import re
import shlex
from html import unescape

import pytest

from tests.web.conftest import Household, Open
from webhook.web.docs import pages as docs


@pytest.fixture
def page(home: Household) -> str:
    answer = home.browser().get("/api/docs")
    assert answer.status_code == 200
    return answer.text


def test_every_operation_and_shape_is_there_once(home: Household, page: str) -> None:
    document = home.client().get("/api/v1/openapi.json").json()

    told = re.findall(r"<summary><b>(\w+)</b> <code>([^<]+)</code>", page)

    written = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert set(told) == written
    assert len(told) == len(written)
    for name in document["components"]["schemas"]:
        assert page.count(f'id="shape-{name}"') == 1


def test_every_operation_is_in_a_group_with_a_title(home: Household) -> None:
    document = home.client().get("/api/v1/openapi.json").json()

    first_words = {docs.SEPARATOR.split(path)[1] for path in document["paths"]}

    assert sorted(word for words in docs.GROUPS.values() for word in words) == sorted(first_words)


def test_every_link_within_leads_somewhere(page: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', page)

    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_an_operation_is_told_whole(page: str) -> None:
    one = unescape(page.partition('id="get-deliveries"')[2].partition("</details>")[0])

    assert "<code>state</code>" in one
    assert "one of waiting, done, superseded" in one
    assert "1 to 500. 50 by default." in one
    assert 'Response 200: <a href="#shape-Delivery">page of Delivery</a>' in one


def test_a_schema_that_extends_another_names_it_and_what_it_adds(page: str) -> None:
    one = page.partition('id="shape-PlayDetail"')[2].partition("</details>")[0]

    assert 'All fields of <a href="#shape-Play">Play</a>, and:' in one
    assert re.findall(r"<th><code>(\w+)</code>", one) == [
        "removed_at",
        "job",
        "deliveries",
        "edits",
    ]


def test_a_parameter_in_the_path_is_described_by_its_type(page: str) -> None:
    one = page.partition('id="get-people-name"')[2].partition("</details>")[0]

    assert "In the path: <code>name</code>, text. At most 64 characters." in one


def test_an_operation_names_the_scope_that_it_needs(page: str) -> None:
    def part(anchor: str) -> str:
        return unescape(page.partition(f'id="{anchor}"')[2].partition("</details>")[0])

    assert "Scope: <code>history:write</code>" in part("delete-plays-id")
    assert "No token needed" in part("get-openapi-json")
    assert "Scope: <code>calendar</code>" in (feed := part("get-calendar-ics"))
    assert "Authorization" not in feed
    assert "Subscribe to the calendar feed, and nothing else." in page


def test_a_body_is_told_with_what_it_needs(page: str) -> None:
    one = unescape(page.partition('id="post-tokens"')[2].partition("</details>")[0])

    assert re.search(r"<code>kind</code><td>one of webhook, api, app<td>Required\. For media servers", one)
    assert re.search(r"<code>name</code><td>text or null<td>To tell", one)


def test_the_examples_can_be_pasted(home: Household, page: str) -> None:
    examples = [unescape(one) for one in re.findall(r"<pre[^>]*>(curl [^<]*)</pre>", page)]

    assert len(examples) == page.count('class="operation"')
    for example in examples:
        words = shlex.split(example)
        assert words[-1].startswith(f"{home.url}/api/v1/")
    assert any("-X DELETE" in one and "/plays/ID" in one for one in examples)
    assert [one for one in examples if one.endswith("/openapi.json'")] == [
        f"curl '{home.url}/api/v1/openapi.json'"
    ]


def test_an_example_with_a_body_is_taken(home: Household) -> None:
    """As far as its shape goes: what it names need not be there."""
    document = home.client().get("/api/v1/openapi.json").json()
    schemas = document["components"]["schemas"]
    schema = document["paths"]["/tokens"]["post"]["requestBody"]["content"]["application/json"]["schema"]

    answer = home.api().post("/api/v1/tokens", json=docs.sample(schema, schemas))

    assert answer.status_code == 200


def test_it_loads_nothing_from_elsewhere_and_is_not_too_large(page: str) -> None:
    assert len(page.encode()) < 150_000
    assert not re.findall(r'(?:src|href)="https?:', page)
    assert " style=" not in page


def test_a_member_reads_it_too_and_nobody_else(home: Household) -> None:
    home.person("bob")

    assert "on <a" in home.browser("bob").get("/api/docs").text
    assert home.client().get("/api/docs").headers["location"] == "/sign-in?next=%2Fapi%2Fdocs"


def test_it_keeps_to_the_sub_path(opened: Open) -> None:
    home = opened(ROOT_PATH="/watchmark")
    home.password("me")
    browser = home.client()
    browser.post("/watchmark/sign-in", data={"name": "me", "password": "correct horse"})

    page = browser.get("/watchmark/api/docs").text

    assert f"{home.url}/watchmark/api/v1" in page
    assert 'src="/watchmark/static/forms.js' in page
