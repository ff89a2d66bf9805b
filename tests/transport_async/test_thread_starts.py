"""A thread that the system cannot start once, for looking a host name up: a delay or an error, then all is well."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from sogni.emulator import LocalSupernet
from sogni_async import SogniClient, SogniConnectionError

start = threading.Thread.start


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of threads of the loop's executor whose start was refused: the first one is."""
    names: list[str] = []

    def start_or_refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("asyncio_") and not names:
            names.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_refuse)
    return names


def named_client(supernet: LocalSupernet) -> SogniClient:
    """A client that has to look its host up."""
    rest, socket = (it.replace("127.0.0.1", "localhost") for it in (supernet.rest_endpoint, supernet.socket_endpoint))
    return SogniClient(api_key=supernet.api_key, rest_endpoint=rest, socket_endpoint=socket)


async def test_the_socket_is_connected_at_the_next_attempt(refused: list[str]) -> None:
    with LocalSupernet(step_time=0) as supernet:
        async with named_client(supernet) as client:
            await client.connect(timeout=20)
            assert client.is_connected
    assert len(refused) == 1


async def test_a_request_raises_an_error_of_ours_or_is_repeated(refused: list[str]) -> None:
    with LocalSupernet(step_time=0) as supernet:
        async with named_client(supernet) as client:
            with suppress(SogniConnectionError):
                await client.account.me()
            assert (await client.account.me()).username == supernet.account.username
    assert len(refused) == 1
