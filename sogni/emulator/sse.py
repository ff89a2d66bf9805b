"""An event log as server-sent events: what each frame looks like, where a reader starts, when the stream ends.

Called by the routes of chat runs and workflows (chat §12.4, workflows §6). The fault plan may cut, delay or repeat
a stream; this module carries that out.
"""

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
        # In ASCII: half a surrogate pair, which JSON may hold, has no form in UTF-8.
        lines.append(f"data: {json.dumps(self.data, separators=(',', ':'))}")
        return ("\n".join(lines) + "\n\n").encode()


def starting_point(request: web.Request) -> int:
    """Return the sequence number after which a reader wants to hear: ``after`` of the query, else the header
    ``Last-Event-ID``, else 0. Raise ``ValueError`` for anything but a number."""
    given = request.query.get("after", request.headers.get(hdrs.LAST_EVENT_ID, "0"))
    if not given.isdecimal() or not given.isascii():
        raise ValueError(f"{given!r} is no id of an event")
    return int(given)


async def stream(
    request: web.Request,
    log: EventLog,
    encode: Callable[[Event], Frame],
    *,
    faults: Faults,
    opening: Sequence[Frame] = (),
    keep_alive: float = KEEP_ALIVE,
) -> web.StreamResponse:
    """Answer a request with the events of a log: first the frames of ``opening``, then every event after the
    reader's starting point, until the log has ended. A starting point that is no number is answered with 400."""
    try:
        after = starting_point(request)
    except ValueError as refused:
        return error(400, str(refused))
    resumed = hdrs.LAST_EVENT_ID in request.headers or "after" in request.query
    plan = faults.take_stream(request.path, resumed=resumed)
    response = web.StreamResponse(
        headers={hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8", hdrs.CACHE_CONTROL: "no-cache"}
    )
    await response.prepare(request)
    writer = _Writer(request, response, plan)
    for frame in opening:
        await response.write(frame.encode())
    sent, said = max(0, after - (0 if plan is None else plan.repeat)), asyncio.get_running_loop().time()
    while True:
        events = await log.wait(sent, _PROBE)
        for event in events:
            if not await writer.send(encode(event)):
                return response
            sent, said = event.sequence, asyncio.get_running_loop().time()
        if log.ended and log.last_sequence <= sent:
            return response
        if _gone(request):
            return response
        if asyncio.get_running_loop().time() - said >= keep_alive:
            await response.write(b": keep-alive\n\n")
            said = asyncio.get_running_loop().time()


def _gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


@define(eq=False)
class _Writer:
    """Writes frames, and does to them what the fault plan wants."""

    request: web.Request
    response: web.StreamResponse
    plan: StreamFault | None
    written: int = 0

    async def send(self, frame: Frame) -> bool:
        """Write a frame; False when the connection was cut instead."""
        plan, raw = self.plan, frame.encode()
        if plan is not None and self.written >= plan.after_events:
            if plan.delay:
                await asyncio.sleep(plan.delay)
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
        # The chunk that ends the body is never sent: a reader can tell this from an ordinary end.
        if self.request.transport is not None:
            self.request.transport.close()
