"""Benchmark: a shared emulator that is reset for each test, compared with a new one for each."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from sogni.emulator import LocalSupernet
from tests.bench.figures import SLACK, Figures

pytestmark = pytest.mark.bench

ROUNDS = 7
TESTS = 15
BUDGET = 0.25
"""In terms of an emulator that is started and closed for each test."""
ABSOLUTE = 0.005
"""Seconds per test where starting one takes what it took when the budget was made; a slower machine may take longer."""
STARTING = 0.005


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def test_renewing_an_emulator(figures: Figures) -> None:
    def start_and_close() -> None:
        for _ in range(TESTS):
            with LocalSupernet(step_time=0) as supernet:
                use(supernet)

    def renew(supernet: LocalSupernet) -> None:
        for _ in range(TESTS):
            use(supernet)
            supernet.renew()

    def use(supernet: LocalSupernet) -> None:
        supernet.faults.fail_job()
        supernet.account.set_balance(spark=1)

    start_and_close()
    with LocalSupernet(step_time=0) as shared:
        pairs = [(seconds(start_and_close), seconds(lambda: renew(shared))) for _ in range(ROUNDS)]
    found = figures.ratio("emulator: renewed for a test", pairs, TESTS, BUDGET)
    starting, renewing = (min(column) / TESTS for column in zip(*pairs, strict=True))
    assert found <= BUDGET * SLACK
    assert renewing <= ABSOLUTE * max(1.0, starting / STARTING)
