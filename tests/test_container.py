import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import VERSION
from app.settings import Settings

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WAGGLE = SERVICES["waggle"]


def settings() -> set[str]:
    return {name.upper() for name in Settings.model_fields}


def test_only_the_service_itself_starts_by_default() -> None:
    """PostgreSQL and Jaeger are there when asked for."""
    assert {name: service.get("profiles") for name, service in SERVICES.items()} == {
        "waggle": None,
        "postgres": ["postgres"],
        "jaeger": ["traces"],
    }


def test_ports_are_published_on_this_machine_alone() -> None:
    """AUTH=none inside the container is safe only as long as this holds."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_the_service_is_locked_down() -> None:
    """A read-only file system, no capabilities, no way to gain any."""
    assert WAGGLE["read_only"] is True
    assert WAGGLE["cap_drop"] == ["ALL"]
    assert WAGGLE["security_opt"] == ["no-new-privileges:true"]
    assert WAGGLE["tmpfs"] == ["/tmp"]  # noqa: S108
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)


def test_what_compose_sets_are_settings() -> None:
    """No variable is passed on that the service does not read."""
    assert set(WAGGLE["environment"]) <= settings()
    assert WAGGLE["env_file"] == [{"path": ".env", "required": False}]


def test_the_image_does_not_open_itself() -> None:
    """It names an address that needs AUTH=none, and leaves that to whoever runs it."""
    block = re.search(r"^ENV PATH=.*?[^\\]$", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert block is not None
    variables = dict(re.findall(r"(\w+)=(\S+)", block[0]))
    assert variables["HOST"] == "0.0.0.0"  # noqa: S104
    assert "AUTH" not in variables
    with pytest.raises(ValueError, match="set AUTH=none"):
        Settings(_env_file=None, host=variables["HOST"])


def test_the_image_gets_what_it_copies() -> None:
    """`.dockerignore` lets in exactly the sources that the Dockerfile names."""
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_the_health_check_is_python() -> None:
    """It parses, as JSON and as Python: the image has no curl."""
    command = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert command is not None
    interpreter, option, program = json.loads(command[1])
    assert (interpreter, option) == ("python", "-c")
    compile(program, "HEALTHCHECK", "exec")


def test_the_image_installs_the_same_uv_as_make() -> None:
    """One version of uv, whoever installs."""
    version = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert version is not None
    assert f" uv=={version[1]}\n" in DOCKERFILE


@pytest.mark.parametrize("profiles", [(), ("postgres",), ("traces",), ("postgres", "traces")], ids="+".join)
def test_docker_compose_accepts_it(profiles: tuple[str, ...]) -> None:
    """Compose's own parser, which needs no daemon, reads the file and starts what the profiles name."""
    try:
        docker = ["docker", "compose"]
        subprocess.run([*docker, "version"], check=True, capture_output=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("docker compose is not installed")
    options = [option for profile in profiles for option in ("--profile", profile)]
    config = subprocess.run(  # noqa: S603
        [*docker, *options, "config", "--services"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    names = {"postgres": "postgres", "traces": "jaeger"}
    assert set(config.stdout.split()) == {"waggle", *(names[profile] for profile in profiles)}


def test_the_version_is_known_without_an_installation() -> None:
    """The image has no metadata of the project: once the service did not start in it for want of that."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
    asked = [path for path in (ROOT / "app").rglob("*.py") if "version('waggle')" in path.read_text().replace('"', "'")]
    assert asked == []
