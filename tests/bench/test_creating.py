"""Benchmark: creating a project, compared with the published client, which is run and never read.

Both run in processes of their own, against the same server, in turn. The published client is taken from the interpreter
that SOGNI_CLIENT_PYTHON names, or else installed into an environment of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.bench.figures import Figures
from tests.bench.peer import MODEL, Peer

pytestmark = pytest.mark.bench

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = "sogni-client==5.70.0"
PROJECTS = 1000
ROUNDS = 5
BUDGET = 1.0
"""In terms of the published client."""
LIMIT = 1.5
"""Above it the test fails. The ratio was 0.91 to 1.07 in runs on a host that other programs kept busy."""
SHARED = f"""
import asyncio, resource, sys, time
address, count = sys.argv[1], int(sys.argv[2])
settings = {{"api_key": "bench", "app_id": "bench", "rest_endpoint": address}}
settings["socket_endpoint"] = address.replace("http", "ws")
wanted = {{"type": "image", "model_id": {MODEL!r}, "positive_prompt": "a lighthouse", "number_of_media": 1, "steps": 4}}
def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
"""
OURS = """
from sogni import SogniClient
with SogniClient(**settings) as client:
    for done in range(-100, count):
        if done == 0:
            time.sleep(0.3)
            before = spent()
        client.projects.create(**wanted)
    time.sleep(0.3)
    print((spent() - before) / count)
"""
THEIRS = """
from sogni_client import SogniClient
async def main():
    client = await SogniClient.create(**settings)
    for done in range(-100, count):
        if done == 0:
            await asyncio.sleep(0.3)
            before = spent()
        await client.projects.create(**wanted)
    await asyncio.sleep(0.3)
    print((spent() - before) / count, flush=True)
asyncio.run(asyncio.wait_for(main(), 120))
"""


def has_published(python: str) -> bool:
    return subprocess.run([python, "-c", "import sogni_client"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that has the published client."""
    named = os.environ.get("SOGNI_CLIENT_PYTHON")
    if named:
        return named
    if has_published(sys.executable):
        return sys.executable
    home = tmp_path_factory.mktemp("published")
    venv.create(home, with_pip=True)
    python = str(home / ("Scripts" if os.name == "nt" else "bin") / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PUBLISHED]
    try:
        subprocess.run(install, check=True, capture_output=True, timeout=180)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(f"{PUBLISHED} cannot be installed here")
    return python


def seconds(python: str, program: str, peer: Peer) -> float:
    """Processor time of one client per project, threads that write included."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} if program is OURS else None
    command = [python, "-c", SHARED + program, peer.http, str(PROJECTS)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=180)
    return float(done.stdout.split()[-1])


def test_creating_a_project(peer: Peer, published: str, figures: Figures) -> None:
    rounds = [(seconds(published, THEIRS, peer), seconds(sys.executable, OURS, peer)) for _ in range(ROUNDS)]
    theirs, ours = (min(column) for column in zip(*rounds, strict=True))
    what = "sogni: creating a project"
    figures.add(
        what,
        f"{ours / theirs:.2f} × published client ({ours * 1e3:.3f} ms)",
        f"{theirs * 1e3:.3f} ms",
        f"{BUDGET} × published client",
    )
    assert ours <= theirs * LIMIT
