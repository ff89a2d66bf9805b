"""Answers without an end: seen as they arrive, left at any moment, and nothing stays behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from sogni.core.http import HttpCall, HttpReply
from sogni.core.workflows.event_readers import STREAM_HEADERS
from sogni.errors import ClientClosedError, SogniConnectionError, SogniTimeoutError
from tests.transport_async.peers import serving, talking

CALL = HttpCall(method="GET", path="/events", headers=STREAM_HEADERS, repeatable=True)
SOON = 30.0


class Service:
    """Says what it is told to, and notes when the reader is gone."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.encoding: str | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.encoding = request.headers.get("Accept-Encoding")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        watch = asyncio.create_task(self._watch(request))
        try:
            while piece := await self.said.get():
                if piece == b"cut":
                    assert request.transport is not None
                    request.transport.abort()
                    break
                await response.write(piece)
        finally:
            watch.cancel()
            self.gone.set()
        return response

    async def _watch(self, request: web.Request) -> None:
        while request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(0.005)
        self.gone.set()
        self.said.put_nowait(None)


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[Service, Any, Any]]:
    service = Service()
    async with serving(service.answer) as base, talking(base) as http:
        events = await http.open_events(CALL)
        try:
            yield service, http, events
        finally:
            del events
            gc.collect()
            await asyncio.wait_for(service.gone.wait(), SOON)


async def test_every_piece_is_seen_the_moment_it_arrives() -> None:
    async with opened() as (service, _, events):
        for piece in (b"one", b"two"):
            service.said.put_nowait(piece)
            assert await events.read(SOON) == piece
        assert service.encoding == "identity"
        service.said.put_nowait(None)
        assert [await events.read(SOON), await events.read(SOON)] == [b"", b""]
        events.close()


async def test_a_refusal_is_a_reply() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=404, text="gone")

    async with serving(refuse) as base, talking(base) as http:
        refused = await http.open_events(CALL)
    assert isinstance(refused, HttpReply)
    assert (refused.status, refused.body) == (404, b"gone")


async def test_an_answer_that_does_not_begin_runs_out_of_time() -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(silent) as base, talking(base, timeouts={"request": 0.05}) as http:
        with pytest.raises(SogniTimeoutError):
            await http.open_events(CALL)


async def test_a_body_that_is_cut_off_is_a_lost_connection() -> None:
    async with opened() as (service, _, events):
        service.said.put_nowait(b"one")
        assert await events.read(SOON) == b"one"
        service.said.put_nowait(b"cut")
        with pytest.raises(SogniConnectionError):
            await events.read(SOON)
        events.close()


async def test_silence_runs_out_of_time_and_can_be_read_on_after_it() -> None:
    async with opened() as (service, _, events):
        with pytest.raises(SogniTimeoutError):
            await events.read(0.02)
        service.said.put_nowait(b"late")
        assert await events.read(SOON) == b"late"
        events.close()


async def test_a_cancellation_leaves_at_once_and_it_can_be_read_on() -> None:
    async with opened() as (service, _, events):
        waiting = asyncio.create_task(events.read(None))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        service.said.put_nowait(b"one")
        assert await events.read(SOON) == b"one"
        events.close()


async def test_closing_ends_the_connection_and_whoever_reads() -> None:
    async with opened() as (_, __, events):
        waiting = asyncio.create_task(events.read(None))
        await asyncio.sleep(0.01)
        events.close()
        events.close()
        assert await waiting == b""


async def test_it_may_be_closed_in_another_thread() -> None:
    async with opened() as (_, __, events):
        waiting = asyncio.create_task(events.read(None))
        await asyncio.to_thread(events.close)
        assert await asyncio.wait_for(waiting, SOON) == b""


async def test_dropping_it_ends_the_connection() -> None:
    async with opened() as (service, _, events):
        service.said.put_nowait(b"one")
        assert await events.read(SOON) == b"one"
        del events
        # The end of `opened` waits for the end of the connection.


async def test_closing_the_client_ends_it() -> None:
    async with opened() as (_, http, events):
        waiting = asyncio.create_task(events.read(None))
        await asyncio.sleep(0.01)
        await http.close()
        assert await waiting == b""
        with pytest.raises(ClientClosedError):
            await http.open_events(CALL)


def test_one_that_outlives_its_loop_does_no_harm() -> None:
    async def leaves() -> Any:
        service = Service()
        async with serving(service.answer) as base, talking(base) as http:
            return await http.open_events(CALL)

    asyncio.run(leaves()).close()


async def test_no_content_is_no_stream() -> None:
    async def nothing(_: web.Request) -> web.Response:
        return web.Response(status=204)

    async with serving(nothing) as base, talking(base) as http:
        assert (await http.open_events(CALL)).status == 204
