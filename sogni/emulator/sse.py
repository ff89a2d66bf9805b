"""Server-sent events: streams an event log to a reader, from its starting point to the end.

The faults of a stream (cuts, delays, repeats) are carried out here.
"""
# Protocol notes: chat §12.4, workflows §6.

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import hdrs, web
from attrs import define, frozen

from sogni.emulator.faults import Faults, StreamFault
from sogni.emulator.persistence import Event, EventLog
from sogni.emulator.responses import error

KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment is sent."""
_PROBE = 0.5


@frozen
class Frame:
    """One frame; ``data`` is sent as JSON."""

    data: Any
    event: str | None = None
    id: int | str | None = None

    def encode(self) -> bytes:
        lines = [] if self.id is None else [f"id: {self.id}"]
        if self.event is not None:
            lines.append(f"event: {self.event}")
        # ASCII, because JSON may contain unpaired surrogates, which UTF-8 cannot represent.
        lines.append(f"data: {json.dumps(self.data, separators=(',', ':'))}")
        return ("\n".join(lines) + "\n\n").encode()


def _frame_of(event: Event) -> Frame:
    return Frame(event.wire(), event.type, event.sequence)


def starting_point(request: web.Request) -> int:
    """Return the sequence number to resume after: the query's ``after``, the ``Last-Event-ID`` header, or 0.

    Raises ``ValueError`` unless it is a number.
    """
    given = request.query.get("after", request.headers.get(hdrs.LAST_EVENT_ID, "0"))
    if not given.isdecimal() or not given.isascii():
        raise ValueError(f"{given!r} is not an event ID")
    return int(given)


async def stream(
    request: web.Request,
    log: EventLog,
    encode: Callable[[Event], Frame] = _frame_of,
    *,
    faults: Faults,
    opening: Sequence[Frame] = (),
    keep_alive: float = KEEP_ALIVE,
) -> web.StreamResponse:
    """Respond with the events of a log: the frames of ``opening``, then every event after the reader's starting point,
    until the log has ended. An invalid starting point is answered with status 400.
    """
    try:
        after = starting_point(request)
    except ValueError as refused:
        return error(400, str(refused))
    resumed = hdrs.LAST_EVENT_ID in request.headers or "after" in request.query
    plan = faults.take(StreamFault, request.path, resumed=resumed)
    response = web.StreamResponse(
        headers={hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8", hdrs.CACHE_CONTROL: "no-cache"}
    )
    await response.prepare(request)
    writer = _Writer(request, response, plan)
    for frame in opening:
        await response.write(frame.encode())
    sent, last_write = max(0, after - (0 if plan is None else plan.count)), asyncio.get_running_loop().time()
    while True:
        events = await log.wait(sent, _PROBE)
        for event in events:
            if not await writer.send(encode(event)):
                return response
            sent, last_write = event.sequence, asyncio.get_running_loop().time()
        if log.ended and log.last_sequence <= sent:
            return response
        if _gone(request):
            return response
        if asyncio.get_running_loop().time() - last_write >= keep_alive:
            await response.write(b": keep-alive\n\n")
            last_write = asyncio.get_running_loop().time()


def _gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


@define(eq=False)
class _Writer:
    """Writes frames and carries out a stream fault."""

    request: web.Request
    response: web.StreamResponse
    plan: StreamFault | None
    written: int = 0

    async def send(self, frame: Frame) -> bool:
        """Write a frame; return False if the connection was cut instead."""
        plan, raw = self.plan, frame.encode()
        if plan is not None and self.written >= plan.after_events:
            if plan.seconds:
                await asyncio.sleep(plan.seconds)
            if plan.hang:
                while not _gone(self.request):
                    await asyncio.sleep(_PROBE)
                return False
            if plan.comment:
                await self.response.write(b": keep-alive\n\n")
            if plan.cut:
                if plan.truncate:
                    await self.response.write(raw[: len(raw) // 2])
                self._cut()
                return False
            self.plan = None
        await self.response.write(raw)
        self.written += 1
        return True

    def _cut(self) -> None:
        # Without the final chunk, the reader can tell the cut from a regular end.
        if self.request.transport is not None:
            self.request.transport.close()
