"""Every test is in one layer, and the unit tests keep to their bounds."""

from __future__ import annotations

import socket
import subprocess

import pytest

from tests import cheap, layers
from webhook.people import passwords


def test_every_test_is_in_exactly_one_layer(request: pytest.FixtureRequest) -> None:
    found = {item.nodeid: layers.marked(item) for item in request.session.items}

    assert {name: marks for name, marks in found.items() if len(marks) != 1} == {}


@pytest.mark.parametrize("layer", layers.NAMES)
def test_every_layer_is_registered(layer: str, request: pytest.FixtureRequest) -> None:
    registered = [line.partition(":")[0] for line in request.config.getini("markers")]

    assert layer in registered


@pytest.mark.integration
def test_a_socket_and_a_process_are_noted_while_a_unit_test_runs(watch: layers.Watch) -> None:
    with watch.over() as noted, socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        subprocess.run(["true"], check=True)

    assert {note.partition(" (")[0] for note in noted} == {"opens a socket", "starts a process"}


def test_outside_of_tests_a_guess_at_a_password_costs_64_mb() -> None:
    assert cheap.HASHER.memory_cost >= 64 * 1024
    assert cheap.HASHER.time_cost >= 2
    assert passwords.hasher is not cheap.HASHER
