import re
from pathlib import Path

from app.errors import AppError

PAGE = (Path(__file__).parents[1] / "docs" / "errors.md").read_text()


def every(error: type[AppError] = AppError) -> set[tuple[str, str, str]]:
    """Kind, status and title of each; a subclass that keeps its parent's kind is the same problem."""
    return {(error.kind, str(error.status), error.title)}.union(*(every(inner) for inner in error.__subclasses__()))


def test_each_problem_has_its_section_and_no_section_is_left_over() -> None:
    """The page's headings are the kinds, and each section begins with its status and title."""
    sections = re.findall(r"^## (\S+)\n\n\*\*(\d+) ([^*]+)\.\*\*", PAGE, re.MULTILINE)
    assert len(sections) == PAGE.count("\n## ")
    assert sorted(sections) == sorted(every())


def test_the_table_lists_each_problem_with_its_status() -> None:
    """The overview has one row a problem, in the order of the statuses, each linking to its section."""
    rows = re.findall(r"^\| (\d+) \| \[(\S+)\]\(#(\S+)\) \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted((status, kind, kind) for kind, status, _ in every())
    assert [status for status, *_ in rows] == sorted(status for status, *_ in rows)
