"""The limit of concurrent connections of an asyncio client, and waiting for one."""

from __future__ import annotations

import asyncio

import pytest

from sogni.core.http import HttpCall, get
from sogni.errors import SogniTimeoutError
from sogni.settings import Settings
from sogni_async.transport.connection_limit import ConnectionLimit

NOW = HttpCall(method="GET", path="/x", timeout=0.01)
STORED = HttpCall(method="GET", path="https://store.test/x", host="storage", timeout=0.01)


def limit(connections: int) -> ConnectionLimit:
    return ConnectionLimit(Settings(max_connections=connections))


async def test_a_slot_is_free_again_once_it_was_used_or_the_call_failed() -> None:
    slots = limit(1)
    async with slots.slot(get("/x")):
        with pytest.raises(SogniTimeoutError):
            async with slots.slot(NOW):
                pass
    with pytest.raises(KeyError):
        async with slots.slot(NOW):
            raise KeyError
    async with slots.slot(NOW) as call:
        assert call is NOW


async def test_transfers_leave_a_connection_for_short_requests() -> None:
    slots = limit(2)
    async with slots.slot(STORED):
        async with slots.slot(NOW):
            pass
        with pytest.raises(SogniTimeoutError):
            async with slots.slot(STORED):
                pass
    async with slots.slot(STORED):
        pass


async def test_a_canceled_wait_takes_no_slot() -> None:
    slots = limit(1)

    async def wait() -> None:
        async with slots.slot(get("/x")):
            pass

    async with slots.slot(get("/x")):
        waits = [asyncio.create_task(wait()) for _ in range(3)]
        await asyncio.sleep(0)
        for task in waits[:2]:
            task.cancel()
    outcomes = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, asyncio.CancelledError, type(None)]
    async with slots.slot(NOW):
        pass
