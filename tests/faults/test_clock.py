"""The clock is set in the middle of runs: leases, deadlines and the grace go by one that is not."""

from datetime import timedelta
from typing import Any

import anyio
import pytest

from tests.faults.clock import settable
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Hang, Text
from tests.service import serving

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("by", [HOUR, -HOUR], ids=["forward", "back"])
async def test_the_clock_is_set(
    by: timedelta, openai: OpenAIWire, with_openai: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A run that goes on is neither lost nor begun anew, in front and in the background; a deadline still ends one."""
    openai.replies = lambda _: Text("a b c d e f g", interval_s=0.3)
    with settable() as wrong:
        async with serving(**with_openai) as service:
            service.parts.keeper._in_touch_since -= 60  # it has been serving for a while
            answers: list[dict[str, Any]] = []

            async def run(session: str) -> None:
                answers.append(await service.run("assistant", "talk", session_id=session))

            async with anyio.create_task_group() as group:
                group.start_soon(run, "front")
                behind = (await service.client.post("/agents/assistant/runs", json={"task": "talk"})).json()
                await openai.until_streaming(2)
                wrong[0] = by
            assert answers[0]["output"] == "a b c d e f g"
            with anyio.fail_after(10):
                while (ended := await service.get(f"/runs/{behind['run_id']}"))["status"] in ("queued", "running"):
                    await anyio.sleep(0.05)
            assert (ended["status"], ended["output"]) == ("completed", "a b c d e f g")
            assert len(openai.requests) == 2, "a run was begun anew"
            assert "The clock was set" in caplog.text
            openai.replies = [Hang()]
            await service.run("assistant", "hang", session_id="front", status=504, timeout_s=0.3)
            wrong[0] = timedelta()
            assert (await service.run("assistant", "talk", session_id="front"))["status"] == "completed"
