"""Benchmark: the overhead of a batch per request, and the memory that 10,000 requests take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.batch import earlier_run
from tests.bench.figures import Figures
from tests.bench.peer import Peer

pytestmark = pytest.mark.bench

ROOT = Path(__file__).resolve().parents[2]
REQUESTS = 200
ROUNDS = 3
BUDGET = 1e-3
"""In seconds of processor time per request."""
LIMIT = 3e-3
"""Above it the test fails: it is the difference of two figures that vary by 1 ms where the computer is busy."""
MANY = 10_000
KEPT = 9_700
"""Those that an earlier run has saved: to send them all would take minutes, and take no more memory."""
MEMORY = 200 * 1000 * 1000


def measured(package: str, how: str, count: int, peer: Peer, folder: Path, *earlier: Path) -> tuple[float, int]:
    """Seconds of processor time per request, and the largest memory in bytes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder)}
    command = [sys.executable, "-m", "tests.bench.batch", package, how, peer.http, str(count), *map(str, earlier)]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True, timeout=300)
    spent, _, memory = done.stdout.split()
    return float(spent), int(memory)


@pytest.mark.parametrize("package", ["sogni", "sogni_async"])
def test_the_bookkeeping_of_a_batch(package: str, peer: Peer, figures: Figures, tmp_path: Path) -> None:
    """Reading and checking the rows, the journal and the report, beside create, wait and save without a batch."""
    rounds = [
        [measured(package, how, REQUESTS, peer, tmp_path)[0] for how in ("plain", "batch")] for _ in range(ROUNDS)
    ]
    plain, batch = (min(column) for column in zip(*rounds, strict=True))
    figures.add(
        f"{package}: bookkeeping of a batch, per request",
        f"{(batch - plain) * 1e3:.2f} ms ({batch / plain:.2f} × without)",
        f"{plain * 1e3:.2f} ms",
        f"{BUDGET * 1e3:g} ms",
    )
    assert batch - plain <= LIMIT


def test_the_memory_of_a_large_batch(peer: Peer, figures: Figures, tmp_path: Path) -> None:
    """The whole process, with its libraries."""
    (tmp_path / "out").mkdir()
    earlier_run(peer.http, MANY, KEPT, tmp_path)
    _, memory = measured("sogni_async", "batch", MANY, peer, tmp_path, tmp_path)
    figures.add(
        f"sogni_async: a batch of {MANY:,} requests",
        f"{memory / 1e6:.0f} MB",
        "",
        f"{MEMORY / 1e6:.0f} MB",
    )
    assert memory <= MEMORY
