"""Benchmark: the emulator under load, each figure from a process of its own. Only its memory has a budget."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.bench.emulator_load import ROOT
from tests.bench.figures import Figures

pytestmark = pytest.mark.bench

BUDGET = 2 * 150
"""MB of memory after 10,000 projects: twice the aim, because other systems count and allocate differently."""
SERVER = """
import json, sys, time
from sogni.emulator import Balance, LocalSupernet
from tests.bench.emulator_load import Load

begun = time.perf_counter()
supernet = LocalSupernet(step_time=0, workers=8, balance=Balance(spark=10**6, sogni=10**6)).start()
started = time.perf_counter() - begun
before = time.process_time()
seconds = Load(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])).run(supernet.socket_endpoint, supernet.api_key)
cpu = time.process_time() - before
memory = None
if sys.platform == "linux":
    lines = open("/proc/self/status").read().splitlines()
    memory = int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
supernet.close()
print(json.dumps({"started": started, "seconds": seconds, "cpu": cpu, "memory": memory}))
"""


def loaded(kind: str, sockets: int, each: int) -> dict[str, float]:
    """Return the figures of an emulator that serves a load."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SERVER, kind, str(sockets), str(each)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=180
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", ["projects", "chats"])
def test_many_at_once(kind: str, figures: Figures) -> None:
    """1,000 projects over 200 sockets, 2,000 chats over 100."""
    sockets, each = (200, 5) if kind == "projects" else (100, 20)
    found = loaded(kind, sockets, each)
    what = f"emulator: {sockets * each} {kind} over {sockets} sockets"
    figures.add(what, f"{found['seconds']:.1f} s ({found['cpu']:.1f} s of processor time)")


def test_memory_of_many_projects(figures: Figures) -> None:
    found = loaded("projects", 10, 1000)
    figures.add("emulator: starting, after the import", f"{found['started'] * 1000:.0f} ms")
    if found["memory"] is None:
        pytest.skip("only Linux tells the memory of a process")
    what = "emulator: memory after 10,000 projects"
    figures.add(what, f"{found['memory']:.0f} MB, {found['seconds']:.1f} s", "", f"{BUDGET} MB")
    assert found["memory"] <= BUDGET
