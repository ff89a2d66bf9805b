"""Benchmark: the memory that a large upload and a large download add to a process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench.figures import Figures
from tests.bench.peer import TRANSFER, Peer

pytestmark = pytest.mark.bench

ROOT = Path(__file__).resolve().parents[2]
BUDGET = 5 * 1000 * 1000


@pytest.mark.parametrize("package", ["sogni", "sogni_async"])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_large_file(package: str, direction: str, peer: Peer, figures: Figures) -> None:
    """At most 5 MB for 500 MB: a starting image given by its path, and `Job.save`."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.transfer", package, direction, peer.http, str(TRANSFER)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    grown = int(done.stdout)
    figures.add(
        f"{package}: {TRANSFER // 10**6} MB {direction}",
        f"{grown / 1e6:+.1f} MB (in {time.monotonic() - begun:.1f} s)",
        "",
        f"{BUDGET // 10**6} MB",
    )
    assert grown <= BUDGET
