"""The connection to the MQTT broker, and a trial of it that says in words what keeps sensors from being published."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import NamedTuple

from aiomqtt import Client, MqttCodeError, MqttError, Will

from webhook.client import trusting_context
from webhook.settings import Broker, Settings, host_in_url, parse_broker

TRIAL_TIME = 5.0
"""Seconds that the broker has for each answer."""

ACL_DELAY = 1.0
"""Seconds in which each message that a broker takes comes back; one that the user may not send is dropped in silence."""

REFUSED_USER = frozenset({4, 5, 134, 135})
"""Codes of a refused sign-in, of MQTT 3.1.1 and 5."""


class BrokerTrouble(NamedTuple):
    """What is wrong, and what to do about it."""

    says: str
    do: str


def make_client(settings: Settings, *, will: Will | None = None, timeout: float | None = None) -> Client:
    broker = parse_broker(settings.mqtt_url.get_secret_value())
    return Client(
        broker.host,
        broker.port,
        username=broker.username,
        password=broker.password,
        tls_context=trusting_context(settings.ca_file) if broker.tls else None,
        will=will,
        timeout=timeout,
    )


async def try_broker(settings: Settings) -> BrokerTrouble | None:
    """Connect, sign in, and send a message to oneself at each place that Watchmark publishes at; None if all of it works."""
    broker = parse_broker(settings.mqtt_url.get_secret_value())
    topics = {f"{settings.mqtt_topic}/doctor", f"{settings.mqtt_discovery}/{settings.mqtt_topic}/doctor"}
    try:
        async with make_client(settings, timeout=TRIAL_TIME) as client:
            missing = topics - await echo(client, topics)
    except (MqttError, OSError, ValueError) as error:
        return diagnose(error, broker)
    return diagnose_rights(settings, broker) if missing else None


async def echo(client: Client, topics: set[str]) -> set[str]:
    """Publish at these topics; returns those of which the message came back."""
    for topic in topics:
        await client.subscribe(topic, qos=1)
        await client.publish(topic, b"try", qos=1)
    found: set[str] = set()
    try:
        async with asyncio.timeout(ACL_DELAY):
            async for message in client.messages:
                found.add(str(message.topic))
                if found >= topics:
                    break
    except TimeoutError:
        pass
    return found


def diagnose(error: Exception, broker: Broker) -> BrokerTrouble:
    """The trouble that an error of connecting means. aiomqtt wraps the socket's own error, which is its context."""
    where = f"{host_in_url(broker.host)}:{broker.port}"
    cause = error.__context__ if isinstance(error.__context__, OSError) else error
    match cause:
        case MqttCodeError() if code(cause) in REFUSED_USER:
            return diagnose_refusal(broker, where)
        case socket.gaierror():
            return BrokerTrouble(f"the name {broker.host} cannot be resolved", "Check the host in MQTT_URL.")
        case ssl.SSLCertVerificationError():
            do = "Set CA_FILE to the certificate of the authority that issued it, and use its name in MQTT_URL."
            return BrokerTrouble(f"the certificate of {where} is not trusted: {cause.verify_message}", do)
        case ssl.SSLError() | ConnectionResetError() if broker.tls:
            do = "Use the port for TLS, which usually is 8883, or mqtt:// in MQTT_URL."
            return BrokerTrouble(f"{where} does not speak TLS", do)
        case TimeoutError():
            do = "Check host and port in MQTT_URL. If the broker expects TLS at this port, use mqtts:// in MQTT_URL."
            return BrokerTrouble(f"{where} does not answer as an MQTT broker", do)
        case OSError():
            do = "Check host and port in MQTT_URL, and that the broker runs and listens on the network, not only for itself."
            return BrokerTrouble(f"{where} cannot be reached: {cause.strerror or cause}", do)
    return BrokerTrouble(f"{where} refuses the connection: {error}", "The broker's log says why.")


def code(error: MqttCodeError) -> int | None:
    """The code of an answer, which paho wraps where it is one of MQTT 5."""
    return error.rc if error.rc is None or isinstance(error.rc, int) else error.rc.value


def diagnose_refusal(broker: Broker, where: str) -> BrokerTrouble:
    if broker.username is None:
        do = "Put them into MQTT_URL: mqtt://user:password@host"
        return BrokerTrouble(f"{where} asks for a user and a password", do)
    do = "Check both in MQTT_URL; in the password write @ as %40, : as %3A, / as %2F and % as %25."
    return BrokerTrouble(f"{where} refuses the user {broker.username} or the password", do)


def diagnose_rights(settings: Settings, broker: Broker) -> BrokerTrouble:
    user = f"the user {broker.username}" if broker.username else "everybody"
    says = f"it connects, but drops messages of {user}"
    allowed = f"{settings.mqtt_topic}/# and {settings.mqtt_discovery}/#"
    return BrokerTrouble(says, f"In the broker's access list, let {user} read and write {allowed}")
