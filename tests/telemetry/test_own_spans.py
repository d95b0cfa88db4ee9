"""Spans and attributes of a user's own code, as docs/tracing.md shows them."""

import re
from pathlib import Path
from typing import Any

from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls
from tests.service import flat, serving

PAGE = Path(__file__).parents[2] / "docs" / "tracing.md"


async def test_the_example_of_the_page(openai: OpenAIWire, with_openai: dict[str, Any], tmp_path: Path) -> None:
    """The tool's span has the attribute, and a span of its own under it, with the run's identity."""
    example = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "shop.py").write_text(example)

    def asks(request: Request) -> Reply:
        return Text("Five.") if request.asked.results else ToolCalls((ToolCall("stock", {"article": "honey"}),))

    openai.replies = asks
    async with serving(**with_openai | {"agents_dir": tmp_path / "agents"}) as service:
        run = await service.run("shop", "How much honey is there?", user_id="ann")
        spans = {span["name"]: span for span in flat(await service.trace(run))}
    tool = spans["execute_tool stock"]
    assert tool["attributes"]["shop.article"] == "honey"
    assert tool["attributes"]["gen_ai.tool.call.result"] == "5 of honey"
    assert [child["name"] for child in tool["children"]] == ["look up"]
    own = spans["look up"]["attributes"]
    assert (own["warehouse"], own["user.id"], own["waggle.run.id"]) == ("north", "ann", run["run_id"])
