"""One suite for both packages: what differs between calling and awaiting is here, and nowhere else."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from sogni.emulator import LocalSupernet


class Sdk:
    """One of the two packages, used from asyncio either way: blocking calls run in threads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.package = importlib.import_module(name)
        self.blocking = name == "sogni"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.package, name)

    async def call(self, function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
        """Call or await a method that waits or does I/O."""
        if self.blocking:
            return await asyncio.to_thread(function, *args, **keywords)
        outcome = function(*args, **keywords)
        assert inspect.isawaitable(outcome), f"{function} is to be awaited"
        return await outcome

    async def iterate(self, iterable: Any) -> AsyncIterator[Any]:
        """The items of what is iterated with `for` or `async for`."""
        if not self.blocking:
            async for item in iterable:
                yield item
            return
        end = object()
        iterator = iter(iterable)
        while (item := await asyncio.to_thread(next, iterator, end)) is not end:
            yield item

    async def collect(self, iterable: Any) -> list[Any]:
        """All items of an iterator."""
        return [item async for item in self.iterate(iterable)]

    @asynccontextmanager
    async def client(self, supernet: LocalSupernet, **options: Any) -> AsyncIterator[Any]:
        """A client of an emulator, closed at the end."""
        settings = {
            "api_key": supernet.api_key,
            "rest_endpoint": supernet.rest_endpoint,
            "socket_endpoint": supernet.socket_endpoint,
            "retry": self.package.RetryPolicy(base=0.01, cap=0.05),
        }
        client = self.package.SogniClient(**{**settings, **options})
        try:
            yield client
        finally:
            await self.call(client.close)

    async def create(self, client: Any, **fields: Any) -> Any:
        """A small image project."""
        given = {"type": "image", "model_id": MODEL, "positive_prompt": "a lighthouse", "width": 256, "height": 256}
        return await self.call(client.projects.create, **{**given, **fields})


MODEL = "flux1-schnell-fp8"
SOON = 30.0
"""Seconds that nothing here takes; a wait that runs out of them has failed."""


@pytest.fixture(params=["sogni", "sogni_async"])
def sdk(request: pytest.FixtureRequest) -> Sdk:
    return Sdk(request.param)


@pytest.fixture
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0) as started:
        yield started


@pytest.fixture
def slow_supernet() -> Iterator[LocalSupernet]:
    """One whose images take long enough to be caught at work."""
    with LocalSupernet(step_time=0.03) as started:
        yield started


@pytest.fixture
async def client(sdk: Sdk, supernet: LocalSupernet) -> AsyncIterator[Any]:
    async with sdk.client(supernet) as opened:
        yield opened


async def why_not_connected(sdk: Sdk, client: Any) -> Any:
    """The error of a connection that fails, once the first attempt has."""
    with suppress(sdk.SogniError):
        await sdk.call(client.connect, timeout=0)
    # The attempt continues when nobody waits for it.
    await until(lambda: client._engine.state.connection.closed)
    with pytest.raises(sdk.SogniError) as caught:
        await sdk.call(client.connect, timeout=0)
    return caught.value


async def until(predicate: Callable[[], Any], seconds: float = SOON) -> Any:
    """Wait for a state, not for a time."""
    end = asyncio.get_running_loop().time() + seconds
    while not (found := predicate()):
        assert asyncio.get_running_loop().time() < end, "it did not happen"
        await asyncio.sleep(0.005)
    return found
