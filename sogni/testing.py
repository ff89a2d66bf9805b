"""pytest plugin with fixtures for a local Supernet and its clients.

Requires the extra `emulator`, and `async` for the asyncio client. Every pytest run loads the plugin once the package is
installed, so it imports nothing but pytest until a fixture is requested.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import sogni_async
    from sogni import SogniClient
    from sogni.emulator import LocalSupernet


@pytest.fixture
def sogni_supernet() -> Iterator[LocalSupernet]:
    """A local Supernet without simulated delays, with fresh state for every test.

    Yields:
        The running emulator.
    """
    from sogni.emulator import LocalSupernet

    with LocalSupernet(step_time=0) as supernet:
        yield supernet


@pytest.fixture
def sogni_client(sogni_supernet: LocalSupernet) -> Iterator[SogniClient]:
    """A blocking client connected to `sogni_supernet`.

    Args:
        sogni_supernet: The emulator.

    Yields:
        The client.
    """
    with sogni_supernet.client() as client:
        yield client


@pytest.fixture
def sogni_async_client(
    sogni_supernet: LocalSupernet, request: pytest.FixtureRequest
) -> Iterator[sogni_async.SogniClient]:
    """An asyncio client for `sogni_supernet`, not yet connected. It is closed at the end of the test, in its loop.

    Works with every plugin that runs coroutine functions as tests, in all modes.

    Args:
        sogni_supernet: The emulator.
        request: The request of pytest.

    Yields:
        The client.
    """
    client = sogni_supernet.async_client()
    _close_after(request.node, client)
    yield client
    if not client.closed:
        _close_without_loop(client)


def _close_after(item: Any, client: Any) -> None:
    """Wrap a coroutine test so that it closes the client: afterwards a plain fixture cannot reach its loop."""
    test = getattr(item, "obj", None)
    if not inspect.iscoroutinefunction(test):
        return

    run: Callable[..., Any] = test

    @wraps(run)
    async def closing(*args: Any, **kwargs: Any) -> Any:
        try:
            return await run(*args, **kwargs)
        finally:
            await client.close()

    item.obj = closing


def _close_without_loop(client: Any) -> None:
    """Close a client that no coroutine test has closed, in a new loop."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(client.close())
    finally:
        loop.close()
