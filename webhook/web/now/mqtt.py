"""How things stand, at an MQTT broker: retained states, and the configs by which Home Assistant makes sensors of them.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery. All messages are retained, so that whoever subscribes later
has them at once. `watchmark/availability` is `online` or `offline`; the broker says the latter itself where the connection
is lost. A config that is not wanted any more, of a person who was removed, is taken back by an empty message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import orjson
import structlog
from aiomqtt import Client, MqttError, Will
from sqlalchemy import Connection, select

from webhook import clock
from webhook.client import version
from webhook.history.stats_span import zone_for
from webhook.maintenance.broker import make_client
from webhook.queries.plays import PlayJson
from webhook.settings import Settings, parse_broker
from webhook.storage.db import Database
from webhook.storage.rows import fetch_all
from webhook.storage.tables import person
from webhook.web import visible
from webhook.web.now.api import count_plays, item_name, midnight, summarize
from webhook.web.visible import Visitor

log = structlog.get_logger()

PACE = 1.0
"""Seconds between two looks whether anything was committed."""

REFRESH = 30.0
"""Seconds after which everything is read again: the day changes without a commit, and other processes commit."""

MIN_DELAY = 5.0
MAX_DELAY = 300.0
MAX_STATE_LENGTH = 255
"""Characters of a state in Home Assistant."""

EVERYBODY = Visitor(is_admin=True)
PLAYING = "{{ value_json.now_playing or 'nothing' }}"
COUNTED = {"state_class": "measurement"}

Messages = Mapping[str, bytes]
"""Retained messages by topic."""


class Sensor(NamedTuple):
    """A sensor of Home Assistant: its key, its name, the template of its state, and what else its config says."""

    key: str
    name: str
    template: str
    more: Mapping[str, str]
    component: str = "sensor"


class Viewer(NamedTuple):
    id: int
    name: str


SENSORS = (
    Sensor("needs_you", "Needs you", "{{ value_json.needs_you }}", {**COUNTED, "icon": "mdi:account-alert"}),
    Sensor("waiting", "Waiting", "{{ value_json.waiting }}", {**COUNTED, "icon": "mdi:tray-full"}),
    Sensor(
        "watched_today", "Watched today", "{{ value_json.watched_today }}", {**COUNTED, "icon": "mdi:counter"}
    ),
    Sensor("now_playing", "Now playing", PLAYING, {"icon": "mdi:play-circle"}),
    Sensor("last_webhook", "Last webhook", "{{ value_json.last_webhook_at }}", {"device_class": "timestamp"}),
    Sensor(
        "problem",
        "Problem",
        "{{ 'ON' if value_json.needs_you > 0 else 'OFF' }}",
        {"device_class": "problem"},
        "binary_sensor",
    ),
)


def sensors_of(viewer: Viewer) -> Iterator[Sensor]:
    """The sensors of one person."""
    key = f"person_{viewer.id}"
    yield Sensor(f"{key}_now_playing", f"Now playing: {viewer.name}", PLAYING, {"icon": "mdi:play-circle"})
    today = "{{ value_json.watched_today }}"
    yield Sensor(f"{key}_watched_today", f"Watched today: {viewer.name}", today, {**COUNTED})


# --- what is published


def read_messages(connection: Connection, settings: Settings, now: datetime) -> Messages:
    """Every message as it is to be now."""
    viewers = fetch_all(connection, select(person.c.id, person.c.name).order_by(person.c.id), Viewer)
    whole = summarize(connection, EVERYBODY, now, settings.silence_days)
    playing = visible.current_plays(connection, EVERYBODY)
    found = dict(sensor_messages(settings, SENSORS, f"{settings.mqtt_topic}/state", whole))
    for viewer in viewers:
        today = midnight(now, zone_for(connection, viewer.id))
        state = {
            "now_playing": name_plays([one for one in playing if one["person"] == viewer.name]),
            "watched_today": count_plays(connection, Visitor(person_id=viewer.id, name=viewer.name), today),
        }
        topic = f"{settings.mqtt_topic}/people/{viewer.id}/state"
        found |= sensor_messages(settings, tuple(sensors_of(viewer)), topic, state)
    return found


def name_plays(plays: list[PlayJson]) -> str | None:
    return ", ".join(item_name(one, one["artist"]) for one in plays) or None


def sensor_messages(
    settings: Settings, sensors: tuple[Sensor, ...], topic: str, state: Mapping[str, object]
) -> Messages:
    """The state of some sensors, and their configs."""
    shown = {
        name: value[:MAX_STATE_LENGTH] if isinstance(value, str) else value for name, value in state.items()
    }
    node = settings.mqtt_topic
    configs = {
        f"{settings.mqtt_discovery}/{one.component}/{node}/{one.key}/config": orjson.dumps(
            {
                "name": one.name,
                "unique_id": f"{node}_{one.key}",
                "state_topic": topic,
                "value_template": one.template,
                "availability_topic": f"{node}/availability",
                "device": device(settings),
                **one.more,
            }
        )
        for one in sensors
    }
    return {topic: orjson.dumps(shown), **configs}


def device(settings: Settings) -> Mapping[str, object]:
    """The device that all sensors belong to, as Home Assistant shows it."""
    name = "Watchmark" if settings.mqtt_topic == "watchmark" else f"Watchmark ({settings.mqtt_topic})"
    about = {"identifiers": [settings.mqtt_topic], "name": name, "manufacturer": "Watchmark"}
    link = {"configuration_url": settings.address} if settings.base_url else {}
    return {**about, "sw_version": version(), **link}


# --- publishing


class Publisher:
    """Keeps the broker up to date, and connects again whenever the connection is lost."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings
        self.broker = parse_broker(settings.mqtt_url.get_secret_value())
        self.availability = f"{settings.mqtt_topic}/availability"
        self.published: dict[str, bytes] = {}

    async def run(self, stop: asyncio.Event) -> None:
        delay = MIN_DELAY
        while not stop.is_set():
            try:
                async with self.connection() as client:
                    log.info("The MQTT broker is connected.", broker=self.broker.host)
                    delay = MIN_DELAY
                    await self.serve(client, stop)
            except MqttError as error:
                log.warning(
                    f"The MQTT broker cannot be reached; it is tried again in {delay:.0f} seconds.",
                    broker=self.broker.host,
                    why=str(error),
                )
                await clock.awaken(asyncio.Event(), stop, delay)
                delay = min(delay * 2, MAX_DELAY)

    def connection(self) -> Client:
        return make_client(self.settings, will=Will(self.availability, b"offline", qos=1, retain=True))

    async def serve(self, client: Client, stop: asyncio.Event) -> None:
        """Publish what changes until the service stops; raises MqttError where the connection is lost."""
        self.published = {}
        seen = await self.publish_changes(client)
        await client.publish(self.availability, b"online", qos=1, retain=True)
        for topic in (
            f"{self.settings.mqtt_discovery}/+/{self.settings.mqtt_topic}/+/config",
            f"{self.settings.mqtt_topic}/people/+/state",
        ):
            await client.subscribe(topic)
        cleaning = asyncio.create_task(self.remove_leftovers(client))
        try:
            elapsed = 0.0
            while not stop.is_set():
                await clock.awaken(asyncio.Event(), stop, PACE)
                elapsed += PACE
                if cleaning.done():
                    cleaning.result()
                if self.database.committed.count != seen or elapsed >= REFRESH:
                    seen, elapsed = await self.publish_changes(client), 0.0
            await client.publish(self.availability, b"offline", qos=1, retain=True)
        finally:
            cleaning.cancel()

    async def publish_changes(self, client: Client) -> int:
        """Publish what differs from what the broker has; return the count of commits that this covers."""
        seen = self.database.committed.count
        wanted = await self.database.read(
            lambda connection: read_messages(connection, self.settings, clock.now())
        )
        gone = dict.fromkeys(self.published.keys() - wanted.keys(), b"")
        changed = {topic: text for topic, text in wanted.items() if self.published.get(topic) != text}
        self.published = dict(wanted)
        for topic, text in {**gone, **changed}.items():
            await client.publish(topic, text, qos=1, retain=True)
        return seen

    async def remove_leftovers(self, client: Client) -> None:
        """Take back what an earlier start has left at the broker; ends only with the connection, by MqttError."""
        async for message in client.messages:
            topic = str(message.topic)
            if message.payload and topic not in self.published:
                await client.publish(topic, b"", qos=1, retain=True)
