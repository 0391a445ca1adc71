"""The doctor tries the MQTT broker, and says what to do where something is in the way."""

# ruff: noqa: F811 - the fixture of a real broker

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
from aiomqtt import MqttError
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from tests.mosquitto import Broker, broker, free_ports  # noqa: F401
from webhook import settings
from webhook.maintenance import broker as brokers
from webhook.maintenance.broker import BrokerTrouble, diagnose, try_broker
from webhook.settings import parse_broker


def settings_of(url: str, **more: str) -> settings.Settings:
    return settings.load({"MQTT_URL": url, **more})


def tried(url: str, **more: str) -> BrokerTrouble | None:
    return asyncio.run(try_broker(settings_of(url, **more)))


# --- at a broker


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves its socket to the collector
def test_the_trial_says_what_is_in_the_way(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "TRIAL_TIME", 0.5)
    trusting, nobody = {"CA_FILE": str(broker.authority)}, free_ports()[0]
    found = {
        name: trouble.says if trouble else None
        for name, trouble in {
            "unknown authority": tried(broker.tls_url),  # first, since tests share what is trusted
            "as it should be": tried(broker.url),
            "by TLS": tried(broker.tls_url, **trusting),
            "no user": tried(f"mqtt://127.0.0.1:{broker.port}"),
            "wrong password": tried(f"mqtt://watchmark:wrong@127.0.0.1:{broker.port}"),
            "may only read": tried(broker.address("mqtt", broker.port, "reader")),
            "TLS where there is none": tried(broker.address("mqtts", broker.port), **trusting),
            "no TLS where it is wanted": tried(broker.address("mqtt", broker.tls_port)),
            "nobody there": tried(broker.address("mqtt", nobody)),
        }.items()
    }

    plain, secure = f"127.0.0.1:{broker.port}", f"127.0.0.1:{broker.tls_port}"
    assert found == {
        "as it should be": None,
        "by TLS": None,
        "no user": f"{plain} asks for a user and a password",
        "wrong password": f"{plain} refuses the user watchmark or the password",
        "may only read": "it connects, but drops messages of the user reader",
        "unknown authority": f"the certificate of {secure} is not trusted: unable to get local issuer certificate",
        "TLS where there is none": f"{plain} does not speak TLS",
        "no TLS where it is wanted": f"{secure} does not answer as an MQTT broker",
        "nobody there": f"127.0.0.1:{nobody} cannot be reached: Connection refused",
    }


# --- in words


def wrapped(cause: OSError) -> MqttError:
    """As aiomqtt raises what a socket raised."""
    try:
        try:
            raise cause
        except OSError as error:
            raise MqttError(str(error)) from None
    except MqttError as error:
        return error


MISMATCH = ssl.SSLCertVerificationError("certificate verify failed")
MISMATCH.verify_message = "IP address mismatch"

SAID: list[tuple[Exception, str, str]] = [
    (MqttConnectError(5), "nas:8883 refuses the user anna or the password", "in the password write @ as %40"),
    (MqttConnectError(4), "nas:8883 refuses the user anna or the password", "Check both in MQTT_URL"),
    (MqttConnectError(ReasonCode(PacketTypes.CONNACK, identifier=135)), "refuses the user anna", "Check both"),
    (MqttConnectError(3), "nas:8883 refuses the connection: [code:3]", "The broker's log"),
    (wrapped(socket.gaierror(-2, "Name or service not known")), "the name nas cannot be resolved", "Check the host"),
    (wrapped(MISMATCH), "the certificate of nas:8883 is not trusted: IP address mismatch", "Set CA_FILE"),
    (wrapped(ssl.SSLError(1, "wrong version number")), "nas:8883 does not speak TLS", "usually is 8883"),
    (wrapped(ConnectionResetError(104, "Connection reset by peer")), "nas:8883 does not speak TLS", "mqtt:// in MQTT_URL"),
    (wrapped(ConnectionRefusedError(111, "Connection refused")), "cannot be reached: Connection refused", "that the broker runs"),
    (wrapped(TimeoutError("timed out")), "nas:8883 does not answer as an MQTT broker", "Check host and port"),
    (MqttError("Disconnected during message iteration"), "refuses the connection: Disconnected", "log says why"),
]  # fmt: skip


@pytest.mark.unit
@pytest.mark.parametrize(("error", "says", "do"), SAID)
def test_each_error_is_explained_with_what_to_do(error: Exception, says: str, do: str) -> None:
    trouble = diagnose(error, parse_broker("mqtts://anna:secret@nas"))

    assert says in trouble.says
    assert do in trouble.do
    assert "secret" not in str(trouble)


@pytest.mark.unit
def test_a_broker_without_a_user_is_told_how_to_give_one() -> None:
    trouble = diagnose(MqttConnectError(5), parse_broker("mqtt://nas"))

    assert trouble == (
        "nas:1883 asks for a user and a password",
        "Put them into MQTT_URL: mqtt://user:password@host",
    )
