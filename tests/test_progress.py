"""Long work on a terminal, and elsewhere: here a database's first migrations."""

from pathlib import Path

from tests.cli.command import replaying, terminal, waggle

WHAT = "Bringing the database up to date"


async def test_long_work_has_a_bar_on_a_terminal(tmp_path: Path) -> None:
    """It is gone once the work is done: what comes then is as it would be without."""
    async with terminal(tmp_path, replaying(tmp_path), "sessions", "list") as shown:
        assert await shown.ended() == 0, shown.output
    assert WHAT in shown.output
    assert "3/3" in shown.output
    assert WHAT not in shown.output.rpartition("\x1b[2K")[2]


async def test_elsewhere_there_is_none(tmp_path: Path) -> None:
    """A file or a log collector would keep each of its states."""
    said = await waggle(tmp_path, replaying(tmp_path), "sessions", "list")
    assert said.status == 0
    assert said.err == ""
