"""Background threads: what others wait for finds one."""

from __future__ import annotations

import threading
from typing import Any

from sogni.core.flow import Clock, Flow
from sogni.transport.background import MAX_THREADS, BackgroundTasks

SOON = 30.0


def test_urgent_work_finds_a_thread_when_all_are_taken() -> None:
    waited_for, taken = threading.Event(), threading.Semaphore(0)

    def waits() -> Flow[None]:
        yield Clock()

    def urgent() -> Flow[None]:
        waited_for.set()
        return
        yield

    def perform(_: Any) -> None:
        taken.release()
        assert waited_for.wait(SOON)

    tasks = BackgroundTasks(lambda: perform, lambda step: step.seconds)
    for _ in range(MAX_THREADS + 3):
        tasks.begin(waits())
    assert all(taken.acquire(timeout=SOON) for _ in range(MAX_THREADS))
    tasks.begin(urgent(), urgent=True)
    assert waited_for.wait(SOON)
    tasks.end()
    assert tasks.join(SOON)
