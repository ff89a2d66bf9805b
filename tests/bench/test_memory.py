"""Benchmark: the memory of a tracked project."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

import sogni
import sogni_async
from sogni.core.connection.messages import decode_frame
from sogni.core.connection.websocket import FrameDecoder
from tests.bench.clients import tracked
from tests.bench.figures import Figures
from tests.bench.peer import Progress

pytestmark = pytest.mark.bench

PROJECTS = 2000
FRAMES = 200
"""Of progress, per project."""
BUDGET = 4096


def frames_of_one() -> tuple[list[tuple[str, Any]], int]:
    """The frames of one project, decoded, and the step they end at."""
    progress = Progress(1)
    messages = FrameDecoder(1 << 30).feed(progress.block(FRAMES + 1))
    return [decode_frame(text) for _, text in messages[:-1]], progress.steps[0]


@pytest.mark.parametrize("package", [sogni, sogni_async], ids=lambda package: package.__name__)
def test_a_tracked_project_with_a_job(package: Any, figures: Figures) -> None:
    """At most 4 KB with its params and the handles of project and job, however many frames it has had."""
    client = package.SogniClient(api_key="bench", disable_socket=True)
    engine = client._engine
    frames, last = frames_of_one()
    held: list[Any] = []

    def fill(state: Any, _: float) -> None:
        for index in range(PROJECTS):
            project = tracked(state, index)
            handle = engine.present(project)
            held.append((handle, handle.jobs[0]))
        state.out.woken.clear()
        state.out.tasks.clear()

    def feed(state: Any, now: float) -> None:
        for project in state.projects.by_id.values():
            for kind, payload in frames:
                state.receive(kind, {**payload, "jobID": project.id, "imgID": next(iter(project.jobs))}, now)
            state.out.woken.clear()
            state.out.tasks.clear()

    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        engine.changed(fill)
        gc.collect()
        fresh = tracemalloc.get_traced_memory()[0]
        engine.changed(feed)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert [project.jobs[0].step for project, _ in held] == [last] * PROJECTS
    kept = (after - before) / PROJECTS
    at_first = (fresh - before) / PROJECTS
    figures.add(
        f"{package.__name__}: a tracked project, one job, {FRAMES} frames",
        f"{kept / 1024:.2f} KB ({at_first / 1024:.2f} KB before the frames)",
        "",
        f"{BUDGET // 1024} KB",
    )
    assert kept <= BUDGET
