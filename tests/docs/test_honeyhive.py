"""docs/honeyhive.md, followed step by step; the address in it is a local HoneyHive's."""

import re
from pathlib import Path
from typing import Any

from anyio import to_thread

from tests.cli.command import asks
from tests.docs.blocks import PAGES, blocks_of, resembles, run, settings_in
from tests.docs.test_blocks import answers
from tests.servers.honeyhive import HoneyHive
from tests.servers.openai_wire import OpenAIWire
from tests.service import serving

PAGE = "docs/honeyhive.md"


async def test_what_the_page_says_arrives(
    openai: OpenAIWire, honeyhive: HoneyHive, with_openai: dict[str, Any], tmp_path: Path
) -> None:
    """The doctor prints what is shown, and every attribute of HoneyHive's that the page names is on a span."""
    openai.replies = answers
    blocks = blocks_of(PAGE)
    said = settings_in(next(block for block in blocks if block.language == "dotenv"))
    honey = {"hh_api_key": honeyhive.api_key, "hh_api_url": honeyhive.url, "hh_source": said.hh_source}
    folder = tmp_path / "project"
    folder.mkdir()
    async with serving(**with_openai, **honey) as service:
        variables = asks(openai) | {name.upper(): value for name, value in honey.items()}
        printed = await run([block for block in blocks if block.runs], folder, service.url, variables)
        for processor in service.parts.telemetry._processors:
            await to_thread.run_sync(processor.force_flush)
    [doctor] = [text for block, text in printed.items() if "doctor" in block.text]
    [shown] = [block for block in blocks if block.language == "text"]
    assert resembles(doctor.replace(honeyhive.url, said.hh_api_url), shown), doctor
    kept = honeyhive.kept()
    named = set(re.findall(r"`(honeyhive[._][\w.]+)`", PAGES[PAGE]))
    assert named - {name for span in kept for name in span.attributes} == set()
    assert {span.attributes.get("honeyhive_event_type") for span in kept} == {"chain", "model", "tool"}
    ann = [span.attributes for span in kept if span.attributes["honeyhive_user_properties.user_id"] == "ann"]
    assert {attributes["honeyhive_metadata.plan"] for attributes in ann} == {"pro"}
    assert {attributes["honeyhive.source"] for attributes in ann} == {"production"}
