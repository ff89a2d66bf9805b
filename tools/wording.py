"""Check spelling and wording of the documentation, of docstrings and of messages.

    python tools/wording.py   # list what is wrong, and exit with status 1 if there is anything

The spelling is checked by codespell. `PHRASES` are words and turns of phrase that this project does not use, each with
what to write instead.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PHRASES = {
    r"texts": "strings",
    r"(is|are|was|were|be|been) told|hears?": "receives, is notified",
    r"go(es)? on( with)?(?= (working|waiting|to|until|when|after|in the)\b)|goes on|went on": "continues",
    r"caught up with|catch(es)? up with": "resynchronized",
    r"let go of|lets go of": "released",
    r"is no success|no success": "did not succeed",
    r"(?<!there )(?<!what )(is|are|was|were) no (list|text|number|JSON|string|dict|token|URL|id)s?": "is not a …",
    r"what cannot be|(what|which) nobody can": "invalid arguments, a malformed response",
    r"(leave|leaves|left|leaving) (\w+ ){0,3}away": "omit",
    r"to be had|can be had": "available",
    r"(module|function|class|which) decides what": "what it does",
    r"(is|are) of no use": "expired, invalid",
    r"every way of waiting|whoever": "all wait methods, callers",
    r"what (is|are) no": "invalid …, malformed …",
    r"growing pauses": "exponential backoff",
    r"(?<!state )(?<!-)machines?(?!-)": "host, computer",
    r"sheets?": "protocol notes",
    r"none of them": "invalid",
    r"any more(?! \w)": "no longer, anymore",
}
"""Regular expressions for whole words, and what to write instead."""
_PHRASES = {re.compile(rf"\b(?:{phrase})\b", re.IGNORECASE): instead for phrase, instead in PHRASES.items()}
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`|^<!--.*?-->", re.MULTILINE | re.DOTALL)


def pages() -> Iterator[Path]:
    """The documentation, without the protocol notes, and the files beside it."""
    yield from (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "AGENTS.md"))
    docs = ROOT / "docs"
    yield from (
        path for path in sorted(docs.rglob("*.md")) if path.relative_to(docs).parts[0] not in ("_build", "protocol")
    )


def modules() -> Iterator[Path]:
    """The source files of both packages."""
    for package in ("sogni", "sogni_async"):
        yield from sorted((ROOT / package).rglob("*.py"))


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The text of a file, with the number of its first line: a page without code, or the strings of a module."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        # Code is replaced by as many lines.
        yield 1, _CODE.sub(lambda found: "\n" * found[0].count("\n"), source)
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def phrases_in(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, words and what to write instead, for every phrase in a text."""
    for expression, instead in _PHRASES.items():
        for found in expression.finditer(text):
            yield text.count("\n", 0, found.start()), found[0], instead


def wrong_wording(paths: Iterable[Path]) -> list[str]:
    """A line for each phrase that is not ours."""
    return [
        f"{path.relative_to(ROOT)}:{first + line}: {words!r}: {instead}"
        for path in paths
        for first, text in prose(path)
        for line, words, instead in phrases_in(text)
    ]


def main() -> int:
    """List what is wrong; 1 if there is anything."""
    found = wrong_wording([*pages(), *modules()])
    print("\n".join(found), end="\n" if found else "")
    # Its settings are in pyproject.toml.
    places = [*(str(path.relative_to(ROOT)) for path in pages()), "sogni", "sogni_async", "tools", "examples"]
    if find_spec("codespell_lib") is None:
        print("spelling is not checked: codespell is not installed")
        return 1 if found else 0
    spelled = subprocess.run([sys.executable, "-m", "codespell_lib", *places], cwd=ROOT, check=False)
    return 1 if found or spelled.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
