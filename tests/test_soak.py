"""The soak in little: half a minute, 50 users, everything that goes wrong at once (`make soak` is the whole)."""

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parent.parent / "bench/soak.py"


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_nothing_is_lost_doubled_or_leaked() -> None:
    """No failure of the service, no gap, nothing held afterwards that was not before, memory flat."""
    soaked = subprocess.run(  # noqa: S603
        [sys.executable, SOAK, "--users", "50", "--seconds", "20"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert soaked.returncode == 0, soaked.stdout + soaked.stderr
    assert "leaked: nothing\nwrong: nothing" in soaked.stdout
