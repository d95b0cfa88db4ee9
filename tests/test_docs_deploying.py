import re
from pathlib import Path

import pytest

from app.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("docs/deploying.md", "SECURITY.md")}


@pytest.mark.parametrize("name", PAGES)
def test_what_it_points_to_is_there(name: str) -> None:
    """Files, and headings within them."""
    for target, heading in re.findall(r"\]\(([^):#]*)#?([^):]*)\)", PAGES[name]):
        page = ((ROOT / name).parent / target).resolve() if target else ROOT / name
        assert page.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}, heading


@pytest.mark.parametrize("name", PAGES)
def test_what_it_calls_settings_are_settings(name: str) -> None:
    """Every variable in small capitals is one; the rest are named here, with whose they are."""
    of_docker = {"EXTRAS", "PYTHON", "SOURCE_DATE_EPOCH"}
    named = set(re.findall(r"\b([A-Z]{2,}(?:_[A-Z]+)+|AUTH|ROLE|EXTRAS|PYTHON)\b", PAGES[name]))
    assert named - of_docker <= {field.upper() for field in Settings.model_fields}


def test_what_it_watches_is_measured() -> None:
    """Each metric of the table is in docs/metrics.md, by its OpenTelemetry name."""
    measured = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    watched = set(re.findall(r"\bwaggle_(\w+)", PAGES["docs/deploying.md"]))
    assert watched
    for metric in watched:
        name = "waggle." + re.sub(r"_(total|seconds)$", "", metric).replace("_", ".")
        assert f"`{name}`" in measured or f"`{name.replace('event.loop.lag', 'event_loop.lag')}`" in measured, metric


@pytest.mark.parametrize("target", ["audit", "sbom", "try-image"])
def test_its_make_targets_exist(target: str) -> None:
    assert f"\n{target}:" in (ROOT / "Makefile").read_text()
