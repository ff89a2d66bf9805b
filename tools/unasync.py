"""Generate the blocking front end from the asyncio one.

`client.py`, `batch.py` and `api/` of `sogni_async` are written by hand; those of `sogni` are generated from them and
must not be edited.

    python tools/unasync.py           # write the generated files
    python tools/unasync.py --check   # exit with status 1 if any of them is out of date

The translation is textual: `await` and `async` disappear, and the names in `NAMES` are replaced. What differs in
more than that between the packages (locks, waiting for several projects, calling user code) belongs in
`transport/`, where both packages offer the same names.
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE, TARGET = "sogni_async", "sogni"
STAMP = "# Generated from {source} by tools/unasync.py. Do not edit.\n"

NAMES = {
    "from sogni_async.transport.http import AsyncBinaryIO": "from typing import BinaryIO",
    "sogni_async": "sogni",
    "AsyncBinaryIO": "BinaryIO",
    "AsyncIterator": "Iterator",
    "StopAsyncIteration": "StopIteration",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "asyncio client": "blocking client",
}
_NAMES = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in NAMES))
_AWAITED_OPERAND = re.compile(r"(?<![\w\])])\(await ")


def main() -> int:
    """Write or check the generated files; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only, and show what is out of date")
    check = parser.parse_args().check
    wanted = {target: blocking(source) for source, target in pairs()}
    orphans = sorted(set((ROOT / TARGET / "api").glob("*.py")) - set(wanted))
    outdated = [target for target, text in wanted.items() if not target.exists() or target.read_text() != text]
    for target in outdated:
        if check:
            show_difference(target, wanted[target])
        else:
            target.write_text(wanted[target])
            print(f"wrote {target.relative_to(ROOT)}")
    for target in orphans:
        print(f"{target.relative_to(ROOT)} has no source in {SOURCE}/", file=sys.stderr)
    return 1 if orphans or (check and outdated) else 0


def pairs() -> list[tuple[Path, Path]]:
    """Source and target of every generated file."""
    sources = [ROOT / SOURCE / "client.py", ROOT / SOURCE / "batch.py", *sorted((ROOT / SOURCE / "api").glob("*.py"))]
    return [(source, ROOT / TARGET / source.relative_to(ROOT / SOURCE)) for source in sources]


def blocking(source: Path) -> str:
    """The blocking form of a module, formatted."""
    text = source.read_text()
    text = unwrap_awaited(text)
    text = re.sub(r"\basync (def|with|for)\b", r"\1", text)
    text = re.sub(r"\bawait ", "", text)
    text = _NAMES.sub(lambda found: NAMES[found[0]], text)
    stamp = STAMP.format(source=source.relative_to(ROOT).as_posix())
    return formatted(stamp + text, ROOT / TARGET / source.relative_to(ROOT / SOURCE))


def unwrap_awaited(text: str) -> str:
    """Replace `(await x).y` by `x.y`: without `await` the parentheses are superfluous."""
    while found := _AWAITED_OPERAND.search(text):
        start, depth = found.end(), 1
        for end in range(start, len(text)):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            if not depth:
                break
        text = text[: found.start()] + text[start:end] + text[end + 1 :]
    return text


def formatted(text: str, path: Path) -> str:
    """Format the text of a file: sort imports, simplify `for x in y: yield x`, lay it out."""
    ruff = [sys.executable, "-m", "ruff"]
    where = ["--stdin-filename", str(path), "-"]
    fixes = ["--fix", "--unsafe-fixes", "--exit-zero", "--select", "I,UP028"]
    fixed = run([*ruff, "check", "--quiet", *fixes, *where], text)
    return run([*ruff, "format", "--quiet", *where], fixed)


def run(command: list[str], text: str) -> str:
    """Feed a command and return what it prints."""
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def show_difference(target: Path, text: str) -> None:
    """Print how a file differs from what would be generated."""
    name = target.relative_to(ROOT).as_posix()
    current = target.read_text() if target.exists() else ""
    lines = difflib.unified_diff(current.splitlines(), text.splitlines(), name, f"{name} (generated)", lineterm="")
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
