"""A real MQTT broker: mosquitto, where it is installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from tests.running import eventually

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
PASSWORD = "let me in"


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        return first.getsockname()[1], second.getsockname()[1]


class Broker:
    """A mosquitto that lets in `watchmark`, and `reader` who may publish nothing, also by TLS, and forgets everything when it is stopped."""

    def __init__(self, folder: Path) -> None:
        self.port, self.tls_port = free_ports()
        known, self.authority = folder / "known", folder / "authority.pem"
        subprocess.run(["mosquitto_passwd", "-b", "-c", known, "watchmark", PASSWORD], check=True)
        subprocess.run(["mosquitto_passwd", "-b", known, "reader", PASSWORD], check=True)
        allowed = folder / "allowed"
        allowed.write_text("user watchmark\ntopic readwrite #\nuser reader\ntopic read #\n")
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "own.pem")
        lines = [
            *("user root", "persistence false", f"password_file {known}", f"acl_file {allowed}"),
            f"listener {self.port} 127.0.0.1",
            f"listener {self.tls_port} 127.0.0.1",
            *(f"certfile {folder / 'own.pem'}", f"keyfile {folder / 'own.pem'}"),
        ]
        self.config = folder / "mosquitto.conf"
        self.config.write_text("\n".join(lines))
        self.url = self.address("mqtt", self.port)
        self.tls_url = self.address("mqtts", self.tls_port)
        self.start()

    @staticmethod
    def address(scheme: str, port: int, user: str = "watchmark", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{user}:{quote(PASSWORD)}@{host}:{port}"

    def start(self) -> None:
        assert MOSQUITTO is not None
        self.process = subprocess.Popen([MOSQUITTO, "-c", self.config], stderr=subprocess.DEVNULL)
        eventually(self.answers, "the broker answers")

    def answers(self) -> bool:
        with socket.socket() as way:
            return way.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if MOSQUITTO is None:
        pytest.skip("There is no mosquitto here. On Debian or Ubuntu: sudo apt install mosquitto")
    made = Broker(tmp_path_factory.mktemp("broker"))
    yield made
    made.stop()
