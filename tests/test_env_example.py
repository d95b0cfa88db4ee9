import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import AliasChoices

from app.settings import Settings

ROOT = Path(__file__).parents[1]
SETTING = re.compile(r"#([A-Z][A-Z0-9_]*)=(.*)")


def example() -> Iterator[tuple[str, str, str]]:
    """Name, value and explanation of each setting in `.env.example`."""
    explanation: list[str] = []
    for line in (ROOT / ".env.example").read_text().splitlines():
        if setting := SETTING.fullmatch(line):
            yield setting[1], setting[2], " ".join(explanation)
            explanation = []
        else:
            assert line == "" or line.startswith(("# ", "## ")), f"neither a comment nor a setting: {line!r}"
            explanation = [*explanation, line[2:]] if line.startswith("# ") else []


def shown(default: Any) -> str:
    match default:
        case None | ():
            return ""
        case bool():
            return str(default).lower()
        case tuple():
            return ",".join(default)
        case _:
            return str(default)


def names(field: str) -> list[str]:
    """The variables a field is read from, the one to be shown first."""
    alias = Settings.model_fields[field].validation_alias
    assert alias is None or isinstance(alias, AliasChoices)
    return [str(name).upper() for name in (alias.choices if alias else [field])]


def test_every_setting_is_there_with_its_default_and_its_explanation() -> None:
    """`.env.example` says neither more nor less than `Settings` does."""
    fields = Settings.model_fields.items()
    assert sorted(example()) == sorted(
        (names(name)[0], shown(field.default), " ".join((field.description or "").split())) for name, field in fields
    )


def test_other_names_of_a_setting_are_mentioned() -> None:
    """A variable that is read as well is in the explanation of the one that is shown."""
    explained = {name: explanation for name, _, explanation in example()}
    others = [(first, other) for first, *rest in map(names, Settings.model_fields) for other in rest]
    assert others
    assert [(first, other) for first, other in others if other not in explained[first]] == []


def test_uncommented_it_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line is valid as it stands, and means the default."""
    for name in (name for field in Settings.model_fields for name in names(field)):
        monkeypatch.delenv(name, raising=False)
    everything = tmp_path / ".env"
    everything.write_text(SETTING.sub(r"\1=\2", (ROOT / ".env.example").read_text()))
    assert "\nPORT=8000\n" in everything.read_text()
    assert Settings(_env_file=everything) == Settings(_env_file=None)
