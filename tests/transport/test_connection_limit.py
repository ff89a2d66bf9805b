"""The limit of concurrent connections of a blocking client, and waiting for one."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sogni.core.http import HttpCall, get
from sogni.errors import ClientClosedError, SogniTimeoutError
from sogni.settings import Settings
from sogni.transport.connection_limit import ConnectionLimit

NOW = HttpCall(method="GET", path="/x", timeout=0)
STORED = HttpCall(method="GET", path="https://store.test/x", host="storage", timeout=0)


def limit(connections: int) -> ConnectionLimit:
    return ConnectionLimit(Settings(max_connections=connections))


def test_a_slot_is_free_again_once_it_was_used_or_the_call_failed() -> None:
    slots = limit(1)
    with slots.slot(get("/x")), pytest.raises(SogniTimeoutError), slots.slot(NOW):
        pass
    with pytest.raises(KeyError), slots.slot(NOW):
        raise KeyError
    with slots.slot(NOW) as call:
        assert call is NOW


def test_transfers_leave_a_connection_for_short_requests() -> None:
    slots = limit(2)
    with slots.slot(STORED):
        with slots.slot(NOW):
            pass
        with pytest.raises(SogniTimeoutError), slots.slot(STORED):
            pass


def test_who_waits_goes_on_as_soon_as_a_slot_is_free() -> None:
    slots = limit(1)
    with ThreadPoolExecutor(1) as threads:
        with slots.slot(NOW):
            waiting = threads.submit(lambda: slots.slot(get("/x")).__enter__())
            assert not waiting.done()
        assert waiting.result(10) == get("/x")


def test_the_end_of_the_client_ends_all_waits() -> None:
    slots, entered = limit(1), threading.Barrier(4)

    def wait() -> None:
        entered.wait(10)
        with slots.slot(get("/x")):
            pass

    with ThreadPoolExecutor(3) as threads, slots.slot(NOW):
        waits = [threads.submit(wait) for _ in range(3)]
        entered.wait(10)
        slots.end()
        assert [type(wait.exception(10)) for wait in waits] == [ClientClosedError] * 3


def test_a_slot_that_nobody_holds_any_more_is_free() -> None:
    slots = limit(1)
    taken = [slots._all._free.get()]
    del taken[:]
    with slots.slot(NOW):
        pass
    del slots
    gc.collect()
