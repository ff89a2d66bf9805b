"""Benchmark: projects per second with the emulator. For orientation only: most of the time is the emulator's."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sogni.emulator import Balance, LocalSupernet
from tests.bench.figures import Figures
from tests.bench.peer import MODEL

pytestmark = pytest.mark.bench

PROJECTS = 200
THREADS = 8
REQUEST: dict[str, Any] = {
    "type": "image",
    "model_id": MODEL,
    "positive_prompt": "a lighthouse",
    "width": 256,
    "height": 256,
    "steps": 2,
}


def supernet() -> LocalSupernet:
    return LocalSupernet(step_time=0, workers=8, balance=Balance(spark=10**6, sogni=10**6))


def test_projects_from_threads(figures: Figures) -> None:
    with supernet() as started, started.client() as client:

        def one(_: int) -> int:
            return len(client.projects.create(**REQUEST).wait_for_completion(timeout=60))

        begun = time.monotonic()
        with ThreadPoolExecutor(THREADS) as threads:
            assert sum(threads.map(one, range(PROJECTS))) == PROJECTS
        note(figures, f"sogni: {PROJECTS} projects from {THREADS} threads", begun)


def test_projects_in_asyncio(figures: Figures) -> None:
    async def run() -> None:
        async with started.async_client() as client:

            async def one() -> int:
                project = await client.projects.create(**REQUEST)
                return len(await project.wait_for_completion(timeout=60))

            begun = time.monotonic()
            assert sum(await asyncio.gather(*(one() for _ in range(PROJECTS)))) == PROJECTS
            note(figures, f"sogni_async: {PROJECTS} projects at once", begun)

    with supernet() as started:
        asyncio.run(run())


def note(figures: Figures, what: str, begun: float) -> None:
    figures.add(what, f"{PROJECTS / (time.monotonic() - begun):.0f} projects/s", "", "")
