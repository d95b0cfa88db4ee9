"""Files of AGENTS_DIR that give no agent: each is named with its reason, and takes no other down."""

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.agents.folder import Folder, folder, reasons
from tests.process import started
from tests.service import Service, serving

__all__ = ["folder"]

CATALOG = {"assistant", "research", "support", "ticket", "weather"}
SECRET = "sk-planted-secret"

GOOD = """
    '''Greets.'''
    from autogen_agentchat.agents import AssistantAgent

    def build(context):
        return AssistantAgent("greeter", model_client=context.model(), model_client_stream=True)
"""

BROKEN: dict[str, tuple[str, str]] = {
    "syntax.py": (
        """
        KEY = "sk-planted-secret"
        def build(:
        """,
        "syntax error in line 3: invalid syntax",
    ),
    "string.py": (
        "KEY = 'sk-planted-secret",
        "syntax error in line 1: unterminated string literal (detected at line 1)",
    ),
    "no_module.py": (
        """
        import no_such_module.sub
        """,
        "there is no module 'no_such_module' (line 2); the service's log has the whole",
    ),
    "no_name.py": (
        """
        from json import loads, no_such_name
        """,
        "'json' has no 'no_such_name' to import (line 2); the service's log has the whole",
    ),
    "own_import_error.py": (
        """
        raise ImportError("write sk-planted-secret into /etc/agents.toml")
        """,
        "ImportError (line 2); the service's log has the whole",
    ),
    "undefined.py": (
        """
        def build(context):
            return AssistantAgent("greeter", model_client=context.model())
        """,
        "the name 'AssistantAgent' is not defined (line 3); the service's log has the whole",
    ),
    "attribute.py": (
        """
        def build(context):
            return context.modell()
        """,
        "AgentContext has no attribute 'modell' (line 3); the service's log has the whole",
    ),
    "raises.py": (
        """
        KEY = "sk-planted-secret"
        raise ValueError(f"{KEY} is refused, see /etc/agents.toml")
        """,
        "ValueError (line 3); the service's log has the whole",
    ),
    "raises_in_build.py": (
        """
        def connect():
            raise ConnectionError("postgresql://me:sk-planted-secret@db/")

        async def build(context):
            connect()
        """,
        "ConnectionError (line 3); the service's log has the whole",
    ),
    "raises_type_error.py": (
        """
        def build(context):
            raise TypeError("connect() got sk-planted-secret; see /etc/agents.toml")
        """,
        "TypeError (line 3); the service's log has the whole",
    ),
    "wrong_argument.py": (
        """
        from autogen_agentchat.agents import AssistantAgent

        def build(context):
            return AssistantAgent("greeter", colour=context.model())
        """,
        (
            "TypeError: AssistantAgent.__init__() got an unexpected keyword argument 'colour' (line 5); "
            "the service's log has the whole"
        ),
    ),
    "two_arguments.py": (
        """
        def build(context, other):
            return None
        """,
        "TypeError: build() missing 1 required positional argument: 'other'; the service's log has the whole",
    ),
    "exits.py": (
        """
        import sys
        sys.exit("sk-planted-secret")
        """,
        "it ends the program (line 3)",
    ),
    "exits_in_build.py": (
        """
        def build(context):
            raise SystemExit(1)
        """,
        "it ends the program (line 3)",
    ),
    "no_build.py": ("x = 1", "it has no function build(context) that returns an AutoGen agent or team"),
    "build_is_no_function.py": ("build = 1", "it has no function build(context) that returns an AutoGen agent or team"),
    "empty.py": ("", "it has no function build(context) that returns an AutoGen agent or team"),
    "builds_text.py": (
        """
        def build():
            return "sk-planted-secret"
        """,
        "build() returns str, which is neither an AutoGen agent nor a team",
    ),
    "builds_nothing.py": (
        """
        async def build(context):
            context.model()
        """,
        "build() returns NoneType, which is neither an AutoGen agent nor a team",
    ),
    "unknown_model.py": (
        """
        from autogen_agentchat.agents import AssistantAgent
        MODEL = "openai"

        def build(context):
            return AssistantAgent("greeter", model_client=context.model())
        """,
        "'openai' names no model: write openai:name, as in openai:gpt-4o-mini",
    ),
    "a name.py": (GOOD, "its name must be 1 to 64 letters, digits, _ or -, since it is the agent's"),
    "naïve.py": (GOOD, "its name must be 1 to 64 letters, digits, _ or -, since it is the agent's"),
    "a.b.py": (GOOD, "its name must be 1 to 64 letters, digits, _ or -, since it is the agent's"),
    "twice.py": (GOOD, "2 files have its name (.json, .py): rename or remove all but one"),
    "twice.json": ("{}", ""),
    "imports_broken.py": (
        """
        from . import _broken
        """,
        "SyntaxError (line 2); the service's log has the whole",
    ),
}


@pytest.fixture
async def broken(folder: Folder, with_openai: dict[str, Any]) -> Any:
    """A service with every broken file there is, and a good one."""
    for name, (content, _) in BROKEN.items():
        folder.add(name, content)
    folder.add("null.py", b"x = '\0'")
    folder.add("latin.py", "x = 'ä'".encode("latin-1"))
    folder.add("_broken.py", "def f(:")
    folder.add("greeter.py", GOOD)
    folder.add("notes.txt", "no agent")
    folder.add(".hidden.py", "raise ValueError")
    (folder.path / "folder.py").mkdir()
    async with serving(**with_openai) as service:
        yield service


async def test_each_broken_file_is_named_with_its_reason(broken: Service) -> None:
    """The reason says what is wrong and in which line, in the file's own names; the log has the rest."""
    found = await reasons(broken)
    expected = {name.rpartition(".")[0]: reason for name, (_, reason) in BROKEN.items() if reason}
    assert {name: found.get(name) for name in expected} == expected
    assert set(found) - set(expected) == {"null", "latin"}


async def test_a_reason_tells_no_secret_and_no_path(broken: Service, folder: Folder) -> None:
    """Nothing that the files, their errors or the machine hold, but names in the code."""
    for path in ("/agents", "/readyz"):
        text = (await broken.client.get(path)).text
        assert SECRET not in text
        assert "/etc" not in text
        assert str(folder.path) not in text
        assert sys.prefix not in text


async def test_the_others_are_served(broken: Service) -> None:
    """The catalog and the good file, which can be run."""
    items = (await broken.get("/agents"))["items"]
    assert {card["name"] for card in items if card["status"] == "ready"} == CATALOG | {"greeter"}
    assert [card["name"] for card in items] == sorted(card["name"] for card in items)
    assert (await broken.run("greeter", "hi"))["output"] == "You said: hi"


async def test_a_broken_agent_is_listed_and_not_run(broken: Service) -> None:
    """/readyz names each and stays 200; a run is answered 503 with the reason."""
    found = await reasons(broken)
    ready = await broken.get("/readyz")
    assert ready["status"] == "ready"
    assert ready["checks"]["agents"]["status"] == "degraded"
    assert {card["name"]: card["reason"] for card in ready["checks"]["agents"]["invalid"]} == found
    for name in ("syntax", "a name"):
        card = await broken.get(f"/agents/{name}")
        assert (card["status"], card["kind"]) == ("invalid", None)
        for way in ("run", "stream"):
            response = await broken.client.post(f"/agents/{name}/{way}", json={"task": "hi"})
            problem = response.json()
            assert (response.status_code, problem["type"]) == (503, "urn:waggle:problem:agent-invalid")
            assert found[name] in problem["detail"]
    assert (await broken.client.get("/agents/folder")).status_code == 404


async def test_the_log_has_the_whole(
    folder: Folder, with_openai: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """What a caller is not told stands in the service's log."""
    folder.add("raises.py", BROKEN["raises.py"][0])
    async with serving(**with_openai):
        pass
    (record,) = [record for record in caplog.records if "raises" in record.getMessage()]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert "see /etc/agents.toml" in str(record.exc_info[1])


async def test_files_may_share_code(folder: Folder, with_openai: dict[str, Any]) -> None:
    """A file whose name begins with `_` is no agent, and the others import it."""
    folder.add("_shared.py", "PROMPT = 'Be kind.'")
    folder.add("one-agent.py", GOOD.replace("def build", "from . import _shared\n\n    def build"))
    async with serving(**with_openai) as service:
        assert (await service.get("/agents/one-agent"))["status"] == "ready"
        assert (await service.client.get("/agents/_shared")).status_code == 404


IMPORTS = """
    import sys

    assert hasattr(sys.modules.get("httpx"), "URL"), "half of it"

    def build(context):
        return None
"""


async def test_no_file_meets_half_a_module(tmp_path: Path) -> None:
    """OpenAI's SDK uses `httpx` from the moment it is among the modules: another file might have begun to import it.

    That was an agent now and then that was not served until the next start: module 'httpx' has no attribute 'URL'.
    """
    Folder(tmp_path / "agents").add("looks.py", IMPORTS)
    async with started(tmp_path, {"MODEL": "replay:none.json"}) as service, service.client() as client:
        (looks,) = [card for card in (await client.get("/agents")).json()["items"] if card["name"] == "looks"]
    assert "AssertionError" not in looks["reason"]
    assert "neither an AutoGen agent nor a team" in looks["reason"]
