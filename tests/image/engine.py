"""Builds the image without an engine that pulls: on a Debian base of its own, by buildah, and runs it by runc.

Wanted on the machine, as root: buildah, debootstrap and runc. `make image-test` says so where one is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.running import ROOT

TOOLS = ("buildah", "debootstrap", "runc")
SUITE, BASE, IMAGE = "bookworm", "localhost/watchmark-base", "localhost/watchmark-test"
PACKAGES = "python3,python3-venv,python-is-python3,ca-certificates"
UID = 10001
PATIENCE = 1200.0

NOT_IN_SLIM = (
    "var/cache/apt/archives",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
)
"""Folders of a Debian that its slim images leave out."""

GIVEN = ("/etc/pip.conf", "/etc/ssl/certs")
"""What the build needs of this machine where packages come from a mirror; it is mounted and not in the image."""


def missing_tools() -> list[str]:
    wanted = [tool for tool in TOOLS if shutil.which(tool) is None]
    return wanted if os.geteuid() == 0 else [*wanted, "root"]


def run(*command: str, **more: Any) -> str:
    """Run a command to its end and return what it printed; fails with what it said where it fails."""
    environ = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
    done = subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False, **more
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(command[:3])} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout.strip()


def build_base(folder: Path) -> None:
    """A Debian with Python, as an image; it stands in for python:slim, which cannot be pulled here."""
    run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(folder / "base"))
    for left_out in NOT_IN_SLIM:
        shutil.rmtree(folder / "base" / left_out, ignore_errors=True)
    container = run("buildah", "from", "scratch")
    try:
        run("buildah", "add", "--quiet", container, str(folder / "base"), "/")
        run("buildah", "commit", "--quiet", container, BASE)
    finally:
        run("buildah", "rm", container)


def build_image() -> None:
    volumes = [f"--volume={path}:{path}:ro" for path in GIVEN if Path(path).exists()]
    run("buildah", "bud", "--format=docker", f"--build-arg=BASE={BASE}", *volumes, f"--tag={IMAGE}", ".")


def compressed_size(folder: Path) -> int:
    """The bytes that pulling the image takes: all its layers, of the base and above it, as a registry keeps them."""
    run("buildah", "push", "--quiet", "--format=oci", IMAGE, f"oci:{folder}:image")
    blobs = folder / "blobs"
    (index,) = json.loads((folder / "index.json").read_text())["manifests"]
    manifest = json.loads((blobs / index["digest"].replace(":", "/")).read_text())
    layers = manifest["layers"]
    assert all(layer["mediaType"].endswith("+gzip") for layer in layers), layers
    return sum(layer["size"] for layer in layers)


def remove_images() -> None:
    run("buildah", "rmi", "--force", IMAGE, BASE)


def configuration() -> dict[str, Any]:
    """What the image says of how it is run: its user, command, environment and folders."""
    found: dict[str, Any] = json.loads(run("buildah", "inspect", "--type=image", IMAGE))["Docker"]["config"]
    return found


@contextmanager
def root_of(image: str) -> Iterator[Path]:
    """The files of an image."""
    container = run("buildah", "from", image)
    try:
        yield Path(run("buildah", "mount", container))
    finally:
        run("buildah", "rm", container)


@dataclass
class Container:
    """The image at work: a root that cannot be written, no capabilities, and `/data` a folder of this machine."""

    name: str
    bundle: Path
    process: subprocess.Popen[bytes]

    def ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside it."""
        return subprocess.run(
            ["runc", "exec", self.name, *command], capture_output=True, text=True, timeout=60, check=False
        )

    def stop(self) -> int:
        """End it as an engine does, by SIGTERM; the code it ended with."""
        run("runc", "kill", self.name, "TERM")
        return self.process.wait(30)

    def said(self) -> str:
        return (self.bundle / "log").read_text()


@contextmanager
def running(root: Path, bundle: Path, data: Path, **settings: str) -> Iterator[Container]:
    name = f"watchmark-{os.getpid()}"
    write_bundle(root, bundle, data, configuration(), settings)
    with (bundle / "log").open("wb") as log:
        process = subprocess.Popen(
            ["runc", "run", "--bundle", str(bundle), name], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield Container(name, bundle, process)
        finally:
            if process.poll() is None:
                subprocess.run(["runc", "kill", name, "KILL"], capture_output=True, timeout=30, check=False)
                process.wait(30)


def write_bundle(
    root: Path, bundle: Path, data: Path, image: Mapping[str, Any], settings: Mapping[str, str]
) -> None:
    """What runc runs: the image's own command, user and environment, restricted as compose.yaml does it."""
    subprocess.run(["runc", "spec"], cwd=bundle, check=True, timeout=30)
    spec = json.loads((bundle / "config.json").read_text())
    process = spec["process"]
    user, group = map(int, image["User"].split(":"))
    process |= {
        "terminal": False,
        "args": [*image["Entrypoint"], *image["Cmd"]],
        "cwd": image["WorkingDir"],
        "user": {"uid": user, "gid": group},
        "env": [*image["Env"], *(f"{name}={value}" for name, value in settings.items())],
        "capabilities": {kind: [] for kind in process["capabilities"]},
        "noNewPrivileges": True,
    }
    process.pop("rlimits", None)
    spec["root"] = {"path": str(root), "readonly": True}
    spec["mounts"] = [*kept(spec["mounts"]), tmpfs("/tmp"), folder("/data", data)]  # noqa: S108
    linux = spec["linux"]
    linux.pop("resources", None)
    linux["namespaces"] = [one for one in linux["namespaces"] if one["type"] not in ("network", "cgroup")]
    (bundle / "config.json").write_text(json.dumps(spec))


def kept(mounts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in mounts if not one["destination"].startswith(("/sys", "/dev/mqueue"))]


def tmpfs(path: str) -> dict[str, Any]:
    return {
        "destination": path, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"],
    }  # fmt: skip


def folder(path: str, there: Path) -> dict[str, Any]:
    return {"destination": path, "type": "bind", "source": str(there), "options": ["rbind", "rw"]}
