"""The pictures of the documentation are those that the script takes, are small, and are shown with what they show."""

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser

from tests.browser.pictures import FOLDER, ROOT, SCENES, take

LARGEST = 150_000
"""Bytes."""
SHOWN = re.compile(r"!\[([^\]]+)\]\((?:docs/)?pictures/playground-(\w+)\.png\)")


def shown(page: str) -> dict[str, str]:
    """The pictures of the page, by name, with their texts."""
    return {name: text for text, name in SHOWN.findall((ROOT / page).read_text(encoding="utf-8"))}


def test_every_picture_is_shown() -> None:
    """Each of the script's is a file, each file is the script's, and has a text of its own in the documentation."""
    files = {path.stem.removeprefix("playground-") for path in FOLDER.glob("playground-*.png")}
    texts = shown("docs/playground.md")
    assert files == set(SCENES) == set(texts)
    assert len(set(texts.values())) == len(texts)
    assert all(len(text) > 20 for text in texts.values())
    assert set(shown("README.md")) <= files
    assert shown("README.md")


@pytest.mark.parametrize("name", SCENES)
def test_a_picture_is_small(name: str) -> None:
    """So that a clone, and a page, is quick."""
    path = FOLDER / f"playground-{name}.png"
    assert path.stat().st_size <= LARGEST
    size = SCENES[name].options["viewport"]
    with Image.open(path) as picture:
        assert picture.size == (size["width"], size["height"])


async def test_the_pictures_can_be_taken(chromium: Browser, tmp_path: Path) -> None:
    """The script still finds what it shows."""
    await take(SCENES, tmp_path)
    assert len(list(tmp_path.iterdir())) == len(SCENES)  # noqa: ASYNC240 for a test's folder
