"""docs/webhooks.md, held against what is sent: its receiver receives, its numbers are the code's."""

import base64
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from app.events import Run, RunStatus
from app.runs import receivers, webhooks
from app.runs.courier import MAX_ANSWER, payload
from tests.store.test_webhooks import NOW

PAGE = (Path(__file__).parents[1] / "docs" / "webhooks.md").read_text(encoding="utf-8")
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
RUN = Run(
    run_id="01a20783-2f0e-7c51-9a6e-6f0f4e6a2b11",
    agent="assistant",
    session_id="s",
    user_id=None,
    status=RunStatus.COMPLETED,
    output="done",
    trace_id="0" * 32,
    created_at=NOW,
    finished_at=NOW,
)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page's Python, as it stands."""
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    [source] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    module: dict[str, Any] = {}
    exec(source, module)  # noqa: S102 it is ours
    return module["app"]


async def test_the_receiver_of_the_page_receives(receiver: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """It takes what is signed, once, and nothing else."""
    now, body = datetime.now(UTC), payload(RUN)
    headers = {
        "webhook-id": RUN.run_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(RUN.run_id, now, body.decode()),
    }
    async with httpx.AsyncClient(transport=httpx.ASGITransport(receiver), base_url="http://receiver") as client:
        statuses = [
            (await client.post("/runs-that-ended", headers=headers, content=content)).status_code
            for content in (body, body, body.replace(b"done", b"gone"))
        ]
        statuses.append((await client.post("/runs-that-ended", content=body)).status_code)
    assert statuses == [204, 204, 401, 401]
    assert capsys.readouterr().out == f"run.completed {RUN.run_id} done\n"


def test_the_body_of_the_page_is_the_code_s() -> None:
    """As far as it is shown."""
    [shown] = re.findall(r"^(\{.*\})$", PAGE, re.MULTILINE)
    assert payload(RUN).decode().startswith(shown.partition("01a20783")[0] + RUN.run_id)


def test_the_schedule_of_the_page_is_the_code_s() -> None:
    """Its numbers are what happens."""
    [told] = re.findall(r"tried again after (.*?), each up to a (\w+) later", PAGE, re.DOTALL)
    unit = {"s": 1, "min": 60, "h": 3600}
    assert tuple(int(n) * unit[u] for n, u in re.findall(r"(\d+) (s|min|h)\b", told[0])) == webhooks.RETRIES_S
    assert (told[1], webhooks.JITTER) == ("fifth", 1 / 5)
    assert f"within {webhooks.ATTEMPT_S} seconds" in PAGE
    assert f"at most {MAX_ANSWER // 1024} KiB" in PAGE
    assert f"at most {receivers.MAX_LENGTH} ASCII" in PAGE
    assert "by up to a day" in PAGE
    assert webhooks.MAX_RETRY_AFTER_S == 24 * 3600


NOT_TAKEN = re.findall(r"not `([^`]+)`", PAGE)


@pytest.mark.parametrize("host", NOT_TAKEN)
def test_the_hosts_of_the_page_are_refused(host: str) -> None:
    """Each that it names."""
    assert len(NOT_TAKEN) == 4
    with pytest.raises(receivers.UrlRefused):
        receivers.receiver_of(f"https://{host}/", ())
