"""Processes under test, and what the kernel says of them: Linux only."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")
STOP_S = 30
KEPT = ("PATH", "HOME", "LANG", "SSL_CERT_FILE")


@contextmanager
def process(
    command: Sequence[str | Path], variables: Mapping[str, str], log: Path, *, piped: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """With nothing of the developer's environment; what it prints is in the log, or piped. It is ended at the end."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    with log.open("w") as errors:
        begun = subprocess.Popen(
            command,
            env=kept | dict(variables),
            cwd=log.parent,
            stdout=subprocess.PIPE if piped else errors,
            stderr=errors,
            text=True,
        )
    try:
        yield begun
    finally:
        begun.terminate()
        try:
            begun.wait(STOP_S)
        except subprocess.TimeoutExpired:
            print(f"It did not stop in {STOP_S} s: killed.")
            begun.kill()
            begun.wait()


def ended_in_order() -> None:
    """Told to stop, end what was started first."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def tree(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for known in found:
        for task in Path(f"/proc/{known}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process tree, of all threads, ended ones too.

    What /proc/PID/stat says in ticks of 10 ms, the kernel's clock of a process says in nanoseconds: clock ids of other
    processes are made as in clock_getcpuclockid(3).
    """
    return sum(time.clock_gettime(~member << 3 | 2) for member in tree(pid))


def resident_kib(pid: int) -> float:
    """Memory of a process tree."""
    pages = sum(int(Path(f"/proc/{member}/statm").read_text().split()[1]) for member in tree(pid))
    return pages * PAGE / 1024


def machine_seconds() -> float:
    """CPU time of everything that runs on the machine: all but idle, waiting, and what guests count twice."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(interrupts)) / TICK
