"""MQTT: what is published for Home Assistant, at a real broker, whatever becomes of the connection."""

# ruff: noqa: F811 - the fixture of a real broker

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import orjson
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from structlog.testing import capture_logs

from tests.mosquitto import PASSWORD, Broker, broker  # noqa: F401
from tests.running import eventually
from tests.web.conftest import Household, Open, serving
from webhook import clock, settings
from webhook.people import people
from webhook.web.now import mqtt
from webhook.web.now.mqtt import read_messages

NEEDS_YOU = "homeassistant/sensor/watchmark/needs_you/config"


class Subscriber:
    """Somebody who hears everything: the last message of each topic, and empty ones as None."""

    def __init__(self, broker: Broker) -> None:
        self.heard: dict[str, bytes | None] = {}
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.username_pw_set("watchmark", PASSWORD)
        self.client.on_message = self.hear
        self.client.connect("127.0.0.1", broker.port)
        self.client.subscribe("#", qos=1)
        self.client.loop_start()

    def hear(self, client: Client, data: Any, message: MQTTMessage) -> None:
        self.heard[message.topic] = bytes(message.payload) or None

    def read(self, topic: str) -> Any:
        found = self.heard.get(topic)
        return None if found is None else orjson.loads(found)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def listening(broker: Broker) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker)
    try:
        yield subscriber
    finally:
        subscriber.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "PACE", 0.05)
    monkeypatch.setattr(mqtt, "MIN_DELAY", 0.1)


# --- at a broker


def test_what_stands_is_published_as_it_changes_and_offline_at_the_end(
    tmp_path: Path, broker: Broker, quick: None
) -> None:
    with listening(broker) as subscriber:
        with serving(tmp_path, WORKER="true", MQTT_URL=broker.url) as home:
            eventually(lambda: subscriber.heard.get("watchmark/availability") == b"online", "it is online")
            state, config = subscriber.read("watchmark/state"), subscriber.read(NEEDS_YOU)
            home.hear("anna", "The Lantern Room")
            eventually(lambda: watched_today(subscriber) == 1, "her play is there")
        eventually(lambda: subscriber.heard["watchmark/availability"] == b"offline", "it says goodbye")

    assert (state["needs_you"], state["watched_today"], state["now_playing"]) == (0, 0, None)
    assert (config["unique_id"], config["state_topic"]) == ("watchmark_needs_you", "watchmark/state")
    with listening(broker) as later:
        eventually(lambda: later.read(NEEDS_YOU) == config, "it is retained")


def watched_today(subscriber: Subscriber) -> Any:
    return (subscriber.read("watchmark/people/1/state") or {}).get("watched_today")


def test_a_broker_that_comes_back_has_everything_again(tmp_path: Path, broker: Broker, quick: None) -> None:
    with capture_logs() as logs, serving(tmp_path, WORKER="true", MQTT_URL=broker.url):
        with listening(broker) as before:
            eventually(lambda: before.heard.get("watchmark/availability") == b"online", "it is online")
        broker.stop()
        eventually(lambda: any("cannot be reached" in one["event"] for one in logs), "the loss is noticed")
        broker.start()
        with listening(broker) as after:
            eventually(lambda: after.read(NEEDS_YOU) is not None, "the config is there again")
            eventually(lambda: after.heard.get("watchmark/availability") == b"online", "it is online again")


def test_what_an_earlier_start_left_is_taken_back(tmp_path: Path, broker: Broker, quick: None) -> None:
    left = ("homeassistant/sensor/watchmark/person_99_now_playing/config", "watchmark/people/99/state")
    others = "homeassistant/sensor/somebody_else/needs_you/config"
    with listening(broker) as subscriber:
        for topic in (*left, others):
            subscriber.client.publish(topic, b"{}", qos=1, retain=True)
        eventually(lambda: {*left, others} <= subscriber.heard.keys(), "they are there")
        with serving(tmp_path, WORKER="true", MQTT_URL=broker.url) as home:
            anna = home.person("anna")
            hers = f"watchmark/people/{anna}/state"
            eventually(lambda: subscriber.read(hers) is not None, "a new person is there")
            home.do(
                lambda connection: people.remove_person(connection, people.find_person(connection, "anna"))
            )
            gone = (*left, hers)
            eventually(lambda: all(subscriber.heard[one] is None for one in gone), "they are taken back")

    assert subscriber.heard[others] == b"{}"


def test_a_broker_with_a_certificate_of_ones_own_authority_is_spoken_to_by_tls(
    tmp_path: Path, broker: Broker, quick: None
) -> None:
    mine = {"MQTT_URL": broker.tls_url, "CA_FILE": str(broker.authority)}
    with listening(broker) as subscriber, serving(tmp_path, WORKER="true", **mine):
        eventually(lambda: subscriber.heard.get("watchmark/availability") == b"online", "it is online")


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves its socket to the collector
@pytest.mark.parametrize(
    "url", ["mqtt://watchmark:wrong@127.0.0.1:{0.port}", "{0.tls_url}"], ids=["password", "certificate"]
)
def test_a_broker_that_refuses_or_nobody_vouches_for_is_said_without_the_password(
    tmp_path: Path, broker: Broker, quick: None, url: str
) -> None:
    with (
        capture_logs() as logs,
        serving(tmp_path, WORKER="true", MQTT_URL=url.format(broker)) as home,
    ):
        eventually(lambda: any("cannot be reached" in one["event"] for one in logs), "it is said")
        assert home.client().get("/healthz").status_code == 200

    assert not any(secret in str(logs) for secret in ("wrong", PASSWORD, quote(PASSWORD)))


# --- what is published


def test_each_sensor_has_a_state_and_says_what_it_is(opened: Open) -> None:
    home = opened(BASE_URL="https://watch.example", MQTT_TOPIC="cellar")
    home.person("anna " + "a" * 50)
    home.hear("me", "Pilot", "media.play", grandparentTitle="x" * 290)

    messages = read(home)

    configs = {topic: orjson.loads(text) for topic, text in messages.items() if topic.endswith("/config")}
    strict = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - no HTML
    states = {
        one["unique_id"]: strict.from_string(one["value_template"]).render(
            value_json=orjson.loads(messages[one["state_topic"]])
        )
        for one in configs.values()
    }
    assert len(states) == len(configs) == len(mqtt.SENSORS) + 2 * 2
    assert states["cellar_problem"] == "OFF"
    assert states["cellar_person_2_now_playing"] == "nothing"
    assert max(len(state) for state in states.values()) == mqtt.MAX_STATE_LENGTH
    assert all(one["availability_topic"] == "cellar/availability" for one in configs.values())
    (device,) = {orjson.dumps(one["device"]) for one in configs.values()}
    assert orjson.loads(device)["name"] == "Watchmark (cellar)"
    assert orjson.loads(device)["configuration_url"] == "https://watch.example"
    assert all(
        topic.split("/")[:1] + topic.split("/")[2:3] == ["homeassistant", "cellar"] for topic in configs
    )


def read(home: Household) -> mqtt.Messages:
    now = clock.now()
    return dict(home.do(lambda connection: read_messages(connection, home.service.settings, now)))


# --- the settings


@pytest.mark.unit
@pytest.mark.parametrize(
    ("address", "broker"),
    [
        ("mqtt://nas", ("nas", 1883, False, None, None)),
        ("mqtts://nas.lan", ("nas.lan", 8883, True, None, None)),
        ("mqtt://me:a%40b@192.168.1.5:18830/", ("192.168.1.5", 18830, False, "me", "a@b")),
    ],
)
def test_a_broker_is_named_by_its_address(address: str, broker: tuple[object, ...]) -> None:
    assert settings.parse_broker(address) == broker


@pytest.mark.unit
@pytest.mark.parametrize(
    "given",
    [
        {"MQTT_URL": "http://secret@nas"},
        {"MQTT_URL": "mqtt://"},
        {"MQTT_URL": "mqtt://secret@nas:port"},
        {"MQTT_URL": "mqtt://nas/secret"},
        {"MQTT_URL": "mqtt://nas", "MQTT_TOPIC": "a/#"},
        {"MQTT_URL": "mqtt://nas", "MQTT_DISCOVERY": "+"},
    ],
)
def test_a_wrong_setting_is_named_and_not_repeated(given: dict[str, str]) -> None:
    with pytest.raises(settings.SettingsError, match=r"^MQTT_") as refused:
        settings.load(given)

    assert "secret" not in str(refused.value)
