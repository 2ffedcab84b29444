"""A hook of MkDocs: shows the files beside ``docs/`` that its pages link, as pages of the site.

Pages link ``../examples/plain_pytorch.py`` as they do where the repository is read; on the site,
which knows no address of the repository, the link leads to a page with the file's text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).parent.parent
FOLDER = "sources"

_LINK = re.compile(r"(?<=\]\()(\.\./[^)#\s]+)")
_LANGUAGES = {".py": "python", ".sbatch": "bash", ".sh": "bash", ".toml": "toml", ".yml": "yaml"}


def linked(page: str, text: str) -> list[str]:
    """The paths of files beside ``docs/`` that a page links, from the repository's root.

    Args:
        page: the page's own path in ``docs/``.
        text: its Markdown.
    """
    targets = (_target(page, link) for link in _LINK.findall(text))
    return sorted({target for target in targets if target is not None})


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each file that is linked."""
    from mkdocs.structure.files import File

    pages = list(files.documentation_pages())
    found = {path for page in pages for path in linked(page.src_uri, page.content_string)}
    for path in sorted(found):
        files.append(File.generated(config, _shown(path), content=_page(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lets links lead to these pages."""
    del config, files
    source = page.file.src_uri

    def lead(match: re.Match[str]) -> str:
        target = _target(source, match[1])
        if target is None:
            return match[1]
        return posixpath.relpath(_shown(target), posixpath.dirname(source) or ".")

    return _LINK.sub(lead, markdown)


def _target(page: str, link: str) -> str | None:
    """The path in the repository, or None where the link stays in ``docs/``."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
    return None if path.startswith("docs/") else path


def _shown(path: str) -> str:
    return f"{FOLDER}/{path.removesuffix('.md')}.md"


def _page(path: str) -> str:
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        return text
    language = _LANGUAGES.get(Path(path).suffix, "text")
    return f"# {path}\n\n````{language}\n{text}````\n"
