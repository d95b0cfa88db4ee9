"""`make audit`: what `uv.lock` holds, development and all, looked up among the known vulnerabilities (pip-audit).

Found ones are printed, and the exit status is 1. Where they cannot be looked up, that is printed, and it is 0: a
machine that does not reach the advisories can still build and test, in bounded time.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
EVERYTHING = ("--frozen", "--all-extras", "--all-groups", "--no-emit-project", "--quiet")
DEADLINE_S = 180
"""For the whole of it: one request for each of some 180 packages."""


def main() -> int:
    report = look_up()
    if isinstance(report, str):
        print(f"Nothing was audited: {report}")
        return 0
    return say(report)


def look_up() -> dict[str, Any] | str:
    """pip-audit's report, or why there is none."""
    with TemporaryDirectory() as folder:
        locked = Path(folder) / "requirements.txt"
        subprocess.run(
            [BIN / "uv", "export", *EVERYTHING, "-o", locked], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
        )
        command = [str(BIN / "pip-audit"), "--require-hashes", "--disable-pip", "--requirement", str(locked)]
        command += ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            return f"the advisories were not all read within {DEADLINE_S} seconds."
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return f"the advisories were not reached. {(done.stderr.splitlines() or ['pip-audit said nothing.'])[-1]}"
    return report


def say(report: dict[str, Any]) -> int:
    """Print what was found, and what was not looked up; the exit status."""
    packages = report["dependencies"]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    found = [package for package in packages if package.get("vulns")]
    if len(unknown) == len(packages):
        print(f"Nothing was audited: this registry has no advisories for any of {len(packages)} packages.")
        return 0
    if unknown:
        print(f"Not audited, for the registry knows nothing of them: {', '.join(unknown)}.")
    for package in found:
        for advisory in package["vulns"]:
            fixed = ", ".join(advisory["fix_versions"]) or "no version yet"
            print(f"{package['name']} {package['version']}: {advisory['id']}, fixed in {fixed}")
    print(f"{len(packages) - len(unknown)} packages audited, {len(found)} of them vulnerable.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
