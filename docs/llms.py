"""Generate `llms.txt` and `llms-full.txt`, the documentation for language models (https://llmstxt.org).

`llms.txt` is an index of the pages, `llms-full.txt` the README and all pages of the tutorial, the how-to guides and the
reference, with what Sphinx generates from the code. Both follow the tables of contents of the pages. Run
`python docs/llms.py` after editing a page or a docstring; a test fails if the files are out of date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
sys.path[:0] = [str(ROOT), str(DOCS)]

import expand  # noqa: E402

_TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.MULTILINE | re.DOTALL)
_OPTIONAL = ("explanation", "project", "protocol")
"""Sections that are listed in `llms.txt`, and are not part of `llms-full.txt`."""
_GENERATED = ("reference/coverage", "reference/javascript-names", "reference/python-names")
"""Pages that say nothing about use."""


def below(page: str) -> Iterator[str]:
    """The pages in the tables of contents of `page`, each followed by those in its own."""
    for found in _TOCTREE.finditer((DOCS / f"{page}.md").read_text(encoding="utf-8")):
        for line in found[1].split("\n"):
            if line and not line.startswith(":"):
                child = (DOCS / page).parent.joinpath(line).resolve().relative_to(DOCS).as_posix()
                yield child
                yield from below(child)


def title_and_summary(page: str) -> tuple[str, str]:
    """The title of a page, and its first sentence."""
    path = DOCS / f"{page}.md"
    text = path.read_text(encoding="utf-8")
    if included := re.match(r"```\{include\} (\S+)", text):
        text = (path.parent / included[1]).read_text(encoding="utf-8")
    text = re.sub(r"\A---\n.*?^---\n|^<!--.*?-->\n|^\(\S+\)=\n", "", text, flags=re.M | re.S)
    title, _, rest = text.strip().partition("\n")
    paragraph = next((it for it in rest.split("\n\n") if re.match(r"\s*[A-Z`\[]", it)), "")
    sentence = re.split(r"(?<=[.:!?])\s", " ".join(paragraph.split()))[0]
    return title.removeprefix("# "), re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", sentence)


def sections() -> dict[str, list[str]]:
    """The pages by the section they belong to: the title of the section's first page."""
    found: dict[str, list[str]] = {}
    for page in below("index"):
        folder = page.split("/")[0] if "/" in page else ""
        found.setdefault(folder, []).append(page)
    return found


def index() -> str:
    """The content of `llms.txt`."""
    about = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split("\n\n")[1].split())
    parts = [f"# sogni\n\n> {about}", "- [README](README.md): set-up and first steps"]
    optional: list[str] = []
    for folder, pages in sections().items():
        titles = {page: title_and_summary(page) for page in pages}
        lines = [f"- [{title}](docs/{page}.md): {summary}" for page, (title, summary) in titles.items()]
        if folder in _OPTIONAL or not folder:
            optional += lines
        else:
            parts.append(f"## {titles[pages[0]][0]}\n\n" + "\n".join(lines))
    return "\n\n".join([*parts, "## Optional\n\n" + "\n".join(optional)]) + "\n"


def whole() -> str:
    """The content of `llms-full.txt`."""
    use = [
        page
        for folder, pages in sections().items()
        for page in pages
        if folder not in _OPTIONAL and page not in _GENERATED
    ]
    paths = [ROOT / "README.md", *(DOCS / f"{page}.md" for page in use)]
    texts = (expand.for_language_models(path.read_text(encoding="utf-8")).strip() for path in paths)
    return "\n\n---\n\n".join(texts) + "\n"


FILES = {"llms.txt": index, "llms-full.txt": whole}

if __name__ == "__main__":
    for name, text in FILES.items():
        (ROOT / name).write_text(text(), encoding="utf-8")
