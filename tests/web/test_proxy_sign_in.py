"""Sign-in by the header of a reverse proxy: whose word counts, and for how long."""

from __future__ import annotations

import httpx
import pytest
from pydantic import ValidationError

from tests.web.conftest import PASSWORD, Household, Open, form_token
from webhook.accounts.proxy_sign_in import ProxySignIn, Settings

HERE = {"PROXY_SIGN_IN_HEADER": "Remote-User", "PROXY_SIGN_IN_NETWORKS": "127.0.0.1"}
AS_ANNA, AS_BEN = {"Remote-User": "anna"}, {"Remote-User": "ben"}


def reader(networks: str = "172.30.0.2, fd00::/8") -> ProxySignIn:
    return ProxySignIn(Settings(header="Remote-User", networks=networks))


# --- whose word counts


@pytest.mark.unit
@pytest.mark.parametrize(
    ("peer", "headers", "name"),
    [
        ("172.30.0.2", [(b"remote-user", b"anna")], "anna"),
        ("::ffff:172.30.0.2", [(b"remote-user", b"anna")], "anna"),
        ("fd00::7", [(b"remote-user", "J\u00f6rg".encode())], "J\u00f6rg"),
        ("172.30.0.3", [(b"remote-user", b"anna")], None),
        ("127.0.0.1", [(b"remote-user", b"anna")], None),
        ("", [(b"remote-user", b"anna")], None),
        ("172.30.0.2", [], None),
        ("172.30.0.2", [(b"remote-user", b" ")], None),
        ("172.30.0.2", [(b"remote-user", b"\xff")], None),
        ("172.30.0.2", [(b"remote_user", b"anna")], None),
        ("172.30.0.2", [(b"remote-user", b"ben"), (b"remote-user", b"anna")], None),
    ],
)
def test_only_the_proxies_that_are_named_say_who_it_is(
    peer: str, headers: list[tuple[bytes, bytes]], name: str | None
) -> None:
    assert reader().find_name(peer, headers) == name


@pytest.mark.unit
def test_none_is_nobody() -> None:
    assert reader("none").find_name("172.30.0.2", [(b"remote-user", b"anna")]) is None


@pytest.mark.unit
@pytest.mark.parametrize(
    "given",
    [
        {"header": "Remote User", "networks": "127.0.0.1"},
        {"header": "", "networks": "127.0.0.1"},
        {"header": "Remote-User", "networks": "the proxy"},
        {"header": "Remote-User"},
    ],
)
def test_settings_that_are_none_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(given)


# --- the pages


def open_page(browser: httpx.Client, path: str, headers: dict[str, str]) -> httpx.Response:
    return browser.get(path, headers=headers, follow_redirects=True)


def test_whom_the_proxy_names_is_signed_in_on_the_way(opened: Open) -> None:
    home = opened(**HERE)
    home.person("anna")
    browser = home.client()

    answer = open_page(browser, "/people/anna?x=1", AS_ANNA)

    assert (answer.status_code, answer.url.path) == (200, "/people/anna")
    assert open_page(browser, "/settings", AS_ANNA).status_code == 403
    token = form_token(answer.text)
    zone = {"form_token": token, "timezone": "Europe/Berlin"}
    assert browser.post("/people/anna/time-zone", data=zone, headers=AS_ANNA).status_code == 303


def test_the_session_is_over_with_the_proxys_word(opened: Open) -> None:
    home = opened(**HERE)
    home.person("anna")
    home.person("ben")
    browser = home.client()
    open_page(browser, "/", AS_ANNA)

    assert browser.get("/people/anna").status_code == 303
    assert browser.get("/api/v1/people", headers=AS_BEN).status_code == 401
    assert open_page(browser, "/people/ben", AS_BEN).status_code == 200
    assert browser.get("/people/anna", headers=AS_ANNA).status_code == 303


def test_who_has_signed_out_is_asked_before_they_are_in_again(opened: Open) -> None:
    home = opened(**HERE)
    home.person("anna")
    browser = home.client()
    token = form_token(open_page(browser, "/", AS_ANNA).text)

    browser.post("/sign-out", data={"form_token": token}, headers=AS_ANNA)

    page = browser.get("/sign-in", headers=AS_ANNA)
    assert "Continue as <bdi>anna</bdi>" in page.text
    assert browser.get("/history").status_code == 303


def test_whom_nobody_here_is_gets_nowhere(opened: Open) -> None:
    home = opened(**HERE)

    answer = open_page(home.client(), "/", {"Remote-User": "Anna"})

    assert answer.status_code == 403
    assert "Your proxy says that you are Anna, but nobody here has that name." in answer.text


@pytest.mark.parametrize("settings", [{}, {**HERE, "PROXY_SIGN_IN_NETWORKS": "192.0.2.0/24"}])
@pytest.mark.parametrize("forwarded", [{}, {"X-Forwarded-For": "192.0.2.7"}])
def test_the_header_of_anybody_else_counts_for_nothing(
    opened: Open, settings: dict[str, str], forwarded: dict[str, str]
) -> None:
    """Not even where a trusted proxy says that the visitor comes from a network whose header would count."""
    home = opened(**settings)

    answer = open_page(home.client(), "/settings", {"Remote-User": "me", **forwarded})

    assert answer.url.path == "/sign-in"
    assert "Your proxy" not in answer.text


def test_a_password_still_lets_in_beside_it(opened: Open) -> None:
    home: Household = opened(**HERE)
    home.password("me")
    browser = home.client(headers={"Remote-User": "somebody"})

    browser.post("/sign-in", data={"name": "me", "password": PASSWORD})

    assert browser.get("/settings").status_code == 200
