"""What the playground is made of is what the lock says."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "clients/playground"
VENDOR = ROOT / "app/playground/vendor"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_vendored_files_are_those_of_the_lock(tmp_path: Path) -> None:
    """`npm ci` checks their hashes; the script copies them; not a byte differs."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        assert not os.environ.get("CI"), "node and npm are needed"
        pytest.skip("node and npm are not installed")
    for name in ("package.json", "package-lock.json", "copy.mjs"):
        shutil.copy(SOURCE / name, tmp_path)
    subprocess.run([npm, "ci", "--omit=dev", "--ignore-scripts"], cwd=tmp_path, check=True, capture_output=True)  # noqa: S603 as it is locked
    subprocess.run([node, "copy.mjs", str(tmp_path / "vendor")], cwd=tmp_path, check=True, capture_output=True)  # noqa: S603 as it is locked
    assert contents(tmp_path / "vendor") == contents(VENDOR)
