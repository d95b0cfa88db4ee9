"""`python -m app doctor` in a process of its own, and what it says."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from tests.process import ROOT, environment

SECRETS = {
    "model": "sk-planted-model-key",
    "otlp": "planted-otlp-token",
    "honeyhive": "hh-planted-key",
    "sql": "pl4nted",
}
"""Keys that must be in nothing that is printed."""


@dataclass(frozen=True)
class Said:
    """What one call printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document

    def check(self, name: str) -> dict[str, str]:
        """The only check of that name."""
        [check] = [check for check in self.document["checks"] if check["name"] == name]
        found: dict[str, str] = check
        return found

    @property
    def failed(self) -> set[str]:
        return {check["name"] for check in self.document["checks"] if check["status"] == "fail"}


async def doctor(folder: Path, variables: Mapping[str, str], *words: str, planted: Path | None = None) -> Said:
    """Call it in that folder; `planted` comes first on PYTHONPATH, with a `sitecustomize` perhaps."""
    path = f"{planted}:{ROOT}" if planted else str(ROOT)
    process = await anyio.run_process(
        [sys.executable, "-m", "app", "doctor", *words],
        cwd=folder,
        env={**environment(folder / "data", variables), "PYTHONPATH": path},
        check=False,
    )
    said = Said(process.returncode, process.stdout.decode(), process.stderr.decode())
    assert not any(secret in said.out + said.err for secret in SECRETS.values()), "a secret was printed"
    assert "Traceback" not in said.out + said.err, said.err
    return said
