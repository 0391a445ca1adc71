"""The settings: the environment (and `.env`), read once. Nobody else looks at it."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    ValidationError,
    field_validator,
)

from webhook.network.proxies import TrustedProxies, parse_networks, trusted_proxies

Environ = Mapping[str, str]
Given = TypeVar("Given", bound=BaseModel)


class SettingsError(Exception):
    """A setting is missing or wrong; the message names the variable and says what to do."""


def address(given: str) -> str:
    """Validate an HTTP address and return it unchanged; raises ValueError with the reason."""
    import httpx  # late: the help of a command needs none

    if not given.lower().startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://, e.g. http://192.168.1.10:8096")
    if not given.isprintable() or " " in given:
        raise ValueError("must be one address, without blanks in it")
    try:
        url = httpx.URL(given)
        host, port = url.host, url.port
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError(f"is no address that can be called ({error})") from error
    if not host:
        raise ValueError("must say which machine, after the //, e.g. http://192.168.1.10:8096")
    if port is not None and not 1 <= port <= 65535:
        raise ValueError("has a port that there is none of: a port is a number from 1 to 65535")
    return given


TOPIC = re.compile(r"[A-Za-z0-9_-]{1,64}")
BROKER_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Broker(NamedTuple):
    """Where an MQTT broker is, and who signs in there."""

    host: str
    port: int
    tls: bool
    username: str | None
    password: str | None


def parse_broker(address: str) -> Broker:
    """The broker of an address; raises ValueError, which does not repeat it, as it holds a password."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError("is no address such as mqtt://user:password@192.168.1.10:1883") from error
    if parts.scheme not in BROKER_PORTS or not host or parts.path.strip("/") or parts.query:
        raise ValueError("is no address such as mqtt://user:password@192.168.1.10:1883")
    username, password = (None if one is None else unquote(one) for one in (parts.username, parts.password))
    return Broker(host, port or BROKER_PORTS[parts.scheme], parts.scheme == "mqtts", username, password)


Address = Annotated[str, AfterValidator(address)]
"""A setting that is an address of HTTP."""


SOMEWHERE = ("192.0.2.1", 9)
"""An address that no machine has (https://www.rfc-editor.org/rfc/rfc5737)."""

CONTAINER_MARKS = (Path("/etc/watchmark-image"), Path("/.dockerenv"), Path("/run/.containerenv"))
"""The file that marks our image, and those that Docker and Podman put into most of their containers."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""The hosts that only this machine itself reaches."""


def host_in_url(host: str) -> str:
    """The host as it stands in an address: an IPv6 number in brackets."""
    return f"[{host.replace('%', '%25')}]" if ":" in host else host


BY_ITSELF: dict[str, JsonValue] = {"by_itself": True}
"""Marks a setting that may be there without the others of its service, which it does not set up."""


class Settings(BaseModel):
    """Settings of the service itself; each tracker and lookup adds its own."""

    model_config = ConfigDict(frozen=True)

    data_dir: Path = Field(Path("data"), description="Folder of the database, the key and backups.")
    database_url: str = Field(
        "", description="Empty: SQLite in DATA_DIR. Or postgresql://user:password@host/name."
    )
    host: str = Field("127.0.0.1", description="The address to listen on; 0.0.0.0 in the image.")
    port: int = Field(8484, ge=0, le=65535, description="The port to listen on; 0 picks a free one.")
    base_url: Address = Field(
        "",
        description="The address others reach this service at, sub-path included; empty: http://HOST:PORT.",
    )
    root_path: str = Field("", description="The sub-path behind a proxy, e.g. /watchmark.")
    trusted_proxies: str = Field(
        "127.0.0.1, ::1",
        description="Addresses or networks of trusted proxies, e.g. 172.16.0.0/12; or none.",
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="Encrypts sign-ins: 32 random characters or more; empty: DATA_DIR/secret.key, created at the first start.",
    )
    admin_password: SecretStr = Field(
        SecretStr(""), description="The owner's password; empty: set in the browser with the one-time link."
    )
    watched_mark: float = Field(
        80.0, gt=0, le=100, description="A play that stops at or above this percentage counts as watched."
    )
    claim_first_user: bool = Field(
        False,
        description="true assigns the first user who plays something to the owner; false asks first.",
    )
    collection_of: str = Field(
        "",
        description="The person whose collection items added in Jellyfin and Emby go to; empty: nobody.",
    )
    notify_urls: SecretStr = Field(
        SecretStr(""), description="Apprise addresses, separated by spaces or commas."
    )
    backup_hours: int = Field(
        24, ge=0, le=8760, description="Hours between backups into DATA_DIR/backups, of SQLite; 0: none."
    )
    backup_keep: int = Field(7, ge=1, description="Scheduled backups kept; the oldest are deleted.")
    backup_before_update: bool = Field(
        True, description="false updates the tables of a new version without a backup before."
    )
    retention_days: int = Field(90, ge=1, description="Days to keep raw webhook bodies.")
    catch_up_minutes: int = Field(
        0,
        ge=0,
        description="Minutes between catch-ups with media servers; 0: at start and every night.",
    )
    watchlist_minutes: int = Field(
        60, ge=0, description="Minutes between reads of services' watchlists; 0: only when asked for."
    )
    silence_days: int = Field(
        3, ge=0, description="Days without a webhook before a server is reported as silent; 0: never."
    )
    max_body_bytes: int = Field(
        2 * 1024 * 1024, ge=1024, description="Largest accepted webhook JSON, in bytes."
    )
    import_max_bytes: int = Field(
        1024 * 1024 * 1024, ge=1024, description="Largest accepted import file, in bytes."
    )
    import_max_rows: int = Field(2_000_000, ge=1, description="Most rows imported from a file.")
    import_max_minutes: int = Field(60, ge=1, description="Minutes after which an import is stopped.")
    imports_per_person: int = Field(3, ge=1, description="Import files accepted from one person at a time.")
    disk_reserve_bytes: int = Field(
        256 * 1024 * 1024,
        ge=0,
        description="Bytes that imports leave free on the disk of DATA_DIR for webhooks.",
    )
    pictures_max_bytes: int = Field(
        500 * 1024 * 1024,
        ge=0,
        description="Bytes of posters kept in DATA_DIR; those not shown for longest go first. 0: none.",
    )
    ca_file: str = Field(
        "",
        description="Path of a PEM file with the certificate of your own authority, trusted beside the usual ones.",
    )
    anime_lists: str = Field(
        "",
        description="Paths of anime lists, with a colon between them: the XML that maps AniDB episodes to TheTVDB, "
        "and the JSON with the ids of AniList and MyAnimeList.",
    )
    mqtt_url: SecretStr = Field(
        SecretStr(""),
        description="Broker that sensors are published at: mqtt://user:password@host:1883, or mqtts://; empty: none.",
    )
    mqtt_topic: str = Field(
        "watchmark", description="The first part of every topic; of two installations each has its own."
    )
    mqtt_discovery: str = Field(
        "homeassistant", description="The topic under which Home Assistant looks for new devices."
    )
    worker: bool = Field(True, description="false runs a process that only receives.")
    metrics_public: bool = Field(
        False,
        description="true opens /metrics without an API token; otherwise one with the scope read is required.",
    )
    log_format: Literal["text", "json"] = Field("text", description="text or json (one object per line).")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much to log.")

    @field_validator("host")
    @classmethod
    def strip_brackets(cls, host: str) -> str:
        return host.strip().removeprefix("[").removesuffix("]")

    @field_validator("root_path")
    @classmethod
    def require_slash(cls, path: str) -> str:
        path = path.strip().rstrip("/")
        if path and not path.startswith("/"):
            raise ValueError("must begin with a slash, e.g. /watchmark")
        return path

    @field_validator("trusted_proxies")
    @classmethod
    def check_networks(cls, text: str) -> str:
        parse_networks(text)
        return text

    @field_validator("mqtt_url")
    @classmethod
    def check_broker(cls, given: SecretStr) -> SecretStr:
        if given.get_secret_value():
            parse_broker(given.get_secret_value())
        return given

    @field_validator("mqtt_topic", "mqtt_discovery")
    @classmethod
    def check_topic(cls, topic: str) -> str:
        if not TOPIC.fullmatch(topic):
            raise ValueError("has letters, digits, - and _ only")
        return topic

    @field_validator("ca_file")
    @classmethod
    def check_certificates(cls, path: str) -> str:
        import ssl  # late: most settings name none

        try:
            if path:
                ssl.create_default_context().load_verify_locations(path)
        except OSError as error:
            raise ValueError(f"{path} is no file with a certificate in PEM ({error})") from error
        return path

    @property
    def backup_folder(self) -> Path:
        """Where backups go that are made without being asked."""
        return self.data_dir / "backups"

    @property
    def proxies(self) -> TrustedProxies:
        return trusted_proxies(self.trusted_proxies)

    @property
    def database(self) -> str:
        """The database's address, as SQLAlchemy wants it."""
        url = self.database_url or f"sqlite:///{self.data_dir}/watchmark.db"
        return url.replace("{DATA_DIR}", str(self.data_dir)).replace(
            "postgresql://", "postgresql+psycopg://", 1
        )

    @property
    def address(self) -> str:
        """The address at which others reach this service, without a trailing slash."""
        host = "localhost" if self.host in ("0.0.0.0", "::", "127.0.0.1") else host_in_url(self.host)  # noqa: S104
        return (self.base_url or f"http://{host}:{self.port}{self.root_path}").rstrip("/")

    @property
    def lan_address(self) -> str | None:
        """The address at which other machines of the network probably reach this service, if they can at all."""
        if self.base_url or self.host not in ("0.0.0.0", "::") or is_container():  # noqa: S104
            return None
        host = own_ip()
        return host and f"http://{host}:{self.port}{self.root_path}".rstrip("/")


def is_container() -> bool:
    """True inside a container, whose address other machines cannot reach."""
    return any(path.exists() for path in CONTAINER_MARKS)


def own_ip() -> str | None:
    """This machine's IPv4 address on the way to others, or None without a network; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect(SOMEWHERE)
        except OSError:
            return None
        found = str(way.getsockname()[0])
    return None if found.startswith(("127.", "0.")) else found


def environment(environ: Mapping[str, str] | None = None, env_file: str = ".env") -> dict[str, str]:
    """The environment over `.env`."""
    values = {name: value for name, value in dotenv_values(env_file).items() if value is not None}
    return {**values, **(os.environ if environ is None else environ)}


def from_file(name: str, path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise SettingsError(f"{name}={path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{name}={path} holds no text") from error


def set_values(cls: type[BaseModel], prefix: str, environ: Environ) -> dict[str, str]:
    """The values of these settings in the environment, by field; an empty value counts as none."""
    found = {name: value_of(variable(prefix, name), environ) for name in cls.model_fields}
    return {name: value for name, value in found.items() if value}


def value_of(name: str, environ: Environ) -> str:
    """A variable's value, or what the file that NAME_FILE names holds."""
    if value := environ.get(name, "").strip():
        return value
    path = environ.get(f"{name}_FILE", "").strip()
    return from_file(f"{name}_FILE", path) if path else ""


def variable(prefix: str, field: str) -> str:
    return f"{prefix}{field}".upper()


def is_mentioned(service: str, environ: Environ) -> bool:
    """True if any setting of this service has a value."""
    prefix = variable(f"{service}_", "")
    return any(value.strip() and name.startswith(prefix) for name, value in environ.items())


def read_settings(cls: type[Given], prefix: str, environ: Environ) -> Given | None:
    """The settings of one service, or None when nothing is set that it cannot do without.

    Some set and some missing is refused, with the missing variable named, so that a typo does not
    silently switch a tracker off.
    """
    values = set_values(cls, prefix, environ)
    required = [name for name, field in cls.model_fields.items() if field.is_required()]
    if required and not values:
        return None
    missing = [variable(prefix, name) for name in required if name not in values]
    if missing and not all(cls.model_fields[name].json_schema_extra == BY_ITSELF for name in values):
        known = ", ".join(variable(prefix, name) for name in values)
        raise SettingsError(f"{known} is set but {' and '.join(missing)} is missing. Set both, or neither.")
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        wrong = next((found for found in error.errors() if found["type"] != "missing"), None)
        if wrong is None:
            return None
        what = wrong["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{variable(prefix, str(wrong['loc'][0]))}: {what}") from error


def load(environ: Environ) -> Settings:
    """The service's own settings; raises SettingsError."""
    settings = read_settings(Settings, "", environ)
    assert settings is not None  # none of its fields is required
    return settings


def example(groups: Iterable[tuple[str, str, type[BaseModel]]]) -> str:
    """The text of `.env.example`: every setting with its default and its sentence.

    A group is a heading, a prefix and the settings under it.
    """
    lines = ["# Every setting with its default. Each can also be given as NAME_FILE, the path of a file."]
    for heading, prefix, cls in groups:
        lines += ["", f"# --- {heading}"]
        for name, field in cls.model_fields.items():
            lines += [f"# {field.description}", f"#{variable(prefix, name)}={plain(field.get_default())}"]
    return "\n".join(lines) + "\n"


def plain(default: Any) -> str:
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default is None or repr(default) == "PydanticUndefined" else str(default)
