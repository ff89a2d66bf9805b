"""Generate `llms.txt` and `llms-full.txt`, the documentation for language models (https://llmstxt.org).

`llms.txt` is an index of the pages, `llms-full.txt` the README and the pages about use. Run `python docs/llms.py` after
editing either; a test fails if the files are out of date.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PAGE = re.compile(r"\[([^\]]+)\]\((docs/[^)#]+\.md)\)")
_BACKGROUND = (
    "architecture", "coming-from-javascript", "coming-from-python", "contributing", "differences", "performance",
    "protocol",
)  # fmt: skip


def pages() -> list[tuple[str, str, str]]:
    """Return title, path and description of every page in the README's table."""
    found: list[tuple[str, str, str]] = []
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| [") and line.count("|") == 3:
            _, titles, description, _ = (part.strip() for part in line.split("|"))
            found += [(title, path, description) for title, path in _PAGE.findall(titles)]
    return found


def index() -> str:
    """The content of `llms.txt`."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    about = " ".join(readme.split("\n\n")[1].split())
    listed: dict[bool, list[str]] = {False: [], True: []}
    for title, path, description in pages():
        listed[Path(path).parts[1].removesuffix(".md") in _BACKGROUND].append(f"- [{title}]({path}): {description}")
    use, background = "\n".join(listed[False]), "\n".join(listed[True])
    first = "- [README](README.md): set-up and first steps"
    return f"# sogni\n\n> {about}\n\n## Use\n\n{first}\n{use}\n\n## Optional\n\n{background}\n"


def whole() -> str:
    """The content of `llms-full.txt`: the README and the pages about use."""
    use = [path for _, path, _ in pages() if Path(path).parts[1].removesuffix(".md") not in _BACKGROUND]
    texts = [(ROOT / path).read_text(encoding="utf-8").strip() for path in ("README.md", *use)]
    return "\n\n---\n\n".join(texts) + "\n"


FILES = {"llms.txt": index, "llms-full.txt": whole}

if __name__ == "__main__":
    for name, text in FILES.items():
        (ROOT / name).write_text(text(), encoding="utf-8")
