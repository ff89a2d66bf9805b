"""Benchmark: importing a package and creating a client, in processes of their own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from tests.bench.figures import Figures

pytestmark = pytest.mark.bench

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 7
BUDGET = 0.060
"""For importing a package, Python's own start included."""
CONSTRUCTING = 0.080
"""For constructing a client after the import."""
BARE = 0.015
"""Python alone on the machine the budget was made on; a slower machine may take longer in proportion."""
PROGRAMS = {
    "python alone": "",
    "import sogni": "import sogni",
    "import sogni_async": "import sogni_async",
    "sogni: constructing a client": "import sogni; sogni.SogniClient(api_key='bench')",
    "sogni_async: constructing a client": "import sogni_async; sogni_async.SogniClient(api_key='bench')",
}
BUDGETED = ("import sogni", "import sogni_async")
LIBRARIES = ("aiohttp", "cattrs", "requests", "websocket")
"""Loaded by the first use of a client."""
PACKAGES = ("sogni", "sogni_async")


def run(program: str) -> str:
    """Run a program and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def seconds(program: str) -> float:
    """Processor time of a process from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(program)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_importing(figures: Figures) -> None:
    run("import sogni, sogni_async; sogni.SogniClient, sogni_async.SogniClient")  # bytecode is compiled once
    found: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(ROUNDS):
        for name, program in PROGRAMS.items():
            found[name].append(seconds(program))
    medians = {name: median(times) for name, times in found.items()}
    bare = medians["python alone"]
    slowness = max(1.0, bare / BARE)
    for name, time in medians.items():
        budget = f"{BUDGET * 1000:.0f} ms" if name in BUDGETED else ""
        figures.add(name, f"{time * 1000:.0f} ms", f"{bare * 1000:.0f} ms", budget)
    constructing = {
        package: medians[f"{package}: constructing a client"] - medians[f"import {package}"] for package in PACKAGES
    }
    for package, time in constructing.items():
        budget = f"{CONSTRUCTING / BARE:.1f} × python alone"
        figures.add(f"{package}: constructing after importing", f"{time / bare:.1f} × python alone", "", budget)
    assert max(medians[name] for name in BUDGETED) <= BUDGET * slowness
    assert max(constructing.values()) <= CONSTRUCTING * slowness


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("then", ["", ".SogniClient(api_key='bench')"], ids=["imported", "constructed"])
def test_what_is_not_loaded(package: str, then: str) -> None:
    loaded = run(f"import sys, {package}; {package}{then}; print(*sys.modules)").split()
    assert set(loaded).isdisjoint(LIBRARIES)
