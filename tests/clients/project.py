"""A project that uses clients/typescript: the compiler takes its scripts, and Node runs them."""

import json
import shutil
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

import anyio
import pytest

CLIENT = Path(__file__).parents[2] / "clients" / "typescript"
SCRIPTS = Path(__file__).parent / "typescript"
STRICT = {
    "target": "ES2022",
    "lib": ["ES2022", "DOM"],
    "types": [],
    "module": "NodeNext",
    "strict": True,
    "exactOptionalPropertyTypes": True,
    "noUncheckedIndexedAccess": True,
}


def tool(name: str) -> str:
    """Of the client's development; the test is left out where it is not installed."""
    found = CLIENT / "node_modules" / ".bin" / name
    if shutil.which("node") is None or not found.exists():
        pytest.skip("Node is not installed, or `npm ci` was not run in clients/typescript")
    return str(found)


async def ran(*command: str, cwd: Path, stdin: str = "") -> str:
    with anyio.fail_after(120):
        done = await anyio.run_process(command, cwd=cwd, input=stdin.encode(), stdout=PIPE, stderr=STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module", name="project")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `node_modules` has the client as it is built and published, and its dependencies."""
    folder = tmp_path_factory.mktemp("project")
    package = folder / "node_modules" / "waggle-client"
    await ran(tool("tsc"), "-p", str(CLIENT), "--outDir", str(package / "dist"), cwd=CLIENT)
    shutil.copy(CLIENT / "package.json", package)
    for name in json.loads((CLIENT / "package-lock.json").read_text())["packages"][""]["dependencies"]:
        (folder / "node_modules" / name).symlink_to(CLIENT / "node_modules" / name)
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


@pytest.fixture(scope="module", name="usage")
async def script(project: Path) -> Path:
    """The compiled script."""
    return await compiled(project, "usage.ts", (SCRIPTS / "usage.ts").read_text(encoding="utf-8"))


async def compiled(project: Path, name: str, text: str) -> Path:
    """A script in the project, which the strictest compiler takes."""
    (project / name).write_text(text, encoding="utf-8")
    (project / "tsconfig.json").write_text(json.dumps({"compilerOptions": STRICT, "files": [name]}))
    await ran(tool("tsc"), cwd=project)
    return (project / name).with_suffix(".js")


async def does(usage: Path, what: str, url: str, *more: str) -> Any:
    """What the script prints."""
    return json.loads(await ran("node", str(usage), what, url, *more, cwd=usage.parent))
