"""Play the recorded conformance cases against both packages, and compare with what is known to differ.

Called by `.ci/run`. The cases and their runner stand outside this repository: in the folder that
SOGNI_VECTORS names, else in `../shared/vectors` beside the checkout; without them there is nothing to do.
`known.json` lists the cases that are meant to differ: `{"id", "reason"}`, with `"package"` when only one of
the two differs. Exit code 1: a case fails that is not listed, or a listed one passes or is gone (then the
entry is to be removed). docs/explanation/differences.md lists all intentional differences.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
KNOWN = Path(__file__).with_name("known.json")
PACKAGES = ("sogni", "sogni_async")
FAILURES = ("fail", "hang")
TIME_LIMIT_SECONDS = 300


def main() -> int:
    """Run; 0 when every difference is a known one."""
    vectors = Path(os.environ.get("SOGNI_VECTORS") or ROOT.parent / "shared" / "vectors")
    if not (vectors / "run.py").is_file():
        print(f"no recorded cases in {vectors}: conformance is not checked")
        return 0
    known = json.loads(KNOWN.read_text(encoding="utf-8"))
    wrong = [line for line in map(fault_of_entry, known) if line]
    # Side by side: most of the time goes by in pauses that the cases are about.
    with ThreadPoolExecutor(len(PACKAGES)) as pool:
        for package, played in zip(PACKAGES, pool.map(lambda name: play(vectors, name), PACKAGES), strict=True):
            print(f"\n{package}\n{played.said}", flush=True)
            wrong += compare(package, played.results, known)
    print()
    for line in wrong:
        print(line)
    print("every case is as it should be" if not wrong else f"{len(wrong)} cases need attention")
    return 1 if wrong else 0


class Played(NamedTuple):
    """What the runner printed, and what it found, case by case."""

    said: str
    results: list[dict[str, Any]]


def play(vectors: Path, package: str) -> Played:
    """Have the runner play all cases with one package."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.json")
        command = [sys.executable, "run.py", "--package", package, "--jobs", "2", "--json", str(report)]
        # The vectors may be read-only, and their folder is not ours to write caches to.
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            ended = subprocess.run(
                command,
                cwd=vectors,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                timeout=TIME_LIMIT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            sys.exit(f"{package}: the cases did not end within {TIME_LIMIT_SECONDS} s")
        if not report.is_file():
            sys.exit(f"{ended.stdout}\n{package}: the runner ended with status {ended.returncode}, without a report")
        return Played(ended.stdout, json.loads(report.read_text(encoding="utf-8"))["results"])


def compare(package: str, results: list[dict[str, Any]], known: list[dict[str, str]]) -> list[str]:
    """One line per case that is not as listed."""
    listed = {entry["id"] for entry in known if entry.get("package", package) == package}
    verdicts = {result["id"]: result["verdict"] for result in results}
    failing = {case for case, verdict in verdicts.items() if verdict in FAILURES}
    return [
        *(f"{package}: {case}: fails and is not in known.json" for case in sorted(failing - listed)),
        *(
            f"{package}: {case}: is in known.json, but {verdicts.get(case, 'there is no such case')}"
            for case in sorted(listed - failing)
        ),
    ]


def fault_of_entry(entry: dict[str, str]) -> str:
    """What is wrong with an entry of known.json; empty when nothing is."""
    if not entry.get("id") or not entry.get("reason", "").strip():
        return f"known.json: an entry needs an id and a reason: {entry}"
    if unknown := set(entry) - {"id", "package", "reason"}:
        return f"known.json: {entry['id']}: unknown keys {sorted(unknown)}"
    if entry.get("package", PACKAGES[0]) not in PACKAGES:
        return f"known.json: {entry['id']}: no such package: {entry['package']}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
