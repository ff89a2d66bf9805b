"""The time of day may be wrong, or be set while a client works: nothing that runs is given up for it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk, until
from tests.scenarios.test_accounts import PASSWORD, REFRESH, asked, client_of

DAY = 24 * 3600.0


class WrongClock:
    """The `time` module of a system whose time of day is wrong."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def time(self) -> float:
        return time.time() + self.seconds


def set_clock(monkeypatch: pytest.MonkeyPatch, sdk: Sdk, seconds: float) -> WrongClock:
    """Set the time of day of the client; the emulator keeps the right one."""
    wrong = WrongClock(seconds)
    for module in ("transport.engine", "client", "api.api_client"):
        monkeypatch.setattr(f"{sdk.name}.{module}.time", wrong)
    return wrong


def frames(supernet: LocalSupernet) -> list[str]:
    return [arrival.type for arrival in supernet.requests if hasattr(arrival, "type")]


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_a_set_clock_ends_no_project(sdk: Sdk, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    with LocalSupernet(step_time=0.3) as supernet:
        async with sdk.client(supernet) as client:
            project = await sdk.create(client, steps=5)
            await until(lambda: project.jobs and project.jobs[0].step > 0)
            set_clock(monkeypatch, sdk, jump)
            await sdk.call(project.wait, timeout=SOON)
            assert (project.status, "jobError" in frames(supernet)) == ("completed", False)


async def test_times_that_are_shown_follow_the_clock(
    sdk: Sdk, slow_supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sdk.client(slow_supernet) as client:
        await sdk.call(client.connect, timeout=SOON)
        clock = set_clock(monkeypatch, sdk, DAY)
        before = clock.time()
        project: Any = await sdk.create(client)
        await sdk.call(project.wait, timeout=SOON)
        assert before <= project.started_at.timestamp() <= clock.time()


@pytest.mark.parametrize("wrong", [DAY, 400 * DAY, -DAY])
async def test_tokens_expire_by_the_clock_of_the_service(
    sdk: Sdk, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    supernet.add_account("ada", PASSWORD)
    set_clock(monkeypatch, sdk, wrong)
    async with client_of(sdk, supernet) as client:
        pair = (await sdk.call(client.account.login, "ada", PASSWORD)).tokens
        for _ in range(3):
            await sdk.call(client.account.account_balance)
        assert (client.is_authenticated, asked(supernet, REFRESH)) == (True, [])
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.account.validate_username, "somebody")
        await sdk.call(client.set_tokens, pair.token, pair.refresh_token)
        await sdk.call(client.account.account_balance)
        assert (client.is_authenticated, asked(supernet, REFRESH)) == (True, [])


async def test_restored_tokens_are_exchanged_once_by_a_clock_that_is_ahead(
    sdk: Sdk, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    supernet.add_account("ada", PASSWORD)
    async with client_of(sdk, supernet) as client:
        pair = (await sdk.call(client.account.login, "ada", PASSWORD)).tokens
    set_clock(monkeypatch, sdk, DAY)
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.set_tokens, pair.token, pair.refresh_token)
        for _ in range(3):
            await sdk.call(client.account.account_balance)
        assert len(asked(supernet, REFRESH)) == 1


async def test_tokens_are_exchanged_when_the_service_says_they_are_over(
    sdk: Sdk, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    supernet.add_account("ada", PASSWORD)
    supernet.set_token_lifetimes(access=-1)
    set_clock(monkeypatch, sdk, -DAY)
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.account.login, "ada", PASSWORD)
        supernet.set_token_lifetimes(access=3600)
        await sdk.call(client.account.account_balance)
        assert len(asked(supernet, REFRESH)) == 1
