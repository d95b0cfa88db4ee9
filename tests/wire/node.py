"""The JavaScript clients of `clients`, run by Node."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest

CLIENTS = Path(__file__).parent / "clients"
EXAMPLES = Path(__file__).parents[2] / "examples"


def node() -> str:
    """Where it is; the test is left out where it, or what the clients need, is not installed."""
    found = shutil.which("node")
    if found is None or not (CLIENTS / "node_modules").is_dir():
        pytest.skip("Node and npm are not installed, or `npm ci` was not run in tests/wire/clients")
    return found


async def client(script: str | Path, *arguments: str, **told: Any) -> Any:
    """What the script says, as JSON, of what it is told."""
    with anyio.fail_after(60):
        done = await anyio.run_process(
            [node(), str(CLIENTS / script), *arguments], input=json.dumps(told).encode(), check=False
        )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


async def bundled(source: Path, into: Path, *options: str) -> Path:
    """A script with all that it imports, wherever it is."""
    node()
    esbuild = CLIENTS / "node_modules" / ".bin" / "esbuild"
    wanted = ["--bundle", "--jsx=automatic", "--define:process.env.NODE_ENV='production'", "--log-level=warning"]
    await anyio.run_process(
        [esbuild, source, f"--outfile={into}", *wanted, *options],
        env=os.environ | {"NODE_PATH": str(CLIENTS / "node_modules")},
    )
    return into


async def example(path: str, into: Path, *arguments: str) -> str:
    """What an example for Node prints."""
    script = await bundled(EXAMPLES / path, into / "example.mjs", "--platform=node", "--format=esm")
    with anyio.fail_after(60):
        return (await anyio.run_process([node(), script, *arguments])).stdout.decode()
