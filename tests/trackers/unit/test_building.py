"""What is built of the plug-ins: only what a setting mentions is imported."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

import pytest

from webhook import client, lookups, servers, trackers
from webhook.settings import SettingsError


def without_required(found: Mapping[str, ModuleType]) -> set[str]:
    fields = {name: module.Settings.model_fields.values() for name, module in found.items()}
    return {name for name, about in fields.items() if not any(field.is_required() for field in about)}


def test_the_trackers_that_are_always_built_are_those_without_a_required_setting() -> None:
    assert without_required(trackers.modules()) == trackers.ALWAYS_BUILT
    assert set(trackers.build({}, client.client())) == trackers.ALWAYS_BUILT


@pytest.mark.parametrize("kind", [servers, lookups])
def test_each_server_and_lookup_has_a_required_setting(kind: ModuleType) -> None:
    assert without_required(kind.modules()) == set()


def test_a_tracker_is_built_once_its_settings_are_there() -> None:
    built = trackers.build({"SIMKL_CLIENT_ID": "id", "TRAKT_CLIENT_ID": " "}, client.client())

    assert set(built) - trackers.ALWAYS_BUILT == {"simkl"}


@pytest.mark.parametrize(
    ("build", "name"), [(trackers.build, "TRAKT_CLIENT_ID"), (servers.build, "PLEX_URL")]
)
def test_a_setting_without_the_others_is_refused(build: object, name: str) -> None:
    assert callable(build)
    with pytest.raises(SettingsError, match=f"{name} is set but"):
        build({name: "http://127.0.0.1"}, client.client())
