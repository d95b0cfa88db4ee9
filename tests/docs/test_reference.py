"""The pages that are written from the code are what the code would write now."""

from types import ModuleType

import pytest

from docs.site import endpoints_page, settings_page
from tests.docs.blocks import PAGES


@pytest.mark.parametrize("written", [settings_page, endpoints_page], ids=["settings", "endpoints"])
def test_the_page_is_what_would_be_written(written: ModuleType) -> None:
    """`python -m docs.site.settings_page`, or of `endpoints_page`, writes it anew."""
    assert PAGES[f"docs/{written.PAGE.name}"] == written.page()


def test_every_operation_has_its_request() -> None:
    """And none is left over of one that went."""
    headings = {
        line.removeprefix("### ") for line in PAGES["docs/endpoints.md"].splitlines() if line.startswith("### ")
    }
    assert {heading for heading in headings if " /" in heading} == endpoints_page.EXAMPLES.keys()
