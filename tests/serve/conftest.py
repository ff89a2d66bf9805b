"""One emulator for the folder, and a server for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from sogni.emulator import LocalSupernet
from tests.serve.asgi import KEY, Caller

for _name in ("starlette", "uvicorn", "python_multipart"):
    pytest.importorskip(_name, reason="the extra 'serve' is not installed")

from sogni.serve.service import Service  # noqa: E402  needs the extra


@pytest.fixture(scope="session")
def shared_supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0) as supernet:
        yield supernet


@pytest.fixture
def supernet(shared_supernet: LocalSupernet) -> LocalSupernet:
    """As if it had just been started."""
    shared_supernet.reset()
    return shared_supernet


@pytest.fixture
async def call(supernet: LocalSupernet) -> AsyncIterator[Caller]:
    """Sends requests to a server without limits."""
    async with supernet.async_client() as client:
        await client.connect()
        caller = Caller(Service(client, KEY))
        yield caller
        await caller.service.costs.close()
