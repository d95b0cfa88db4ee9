"""What MkDocs does not do by itself: pages for what is linked to elsewhere in the repository, folders in the navigation.

A link to `../SECURITY.md` leads to a page of the site, one to a file or a folder of code to a page that shows it. So
the same link serves here, on a forge and in an editor, and the site leads nowhere that was not built with it.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)[^)#\s]+")


def on_config(config: MkDocsConfig) -> None:
    """List what is in a folder, where the navigation names one: `Decisions: decisions/`."""
    for section in config.nav:
        for entries in section.values():
            for entry in entries:
                if isinstance(entry, dict):
                    entry.update({title: listed(folder) for title, folder in entry.items()})


def listed(folder: str) -> list[str]:
    return sorted(f"{folder}{path.name}" for path in (ROOT / "docs" / folder).glob("*.md"))


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add a page for everything outside of docs/ that a page links to, and for what those link to in turn."""
    pages = list(files.documentation_pages())
    for page in pages:
        for target in LINK.findall(page.content_string):
            path = path_of(target, page.src_uri)
            if not path.startswith("docs/") and uri_of(path) not in files.src_uris:
                pages.append(File.generated(config, uri_of(path), content=shown(ROOT / path)))
                files.append(pages[-1])


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Lead its links to those pages."""
    uri = page.file.src_uri
    folder = posixpath.dirname(uri) or "."
    return LINK.sub(lambda link: posixpath.relpath(uri_of(path_of(link[0], uri)), folder), markdown)


def path_of(target: str, uri: str) -> str:
    """What a link on the page of that URI means, from the repository's root."""
    page = uri.removeprefix("repository/") if uri.startswith("repository/") else f"docs/{uri}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), target))


def uri_of(path: str) -> str:
    """Where the site has it."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    shown = path.lstrip(".")  # MkDocs leaves out what begins with a dot
    return f"repository/{shown}" if path.endswith(".md") else f"repository/{shown}.md"


def shown(path: Path) -> str:
    """A page's markdown: a text as it is, code in a block, a folder as all that is in it."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix != ".pyc") or [path]
    blocks = (
        f"## {file.relative_to(path.parent)}\n\n````{file.suffix[1:]}\n{file.read_text(encoding='utf-8')}````\n"
        for file in files
    )
    return f"---\nsearch:\n  exclude: true\n---\n\n# {path.relative_to(ROOT)}\n\n" + "\n".join(blocks)
