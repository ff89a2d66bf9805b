"""Live connections: who is connected, and the way every frame takes to a client.

Called by the socket endpoint, the intake and the workers. A frame for a client that is away is lost, as in
the service: recovery is the greeting's work. What the fault plan says about frames happens here. The
WebSocket itself is behind ``Wire``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from attrs import define, field

from . import frames
from .accounts import Account
from .fault_rules import SocketDrop, Stage
from .faults import Faults
from .orders import Network
from .subscriptions import Subscriptions

DISPLACED = 4015
"""Close code: another connection took this app id (transport §10)."""
RESTART = 1001
"""Close code: the server restarts or shuts down (transport §10)."""

_STATE_STAGES: dict[str, Stage] = {
    "queued": "queued",
    "initiatingModel": "initiating",
    "jobStarted": "started",
    "jobCompleted": "completed",
}
_TYPE_STAGES: dict[str, Stage] = {
    "jobProgress": "progress",
    "jobResult": "result",
    "jobTokens": "tokens",
    "llmJobResult": "result",
    "artistCancelConfirmation": "canceled",
}


def stage_of(type: str, payload: Any) -> Stage | None:
    """Return the stage of a project's or a completion's life that a frame tells of."""
    if type == "jobState" and isinstance(payload, dict):
        return _STATE_STAGES.get(payload.get("type", ""))
    return _TYPE_STAGES.get(type)


class Wire(Protocol):
    """A WebSocket as a connection needs it."""

    async def write(self, message: str | bytes) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...

    def abort(self) -> None: ...


@define
class _Write:
    message: str | bytes
    delay: float = 0.0
    written: Callable[[], None] | None = None


@define
class _End:
    code: int | None
    reason: str = ""


@define(eq=False)
class Connection:
    """One client's WebSocket. ``number`` counts the connections of an emulator from 1; ``greeted`` tells
    that the first frame was written, which is always ``authenticated``. A ``frozen`` one is open but dead."""

    number: int
    account: Account
    app_id: str
    network: Network
    faults: Faults
    wire: Wire
    binary: bool = False
    subscriptions: Subscriptions = field(factory=Subscriptions)
    greeted: bool = False
    models_withheld: bool = False
    ended: bool = False
    end_code: int | None = None
    frozen: bool = False
    _frames: int = 0
    _tokens: int = 0
    _held: list[_Write] = field(factory=list)
    _outbox: asyncio.Queue[_Write | _End] = field(factory=asyncio.Queue)

    def send(self, type: str, payload: Any, written: Callable[[], None] | None = None) -> bool:
        """Queue a frame; False when the connection is over or does not want it. ``written`` is called when the
        socket has taken it."""
        if self.ended or not self.subscriptions.wants(type):
            return False
        self._frames += 1
        self._tokens += type == "jobTokens"
        drop = self.faults.take_drop(stage_of(type, payload), self._frames, self._tokens)
        delivered = drop is None or drop.deliver
        if delivered:
            self._queue(type, payload, written)
        if drop is not None:
            self.cut(drop)
        return delivered

    def cut(self, drop: SocketDrop) -> None:
        """End the connection once the frames before have been written."""
        self.end(drop.code)

    def end(self, code: int | None, reason: str = "") -> None:
        """Close with a code, or cut the TCP connection when there is none."""
        if not self.ended:
            self.ended = True
            self.end_code = code
            self._outbox.put_nowait(_End(code, reason))

    async def pump(self) -> None:
        """Write what is queued, in order, until the connection ends."""
        while True:
            item = await self._outbox.get()
            if isinstance(item, _End):
                break
            if item.delay:
                await asyncio.sleep(item.delay)
            if self.frozen:
                return
            await self.wire.write(item.message)
            self.greeted = True
            if item.written is not None:
                item.written()
        if item.code is None:
            self.wire.abort()
        else:
            await self.wire.close(item.code, item.reason)

    def _queue(self, type: str, payload: Any, written: Callable[[], None] | None) -> None:
        text = frames.encode(type, payload)
        write = _Write(text.encode() if self.binary else text, written=written)
        writes, hold = [write], False
        for fault in self.faults.take_frame(type):
            write.delay += fault.delay
            hold = hold or fault.hold
            writes += [_Write(write.message)] * (fault.copies - 1)
            if fault.raw is not None:
                writes.insert(0, _Write(fault.raw))
        if hold:
            self._held += writes
            return
        for item in writes + self._held:
            self._outbox.put_nowait(item)
        self._held = []


@define
class Connections:
    """The live connections of one emulator: at most one per account and app id."""

    _live: dict[tuple[int, str], Connection] = field(factory=dict)
    count: int = 0

    def __len__(self) -> int:
        return len(self._live)

    def number(self) -> int:
        self.count += 1
        return self.count

    def add(self, connection: Connection) -> None:
        """Register a connection; an older one of the same app id is closed with 4015."""
        older = self._live.get((connection.account.sid, connection.app_id))
        if older is not None:
            older.end(DISPLACED, "Another connection uses this appId")
        self._live[(connection.account.sid, connection.app_id)] = connection

    def remove(self, connection: Connection) -> None:
        connection.ended = True
        key = (connection.account.sid, connection.app_id)
        if self._live.get(key) is connection:
            del self._live[key]

    def find(self, account: Account, app_id: str) -> Connection | None:
        """Return the live connection of an app id; one that was just cut counts as gone."""
        connection = self._live.get((account.sid, app_id))
        return None if connection is None or connection.ended else connection

    def of(self, account: Account) -> list[Connection]:
        return [c for c in self._live.values() if c.account is account and not c.ended]

    def all(self) -> list[Connection]:
        return list(self._live.values())

    def freeze_all(self) -> None:
        for connection in self.all():
            connection.frozen = True

    def end_all(self, code: int | None, reason: str = "") -> None:
        for connection in self.all():
            connection.end(code, reason)
