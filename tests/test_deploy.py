"""What starts the product elsewhere: the compose file, the examples in `deploy/` and the release."""

from __future__ import annotations

import configparser
import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import yaml  # type: ignore[import-untyped]
from typer.testing import CliRunner

from webhook import cli
from webhook.settings import Settings, variable

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent.parent
PORT, UID, GRACE = "8484", 10001, 30
GIVEN_BY_THE_SYSTEM = {"TZ"}


def documents(path: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / path).read_text()))


def manifest(kind: str) -> dict[str, Any]:
    (found,) = (one for one in documents("deploy/kubernetes.yaml") if one["kind"] == kind)
    return found


def container() -> dict[str, Any]:
    found: dict[str, Any] = manifest("Deployment")["spec"]["template"]["spec"]["containers"][0]
    return found


def unit() -> dict[str, list[str]]:
    """The lines of the section [Service], by name."""
    given: dict[str, list[str]] = {}
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(ROOT / "deploy" / "watchmark.service")
    for name, value in parser["Service"].items():
        given.setdefault(name, []).append(value)
    return given


def compose_service() -> dict[str, Any]:
    (found,) = documents("compose.yaml")
    service: dict[str, Any] = found["services"]["watchmark"]
    return service


def pasted_service() -> dict[str, Any]:
    (found,) = documents("deploy/compose.nas.yaml")
    service: dict[str, Any] = found["services"]["watchmark"]
    return service


def scaled() -> dict[str, Any]:
    """The file for PostgreSQL with several processes, its shared parts merged in."""
    (found,) = documents("deploy/compose.postgresql.yaml")
    return found


def unraid() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "deploy" / "unraid.xml").getroot()  # noqa: S314 - a file of this repository


def named_settings() -> Iterator[tuple[str, str]]:
    yield from (("compose.yaml", name) for name in compose_service()["environment"])
    yield from (("compose.nas.yaml", name) for name in pasted_service()["environment"])
    for name in ("receiver", "worker"):
        yield from (("compose.postgresql.yaml", one) for one in scaled()["services"][name]["environment"])
    yield from (("kubernetes.yaml", one["name"]) for one in container()["env"])
    (environment,) = unit()["Environment"]
    yield from (("watchmark.service", one.split("=")[0]) for one in environment.split())
    configs = unraid().findall("Config[@Type='Variable']")
    yield from (("unraid.xml", one.attrib["Target"]) for one in configs)


def test_each_sets_only_what_is_a_setting() -> None:
    known = {variable("", name) for name in Settings.model_fields} | GIVEN_BY_THE_SYSTEM

    assert [(where, name) for where, name in named_settings() if name not in known] == []


def test_the_compose_file_pulls_what_image_says_and_is_bounded() -> None:
    service = compose_service()

    assert service["image"] == "${IMAGE:-watchmark}"
    assert service["user"] == f"${{PUID:-{UID}}}:${{PGID:-{UID}}}"
    assert (service["read_only"], service["cap_drop"], service["tmpfs"]) == (True, ["ALL"], ["/tmp"])  # noqa: S108
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["mem_limit"]
    assert service["stop_grace_period"] == f"{GRACE}s"


def test_the_compose_file_that_is_pasted_is_bounded_alike_and_needs_nothing_beside_it() -> None:
    pasted, plain = pasted_service(), compose_service()
    own = {"image", "ports", "environment"}
    beside = {"build", "env_file", "pids_limit"}  # pids_limit: kernels of some NAS know none

    assert {name: part for name, part in pasted.items() if name not in own} == {
        name: part for name, part in plain.items() if name not in own | beside
    }
    assert pasted["image"].startswith("${IMAGE:?")
    assert pasted["ports"] == [f"${{PORT:-{PORT}}}:{PORT}"]


def test_the_port_is_the_same_inside_the_container_and_outside() -> None:
    service, port = compose_service(), f"${{PORT:-{PORT}}}"

    assert service["ports"] == [f"{port}:{port}"]
    assert service["environment"]["PORT"] == port


def test_the_compose_file_for_postgresql_bounds_each_process_and_gives_all_the_same_key() -> None:
    services = scaled()["services"]
    receiver, worker = services["receiver"], services["worker"]

    for one in (receiver, worker):
        assert one["image"] == compose_service()["image"]
        assert (one["user"], one["read_only"], one["cap_drop"]) == (f"{UID}:{UID}", True, ["ALL"])
        assert one["stop_grace_period"] == f"{GRACE}s"
        # A folder that it makes itself; the image's would belong to root under Podman, which knows no uid for it.
        assert one["environment"]["DATA_DIR"].startswith("/tmp/")  # noqa: S108 - of a container
        assert one["tmpfs"] == ["/tmp", "/data"]  # noqa: S108
        assert one["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert worker["environment"].items() <= receiver["environment"].items()
    assert receiver["environment"]["WORKER"] == "false"
    assert all(CliRunner().invoke(cli.app, [one, "--help"]).exit_code == 0 for one in ("serve", "work"))
    assert (receiver["command"], worker["command"]) == ("serve", "work")
    assert all(one["logging"]["options"].keys() == {"max-size", "max-file"} for one in services.values())


def test_the_parts_of_the_compose_file_for_postgresql_fit_together() -> None:
    file = scaled()
    services, (network,) = file["services"], file["networks"]
    address = services["worker"]["environment"]["DATABASE_URL"]
    database = urlsplit(re.sub(r"\$\{.*?\}", "secret", address))
    given = services["postgres"]["environment"]
    mounted = {one.split(":")[0] for part in services.values() for one in part.get("volumes", ())}
    subnet = ipaddress.ip_network(file["networks"][network]["ipam"]["config"][0]["subnet"])
    proxy = services["proxy"]["networks"][network]["ipv4_address"]

    assert mounted == file["volumes"].keys()
    assert all(network in one["networks"] for one in services.values())
    assert (database.scheme, database.hostname, database.path) == ("postgresql", "postgres", "/watchmark")
    assert database.username == given["POSTGRES_USER"]
    assert f":{given['POSTGRES_PASSWORD']}@" in address
    assert proxy == services["receiver"]["environment"]["TRUSTED_PROXIES"]
    assert ipaddress.ip_address(proxy) in subnet
    assert services["proxy"]["command"][-2:] == ["--to", f"receiver:{PORT}"]
    # What is asked for with a space in it is no single word where a shell's rules cut a line into words.
    assert not [
        name
        for name, one in services.items()
        if isinstance(one.get("command"), str) and "${" in one["command"]
    ]


def test_what_the_compose_file_for_postgresql_cannot_do_without_is_said_in_its_head() -> None:
    text = (ROOT / "deploy" / "compose.postgresql.yaml").read_text()
    said = set(re.findall(r"^#   ([A-Z_]+)=", text, re.MULTILINE))
    wanted = set(re.findall(r"\$\{([A-Z_]+):\?", text))

    assert wanted <= said
    assert said <= {*re.findall(r"\$\{([A-Z_]+)", text)}
    documented = re.findall(r"^([A-Z_]+)=", (ROOT / "docs" / "scale.md").read_text(), re.MULTILINE)
    assert said <= {*documented}


def test_the_image_runs_as_the_user_that_the_examples_name() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()

    assert f"USER {UID}:{UID}" in dockerfile
    assert f"EXPOSE {PORT}" in dockerfile


def test_kubernetes_gives_it_no_rights_one_replica_and_its_webhooks_always() -> None:
    deployment = manifest("Deployment")["spec"]
    pod, only = deployment["template"]["spec"], container()

    assert (deployment["replicas"], deployment["strategy"]["type"]) == (1, "Recreate")
    assert pod["securityContext"]["runAsUser"] == UID
    assert pod["terminationGracePeriodSeconds"] == GRACE
    assert only["securityContext"]["readOnlyRootFilesystem"]
    assert only["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    probes = [only[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert probes == ["/healthz"] * 3, "a stalled worker must not turn webhooks away"


def test_kubernetes_volumes_and_names_fit_together() -> None:
    pod, only = manifest("Deployment")["spec"]["template"]["spec"], container()
    places = {one["name"]: one["mountPath"] for one in only["volumeMounts"]}
    data = next(one["value"] for one in only["env"] if one["name"] == "DATA_DIR")

    assert places.keys() == {one["name"] for one in pod["volumes"]}
    assert data.startswith(places["data"])
    assert manifest("PersistentVolumeClaim")["metadata"]["name"] == "watchmark"
    assert manifest("Service")["spec"]["ports"][0]["targetPort"] == only["ports"][0]["name"]
    assert str(only["ports"][0]["containerPort"]) == PORT


def test_systemd_gives_it_one_folder_and_no_rights() -> None:
    service = unit()

    assert service["DynamicUser"] == ["yes"]
    assert service["ProtectSystem"] == ["strict"]
    assert service["NoNewPrivileges"] == ["yes"]
    assert service["CapabilityBoundingSet"] == [""]
    assert service["WorkingDirectory"] == [f"/var/lib/{service['StateDirectory'][0]}"]
    assert service["TimeoutStopSec"] == [str(GRACE)]


def test_unraid_maps_the_port_and_the_data() -> None:
    targets = {one.attrib["Type"]: one.attrib["Target"] for one in unraid().findall("Config")}

    assert (targets["Port"], targets["Path"]) == (PORT, "/data")
    assert f"--stop-timeout={GRACE}" in (unraid().findtext("ExtraParams") or "")


def test_a_release_is_tested_first_and_built_for_both_kinds_of_machine() -> None:
    (release,) = documents(".github/workflows/release.yml")
    steps = release["jobs"]["image"]["steps"]
    (build,) = (one["with"] for one in steps if one.get("id") == "build")
    (names,) = (one["with"] for one in steps if one.get("id") == "names")

    assert release["jobs"]["image"]["needs"] == "test"
    assert ".ci/run" in [one.get("run") for one in release["jobs"]["test"]["steps"]]
    assert build["platforms"] == "linux/amd64,linux/arm64"
    assert (build["push"], build["sbom"], build["provenance"]) == (True, True, "mode=max")
    patterns = re.findall(r"pattern=(\S+)", names["tags"])
    assert patterns == ["{{version}}", "{{major}}.{{minor}}", "{{major}}"]


def test_each_file_is_in_the_list_of_ways() -> None:
    listed = (ROOT / "deploy" / "README.md").read_text()
    files = [one for one in (ROOT / "deploy").rglob("*") if one.is_file()]
    there = {one.relative_to(ROOT / "deploy").as_posix() for one in files} - {"README.md"}

    assert there == {name for name in there if f"]({name})" in listed}


def test_the_image_keeps_the_names_of_each_language_that_pages_are_in() -> None:
    kept = set(re.findall(r"! -name '(\w+)\*'", (ROOT / "Dockerfile").read_text()))

    assert kept == {"en", *(path.name for path in (ROOT / "webhook" / "locale").iterdir() if path.is_dir())}
