"""The time of day may be wrong, or be set while a client works: nothing that runs is given up for it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk, until

DAY = 24 * 3600.0


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set the time of day of the client; the emulator has a clock of its own."""
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + seconds)


def frames(supernet: LocalSupernet) -> list[str]:
    return [arrival.type for arrival in supernet.requests if hasattr(arrival, "type")]


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_a_set_clock_ends_no_project(sdk: Sdk, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    with LocalSupernet(step_time=0.3) as supernet:
        async with sdk.client(supernet) as client:
            project = await sdk.create(client, steps=5)
            await until(lambda: project.jobs and project.jobs[0].step > 0)
            set_clock(monkeypatch, jump)
            await sdk.call(project.wait, timeout=SOON)
            assert (project.status, "jobError" in frames(supernet)) == ("completed", False)


async def test_times_that_are_shown_follow_the_clock(
    sdk: Sdk, slow_supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sdk.client(slow_supernet) as client:
        await sdk.call(client.connect, timeout=SOON)
        set_clock(monkeypatch, DAY)
        before = time.time()
        project: Any = await sdk.create(client)
        await sdk.call(project.wait, timeout=SOON)
        assert before <= project.started_at.timestamp() <= time.time()
