"""The image itself, without a container engine: built from the Dockerfile onto a clean Debian, run as it says.

`make try-image` runs it, as root, in some minutes. A new Debian with its Python stands in for the official image of
both. buildah builds, and bubblewrap runs what it built, as Docker does with `--read-only --tmpfs /tmp --cap-drop ALL`.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

import anyio
import pytest

from tests.process import ServiceProcess
from tests.servers.openai_wire import OpenAIWire
from tests.servers.postgres import free_port
from tests.servers.replies import Text
from tests.service import events_of

ROOT = Path(__file__).parents[1]
TOOLS = ("debootstrap", "buildah", "bwrap")
BASE = "docker.io/library/python:3.11-slim-bookworm"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""This machine's: its way to the package registries may lead through an authority of its own."""
NOBODY = ("setpriv", "--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all")

pytestmark = [
    pytest.mark.skipif("TRY_IMAGE" not in os.environ, reason="make try-image runs it, in some minutes"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a clean root needs root"),
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"apt-get install {' '.join(TOOLS)}"),
    pytest.mark.timeout(1200),
]


class Image:
    """What was built: its files, and what its configuration says."""

    def __init__(self, files: Path, config: dict[str, Any]) -> None:
        self.files = files
        self.environment = dict(variable.split("=", 1) for variable in config["Env"])
        self.command = [*config["Entrypoint"], *config["Cmd"]]
        self.user, self.group = config["User"].split(":")
        self.folder: str = config["WorkingDir"]
        self.health: list[str] = config["Healthcheck"]["Test"][1:]
        self.volumes = list(config["Volumes"])

    def contained(self, data: Path, variables: dict[str, str], *options: str, command: list[str]) -> list[str]:
        """The words that run the command in it: nothing may be written but its volume and /tmp."""
        words = ["bwrap", "--ro-bind", str(self.files), "/", "--bind", str(data), *self.volumes]
        words += ["--perms", "1777", "--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"]  # noqa: S108
        words += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1", "--die-with-parent", "--clearenv"]
        for name, value in (self.environment | variables).items():
            words += ["--setenv", name, value]
        for capability in ("SETUID", "SETGID", "SETPCAP"):  # for setpriv, which gives them up
            words += ["--cap-add", f"CAP_{capability}"]
        return [
            *words,
            *options,
            *("--chdir", self.folder),
            *NOBODY,
            f"--reuid={self.user}",
            f"--regid={self.group}",
            *command,
        ]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    folder = tmp_path_factory.mktemp("image")
    store = ["buildah", "--root", str(folder / "root"), "--runroot", str(folder / "run"), "--storage-driver", "vfs"]

    def buildah(*words: str) -> str:
        done = subprocess.run([*store, *words], check=False, capture_output=True, text=True)  # noqa: S603
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout.strip()

    clean = folder / "debian"
    bootstrap = ["debootstrap", "--variant=minbase", "--include=python3,python3-venv,python3-pip,ca-certificates"]
    subprocess.run([*bootstrap, "bookworm", str(clean)], check=True, stdout=sys.stderr)  # noqa: S603
    (clean / "usr/bin/python").symlink_to("python3")
    (clean / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink()  # the official image's Python is its own
    shutil.copy(CERTIFICATES, clean / str(CERTIFICATES).lstrip("/"))
    base = buildah("from", "scratch")
    buildah("copy", "--quiet", base, str(clean), "/")
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    buildah("config", "--env", f"PATH={path}", "--env", f"SSL_CERT_FILE={CERTIFICATES}", base)
    buildah("commit", "--quiet", base, BASE)
    options = ("--isolation", "chroot", "--network", "host", "--pull-never", "--format", "docker")
    buildah("build", *options, "--tag", "waggle", str(ROOT))
    config = json.loads(buildah("inspect", "--type", "image", "waggle"))["Docker"]["config"]
    container = buildah("from", "--pull-never", "waggle")
    try:
        yield Image(Path(buildah("mount", container)), config)
    finally:
        buildah("rm", "--all")
        shutil.rmtree(folder)


@pytest.fixture
def data(image: Image, tmp_path: Path) -> Path:
    """The volume, as an engine makes it: with the owner that the image gave it."""
    (volume := tmp_path / "data").mkdir()
    os.chown(volume, int(image.user), int(image.group))
    tmp_path.chmod(0o755)
    return volume


@asynccontextmanager
async def started(image: Image, data: Path, variables: dict[str, str]) -> AsyncIterator[tuple[ServiceProcess, int]]:
    """The image's own command; with the process id of what is number 1 within."""
    reading, writing = os.pipe()
    words = image.contained(data, variables, "--info-fd", str(writing), command=image.command)
    process = await anyio.open_process(words, stdout=PIPE, stderr=STDOUT, pass_fds=[writing])
    os.close(writing)
    with os.fdopen(reading) as said:
        first = json.loads(await anyio.to_thread.run_sync(said.read))["child-pid"]
    try:
        yield ServiceProcess(process), first
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


async def test_it_stays_shut_until_somebody_decides(image: Image, data: Path) -> None:
    """Without credentials or AUTH=none it does not start, and says why."""
    async with started(image, data, {}) as (service, _):
        assert await service.ended() == 1
        assert "AUTH=none" in service.output


def assert_locked_down(image: Image, process_id: int) -> None:
    """The kernel says who it is, what it may, and where it may write."""
    process = Path("/proc") / str(process_id)
    status = (process / "status").read_text()
    assert re.search(rf"^Uid:(\t{image.user}){{4}}$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    writable = {mount[4] for mount in mounts if mount[5].startswith("rw")}
    assert {*image.volumes, "/tmp"} <= writable  # noqa: S108
    assert "/" not in writable


async def test_it_runs_locked_down_and_stops_cleanly(image: Image, data: Path, openai: OpenAIWire) -> None:
    """Unprivileged, on a read-only root: it serves, is healthy, keeps its data, and lets a run end before it stops."""
    openai.replies = lambda _: Text("some words of an answer", interval_s=0.2)
    variables = {"HOST": "127.0.0.1", "PORT": str(free_port()), "MODEL": "openai:gpt-4o-mini"}
    variables |= {"MODEL_BASE_URL": f"{openai.url}/v1", "OPENAI_API_KEY": "sk-test"}
    async with started(image, data, variables) as (service, first):
        with anyio.fail_after(60):
            await service.until_listening()
        assert_locked_down(image, first)
        healthy = image.contained(data, variables, command=image.health)
        assert (await anyio.run_process(healthy, check=False)).returncode == 0
        async with service.client() as client, anyio.create_task_group() as group:
            assert (await client.get("/livez")).status_code == 200
            assert (await client.get("/readyz")).status_code == 200
            last: list[str] = []

            async def stream() -> None:
                async with client.stream("POST", "/agents/assistant/stream", json={"task": "hi"}) as response:
                    last.extend([event.type async for event in events_of(response)][-1:])

            group.start_soon(stream)
            await openai.until_streaming(1)
            os.kill(first, signal.SIGTERM)
            with anyio.fail_after(60):
                assert await service.ended() == 0, service.output
        assert last == ["run.completed"]
        assert "Traceback" not in service.output
    database = data / "waggle.db"
    assert database.stat().st_uid == int(image.user)
