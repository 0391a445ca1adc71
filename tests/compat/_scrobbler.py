"""A household whose people use the VideoScrobbler API: apps, sessions, and signed calls over real HTTP."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import httpx

from tests.web.conftest import Household, form_token, serving
from webhook import clock
from webhook.compat.videoscrobbler import apps

Params = dict[str, Any]


@dataclass
class App:
    """An app as its author knows it, and a session of it: `app("video.love", id=1, love="true")`."""

    client: httpx.Client
    key: str
    secret: str
    id: int = 0
    sk: str | None = None
    defaults: Params = field(default_factory=dict)

    def signed(self, method: str, **given: Any) -> dict[str, str]:
        """The parameters with their signature; one that is None is left out."""
        asked = {"method": method, "api_key": self.key, "sk": self.sk, "format": "json", **given}
        params = {name: str(value) for name, value in asked.items() if value is not None}
        params.setdefault("api_sig", sign(params, self.secret))
        return params

    def send(self, method: str, verb: str = "GET", **given: Any) -> httpx.Response:
        params = self.signed(method, **given)
        if verb == "POST":
            return self.client.post("/api/1.0/", data=params)
        return self.client.request(verb, "/api/1.0/", params=params)

    def __call__(self, method: str, **given: Any) -> Any:
        answer = self.send(method, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def xml(self, method: str, **given: Any) -> Element:
        """The answer as XML, which says that it is well."""
        answer = self.send(method, format=None, **given)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/xml; charset=utf-8"
        root = fromstring(answer.text)  # noqa: S314 - our own answer
        assert (root.tag, root.get("status")) == ("lfm", "ok")
        return root

    def error(self, method: str, **given: Any) -> tuple[int, int]:
        """The number of the error and its status, the same in both formats."""
        answer, other = self.send(method, **given), self.send(method, **{**given, "format": None})
        code = answer.json()["error"]
        root = fromstring(other.text)  # noqa: S314
        error = root.find("error")
        assert root.get("status") == "failed"
        assert error is not None
        assert (error.get("code"), other.status_code) == (str(code), answer.status_code)
        assert error.text == answer.json()["message"]
        return code, answer.status_code


def sign(params: Params, secret: str) -> str:
    """Last.fm's signature, written once more from its description."""
    text = ""
    for name in sorted(params):
        if name not in ("format", "callback", "api_sig"):
            text += name + params[name]
    return hashlib.md5((text + secret).encode(), usedforsecurity=False).hexdigest()


@dataclass
class Cinema:
    """A running household and its apps."""

    home: Household

    def app(self, name: str = "Player", person: str | None = None) -> App:
        def added(connection: Any) -> apps.NewApp:
            from webhook.people import people

            person_id = None if person is None else people.find_person(connection, person).id
            return apps.create_app(connection, self.home.service.seal, name, person_id, clock.now())

        made = self.home.do(added)
        return App(self.home.client(), made.key, made.secret, made.id)

    def let_in(self, app: App, name: str = "me", browser: httpx.Client | None = None) -> App:
        """The app with a session of this person, let in on the page as a person does it."""
        token = app("auth.getToken", sk=None)["token"]
        allow(browser or self.home.browser(name), app, token)
        told = app("auth.getSession", sk=None, token=token)
        assert told["user"] == name
        return App(self.home.client(), app.key, app.secret, app.id, told["sk"])

    def session(self, name: str = "me", app: App | None = None) -> App:
        return self.let_in(app or self.app(), name)

    def anonymous(self, app: App | None = None) -> App:
        asking = app or self.app()
        told = asking("auth.getSession", sk=None)
        return App(self.home.client(), asking.key, asking.secret, asking.id, told["sk"])

    def befriend(self, *names: str) -> None:
        """Each of them has chosen to be seen by friends."""
        for name in names:
            self.private(name, "friends")

    def private(self, name: str, seen_by: str = "nobody") -> None:
        def change(connection: Any) -> None:
            from webhook.people import people

            apps.set_seen_by(connection, people.find_person(connection, name).id, seen_by)

        self.home.do(change)


def allow(browser: httpx.Client, app: App, token: str) -> None:
    page = browser.get("/api/auth", params={"api_key": app.key, "token": token})
    assert page.status_code == 200, page.text
    fields = {"api_key": app.key, "token": token, "form_token": form_token(page.text)}
    answer = browser.post("/api/auth", data=fields)
    assert answer.status_code == 303, answer.text


@contextmanager
def cinema(folder: Path, **settings: str) -> Iterator[Cinema]:
    with serving(folder, **{"WORKER": "true", **settings}) as home:
        yield Cinema(home)
