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

# Programs, which receive and return, but do not hear and say.
_PROGRAM = (
    "(client|emulator|engine|frame|function|library|listener|method|package|program|server|service|socket|worker)s?"
)
# `text` is also a field of what SAM 3 segments ("points, boxes or a text"), and an adjective ("a text file").
_OTHER_TEXT = (
    r"( (area|block|document|editor|encoder|field|file|format|message|model|node|or|part|prompt|tool)s?|, points| is)"
)
_NOUNS = (
    "class|dict|endpoint|field|frame|function|id|image|job|JSON|list|mapping|media|number|object|path|project|string"
)

PHRASES = {
    r"texts": "strings",
    rf"(a|another|each|every|this|that) text(?!{_OTHER_TEXT}\b)": "a string, text",
    r"address(es)? of (\w+ ){0,2}(endpoint|file|image|media|page|resource|result|service|video)s?": "URL",
    r"(is|are|was|were|be|been) told|hears?|heard (of|from)|spoken or heard": "receives, is notified",
    rf"{_PROGRAM} (says?|said|tells?|told|asks?|asked)": "returns, reports, requests",
    r"go(es)? on( with)?(?= (working|waiting|to|until|when|after|in the)\b)|goes on|went on": "continues",
    r"(caught|catch(es)?|catching) up with": "resynchronized",
    r"(let|lets|letting) go of": "released",
    r"is no success|no success": "did not succeed",
    rf"(?<!there )(?<!what )(is|are|was|were) no ({_NOUNS}|text|token|URL)s?": "is not a …",
    r"what cannot (be|stay|work)|(what|which) nobody can": "invalid arguments, a malformed response",
    r"(leave|leaves|left|leaving) (\w+ ){0,3}away": "omit",
    r"to be had|(can|cannot|could|may) be had": "available",
    r"as far as (it|they|this|that|the \w+) (can|is|are|have|goes|applies|apply|lists?)": "if available",
    r"(module|function|class|which) decides what|\w+: (decides|who may (see|send|use))": "what it does",
    r"what (becomes?|became|has become|will become) of": "the outcome of",
    r"(is|are) of no use|of (no|any) (more )?use": "expired, invalid",
    r"every way of waiting|whoever": "all wait methods, callers",
    r"what (is|are) no": "invalid …, malformed …",
    r"growing pauses": "exponential backoff",
    r"(?<!state )(?<!-)machines?(?!-)": "host, computer",
    r"sheets?": "protocol notes",
    r"chores?": "background tasks",
    r"(asyncio|async|blocking|both|either|sync|thin|two) shells?": "front end",
    r"(a|an|every|its|same|the) handles?(?= (are|for|has|in|is|of|that|to|which)\b)": "object",
    r"house (style|rules?)|(in|of) the house": "code base",
    r"none of (them|these|those)": "invalid",
    r"any more(?! \w)": "no longer, anymore",
    r"anew|in vain": "again, without success",
}
"""Regular expressions for whole words, and what to write instead."""
# Words may be on two lines; spaces before a parenthesis are in lookbehinds, whose length is fixed.
_PHRASES = {
    re.compile(rf"(?<!\w)(?:{re.sub(r' (?![)])', ' +', phrase)})\b", re.IGNORECASE): instead
    for phrase, instead in PHRASES.items()
}
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`|^<!--.*?-->", re.MULTILINE | re.DOTALL)


def pages() -> Iterator[Path]:
    """The documentation, without the protocol notes, and the files beside it."""
    yield from sorted(ROOT.glob("*.md"))
    yield from sorted((ROOT / "examples").rglob("*.md"))
    docs = ROOT / "docs"
    yield from (
        path for path in sorted(docs.rglob("*.md")) if path.relative_to(docs).parts[0] not in ("_build", "protocol")
    )


def modules() -> Iterator[Path]:
    """The source files of both packages, tools, examples and tests, without this file and its test."""
    for folder in ("sogni", "sogni_async", "docs", "examples", "tests", "tools"):
        yield from (
            path for path in sorted((ROOT / folder).rglob("*.py")) if path.stem.removeprefix("test_") != "wording"
        )


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The prose in a file, with the number of its first line: a page without code, or the strings of a module.

    Of tests, it is only what the module is about: they contain prompts and messages of the service.
    """
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        # Code is replaced by as many lines.
        yield 1, _CODE.sub(lambda found: "\n" * found[0].count("\n"), source)
        return
    module = ast.parse(source)
    if path.is_relative_to(ROOT / "tests"):
        yield 1, ast.get_docstring(module) or ""
        return
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def phrases_in(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, words and what to write instead, for every phrase in `text`."""
    for expression, instead in _PHRASES.items():
        for found in expression.finditer(text.replace("\n", " ")):
            yield text.count("\n", 0, found.start()), " ".join(found[0].split()), instead


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
