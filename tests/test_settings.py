"""The settings: what the environment may say, and what is refused with the variable's name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from webhook import servers, settings, trackers
from webhook.accounts import settings_store
from webhook.settings import Settings, SettingsError
from webhook.trackers import modules

EXAMPLE = Path(__file__).parents[1] / ".env.example"
TRAKT = modules()["trakt"].Settings


class Service(BaseModel):
    """A tracker's settings as they might be: two that belong together and one that has a default."""

    client_id: str
    client_secret: str
    per_second: float = 1.0


# --- the example


def test_the_example_lists_every_setting_as_it_is() -> None:
    assert EXAMPLE.read_text(encoding="utf-8") == settings.example(settings_store.setting_groups())


def test_the_example_taken_as_it_is_changes_nothing() -> None:
    environ = settings.environment({}, str(EXAMPLE))

    assert environ == {}
    assert settings.load(environ) == Settings()


def test_the_example_with_every_line_switched_on_is_valid(tmp_path: Path) -> None:
    switched_on = tmp_path / ".env"
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    switched_on.write_text("\n".join(line.removeprefix("#") for line in lines if line[:2] != "# "))

    required = {
        settings.variable(prefix, name): "http://x"
        if name in ("url", "issuer")
        else "127.0.0.1"
        if name == "networks"
        else "x"
        for _, prefix, cls in settings_store.setting_groups()
        for name, field in cls.model_fields.items()
        if field.is_required()
    }
    environ = settings.environment({}, str(switched_on)) | required

    assert settings.load(environ) == Settings()
    for _, prefix, cls in settings_store.setting_groups():
        assert settings.read_settings(cls, prefix, environ) is not None


@pytest.mark.parametrize(
    ("prefix", "cls"),
    [group[1:] for group in settings_store.setting_groups()],
    ids=[group[0] for group in settings_store.setting_groups()],
)
def test_every_setting_says_what_it_is_for(prefix: str, cls: type[BaseModel]) -> None:
    silent = [
        settings.variable(prefix, name) for name, field in cls.model_fields.items() if not field.description
    ]

    assert silent == []


# --- where values come from


def load(environ: dict[str, str], env_file: Path | str = "") -> Settings:
    return settings.load(settings.environment(environ, str(env_file)))


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("PORT=1111\nHOST=192.0.2.1\n")

    loaded = load({"PORT": "2222"}, env_file)

    assert (loaded.port, loaded.host) == (2222, "192.0.2.1")


def test_a_value_may_come_from_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from the file\n")

    loaded = load({"ADMIN_PASSWORD_FILE": str(tmp_path / "password")})

    assert loaded.admin_password.get_secret_value() == "from the file"


def test_a_trackers_value_may_come_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from the file\n")
    environ = {"TRAKT_CLIENT_ID": "a", "TRAKT_CLIENT_SECRET_FILE": str(tmp_path / "secret")}

    given = settings.read_settings(TRAKT, "trakt_", settings.environment(environ, ""))

    assert given is not None
    assert given.client_secret.get_secret_value() == "from the file"


def test_a_value_given_outright_wins_over_its_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from the file")

    loaded = load({"ADMIN_PASSWORD": "given", "ADMIN_PASSWORD_FILE": str(tmp_path / "password")})

    assert loaded.admin_password.get_secret_value() == "given"


def test_a_file_that_is_not_there_is_refused_by_its_variable() -> None:
    with pytest.raises(SettingsError, match=r"ADMIN_PASSWORD_FILE=/nowhere/password cannot be read"):
        load({"ADMIN_PASSWORD_FILE": "/nowhere/password"})


def test_a_file_that_holds_no_text_is_refused_by_its_variable(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"\xff\xfe")

    with pytest.raises(SettingsError, match=r"ADMIN_PASSWORD_FILE=.* holds no text"):
        load({"ADMIN_PASSWORD_FILE": str(tmp_path / "password")})


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
def test_a_file_of_another_programs_does_not_stop_the_start(name: str) -> None:
    assert load({name: "/nowhere/at/all"}) == Settings()


# --- a service: off, on, or refused


def test_none_set_is_off() -> None:
    assert settings.read_settings(Service, "some_", {}) is None


def test_empty_is_as_good_as_none() -> None:
    assert settings.read_settings(Service, "some_", {"SOME_CLIENT_ID": "", "SOME_CLIENT_SECRET": " "}) is None


def test_all_set_is_on() -> None:
    environ = {"SOME_CLIENT_ID": "a", "SOME_CLIENT_SECRET": "b", "SOME_PER_SECOND": "0"}

    assert settings.read_settings(Service, "some_", environ) == Service(
        client_id="a", client_secret="b", per_second=0
    )


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("SOME_CLIENT_ID", ["SOME_CLIENT_SECRET"]),
        ("SOME_CLIENT_SECRET", ["SOME_CLIENT_ID"]),
        ("SOME_PER_SECOND", ["SOME_CLIENT_ID", "SOME_CLIENT_SECRET"]),
    ],
)
def test_half_set_is_refused_with_the_missing_variable_named(given: str, missing: list[str]) -> None:
    with pytest.raises(SettingsError) as refused:
        settings.read_settings(Service, "some_", {given: "1"})

    assert given in str(refused.value)
    assert all(name in str(refused.value) for name in missing)


def test_half_of_trakt_is_refused_too() -> None:
    with pytest.raises(SettingsError, match="TRAKT_CLIENT_ID is set but TRAKT_CLIENT_SECRET is missing"):
        settings.read_settings(TRAKT, "trakt_", {"TRAKT_CLIENT_ID": "a"})


def test_a_service_that_needs_nothing_is_always_on() -> None:
    assert settings.read_settings(modules()["tvtime"].Settings, "tvtime_", {}) is not None


# --- wrong values


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("WATCHED_MARK", "0"),
        ("WATCHED_MARK", "101"),
        ("RETENTION_DAYS", "0"),
        ("MAX_BODY_BYTES", "1"),
        ("WORKER", "perhaps"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_is_refused_with_its_variable_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        settings.load({name: value})


def test_a_wrong_value_of_a_service_is_named_with_its_prefix() -> None:
    environ = {"TRAKT_CLIENT_ID": "a", "TRAKT_CLIENT_SECRET": "b", "TRAKT_PAUSE": "never"}

    with pytest.raises(SettingsError, match=r"^TRAKT_PAUSE: "):
        settings.read_settings(TRAKT, "trakt_", environ)


ADDRESSES = [
    (prefix, cls, name)
    for _, prefix, cls in settings_store.setting_groups()
    for name in cls.model_fields
    if name.endswith("url") and name not in ("database_url", "mqtt_url")
]
"""Every setting that is an address of HTTP."""


@pytest.mark.parametrize(("prefix", "cls", "name"), ADDRESSES, ids=[f"{one[0]}{one[2]}" for one in ADDRESSES])
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("http://a:b", r"can be called \(Invalid port: 'b'\)"),
        ("http://attic:70000", "from 1 to 65535"),
        ("http://", "which machine|must begin with http"),
        ("https:///path", "which machine"),
        ("http://my attic:80", "without blanks"),
        ("file:///etc/passwd", "must begin with http"),
        ("attic:8096", "must begin with http"),
        ("http://xn--", "can be called"),
    ],
)
def test_an_address_that_nobody_can_call_is_refused(
    prefix: str, cls: type[BaseModel], name: str, given: str, says: str
) -> None:
    required = {
        settings.variable(prefix, one): "http://attic" if one.endswith("url") else "x"
        for one, field in cls.model_fields.items()
        if field.is_required()
    }

    with pytest.raises(SettingsError, match=f"^{settings.variable(prefix, name)}: .*{says}"):
        settings.read_settings(cls, prefix, {**required, settings.variable(prefix, name): given})


@pytest.mark.parametrize(
    "given",
    [
        "http://attic",
        "HTTPS://attic:8443/under/a/path/",
        "http://[fe80::1]:8096",
        "http://b\u00fccher.example",
        "http://me:x@attic",
    ],
)
def test_an_address_that_can_be_called_is_taken_as_it_is(given: str) -> None:
    assert settings.load({"BASE_URL": given}).base_url == given


def test_a_refusal_does_not_repeat_a_secret() -> None:
    with pytest.raises(SettingsError) as refused:
        settings.read_settings(TRAKT, "trakt_", {"TRAKT_CLIENT_SECRET": "hush-hush"})

    assert "hush-hush" not in str(refused.value)


# --- what follows from them


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "sqlite:///data/watchmark.db"),
        ({"DATA_DIR": "/data"}, "sqlite:////data/watchmark.db"),
        ({"DATA_DIR": "/d", "DATABASE_URL": "sqlite:///{DATA_DIR}/other.db"}, "sqlite:////d/other.db"),
        ({"DATABASE_URL": "postgresql://u:p@db/name"}, "postgresql+psycopg://u:p@db/name"),
    ],
)
def test_the_database_is_where_the_settings_say(given: dict[str, str], expected: str) -> None:
    assert settings.load(given).database == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "http://localhost:8484"),
        ({"HOST": "0.0.0.0", "PORT": "80"}, "http://localhost:80"),  # noqa: S104
        ({"HOST": "192.0.2.7"}, "http://192.0.2.7:8484"),
        ({"HOST": "::"}, "http://localhost:8484"),
        ({"HOST": "::1"}, "http://[::1]:8484"),
        ({"HOST": "[2001:db8::7]", "ROOT_PATH": "/w"}, "http://[2001:db8::7]:8484/w"),
        ({"HOST": "fe80::1%eth0"}, "http://[fe80::1%25eth0]:8484"),
        ({"ROOT_PATH": "/watchmark"}, "http://localhost:8484/watchmark"),
        ({"BASE_URL": "https://home.example/w/"}, "https://home.example/w"),
    ],
)
def test_the_address_is_the_one_others_can_use(given: dict[str, str], expected: str) -> None:
    assert settings.load(given).address == expected


def test_secrets_are_not_shown() -> None:
    shown = repr(settings.load({"ADMIN_PASSWORD": "hush-hush", "SECRET_KEY": "hush-hush"}))

    assert "hush-hush" not in shown


def test_a_file_that_holds_no_certificate_is_refused_by_name(tmp_path: Path) -> None:
    wrong = tmp_path / "authority.pem"
    wrong.write_text("no certificate")

    for path in (wrong, tmp_path / "missing.pem"):
        with pytest.raises(SettingsError, match="CA_FILE"):
            settings.load({"CA_FILE": str(path)})


def test_where_plex_accounts_are_signed_in_to_sets_no_server_up_by_itself() -> None:
    modules = (servers.modules()["plex"], trackers.modules()["plex"])
    alone = {"PLEX_ACCOUNT_URL": "http://localhost:1"}

    assert [settings.read_settings(module.Settings, "plex_", alone) for module in modules] == [None, None]
    with pytest.raises(SettingsError, match="PLEX_URL and PLEX_TOKEN is missing"):
        settings.read_settings(modules[0].Settings, "plex_", {**alone, "PLEX_USER": "anna"})
