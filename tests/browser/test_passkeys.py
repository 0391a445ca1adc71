"""A real Chromium with an authenticator of its own: a passkey is added, signs in, and is refused where there is none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from tests.browser.conftest import PASSWORD, opened, sign_in
from tests.running import Process, started


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """The owner's service, whose address is `localhost`, while it answers at 127.0.0.1 as well."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    folder: Path = tmp_path_factory.mktemp("home")
    settings = {"PORT": str(port), "BASE_URL": f"http://localhost:{port}", "ADMIN_PASSWORD": PASSWORD}
    with started(Process(folder, **settings).prepare()) as process:
        process.url = settings["BASE_URL"]
        yield process


def authenticator(page: Page) -> tuple[CDPSession, str]:
    """Give the browser a device that keeps passkeys and verifies its user; the way to talk to it."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return devtools, str(made["authenticatorId"])


def test_a_passkey_is_added_and_signs_in(browser: Browser, home: Process) -> None:
    with opened(browser) as page:
        devtools, device = authenticator(page)
        sign_in(page, home)
        page.goto(f"{home.url}/people/me")
        card = page.get_by_role("region", name="Passkeys")

        card.get_by_label("Name, to tell it from others").fill("This laptop")
        card.get_by_label("Current password").fill("another")
        card.get_by_role("button", name="Add a passkey").click()
        expect(card.get_by_role("alert")).to_contain_text("The current password is wrong.")
        card.get_by_label("Current password").fill(PASSWORD)
        card.get_by_role("button", name="Add a passkey").click()
        expect(page.get_by_text("You can sign in with this passkey from now on.")).to_be_visible()
        expect(card.get_by_text("This laptop")).to_be_visible()

        card.get_by_label("Current password").fill(PASSWORD)
        card.get_by_role("button", name="Add a passkey").click()
        expect(card.get_by_role("alert")).to_have_text("This device has a passkey for you already.")

        page.get_by_role("button", name="Sign out", exact=True).click()
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_role("heading", name="Now")).to_be_visible()
        kept = devtools.send("WebAuthn.getCredentials", {"authenticatorId": device})["credentials"]
        assert [(one["rpId"], one["isResidentCredential"]) for one in kept] == [("localhost", True)]

        page.get_by_role("button", name="Sign out", exact=True).click()
        devtools.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_role("alert")).to_contain_text("Your browser did not use a passkey")

        page.goto(f"{home.url.replace('localhost', '127.0.0.1')}/sign-in")
        expect(page.get_by_text(f"Passkeys work at {home.url} only")).to_be_visible()
        expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()

    with opened(browser, scripts=False) as page:
        page.goto(f"{home.url}/sign-in")
        expect(page.get_by_text("Passkeys need JavaScript.")).to_be_visible()
        expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
