"""What the service is made of is known, and looked up."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from deploy import audit

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()


def test_the_bill_of_materials_has_every_locked_package(tmp_path: Path) -> None:
    """By name, version and hash, as `make sbom` writes it."""
    recipe = re.search(r"^sbom:.*\n\t\$\(BIN\)/(uv export (?:.*\\\n)*.*) --output-file", MAKEFILE, re.MULTILINE)
    assert recipe is not None
    command, file = recipe[1].replace("\\\n", "").split(), tmp_path / "sbom.json"
    command = [str(Path(sys.executable).parent / "uv"), *command[1:], "--output-file", str(file)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603
    bill = json.loads(file.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    listed = {
        (part["name"], part["version"])
        for part in bill["components"]
        if all(distribution["hashes"] for distribution in part["externalReferences"])
    }
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    locked = {(package["name"], package["version"]) for package in packages if "registry" in package["source"]}
    assert listed == locked
    assert len(packages) == len(locked) + 1, "but for the project itself"


def package(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": []} | more


HURT = package("hurt", vulns=[{"id": "PYSEC-1", "fix_versions": ["1.1"]}])
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        pytest.param([package("a")], 0, "1 packages audited, 0 of them vulnerable", id="clean"),
        pytest.param([package("a"), HURT], 1, "hurt 1.0: PYSEC-1, fixed in 1.1", id="vulnerable"),
        pytest.param([package("a"), UNKNOWN], 0, "Not audited, .*: unknown", id="some unknown"),
        pytest.param([HURT, UNKNOWN], 1, "1 packages audited, 1 of them vulnerable", id="vulnerable and unknown"),
        pytest.param([UNKNOWN], 0, "Nothing was audited", id="all unknown"),
    ],
)
def test_what_an_audit_found_is_said(
    packages: list[dict[str, Any]], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It fails for what is vulnerable alone, and never calls clean what it did not look up."""
    assert audit.say({"dependencies": packages}) == status
    assert re.search(said, capsys.readouterr().out)


def test_an_audit_without_a_network_says_so() -> None:
    """It ends, with 0, and does not call anything audited."""
    dead = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | dead
    command = [sys.executable, str(ROOT / "deploy/audit.py")]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Nothing was audited: the advisories were not reached.")
