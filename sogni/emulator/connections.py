"""Client connections: the message envelope, event subscriptions, and the outgoing queue with injected faults.

A frame for a disconnected client is lost, as with the service; the handshake is what recovers its projects. The
payloads are opaque here, and the WebSocket itself is behind ``Wire``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from attrs import define, field, frozen

from sogni.emulator.account.accounts import Account
from sogni.emulator.faults import Faults, FrameFault, SocketDrop, Stage
from sogni.emulator.projects.orders import Network

_NAME = 32
"""Longer strings are prompts and IDs."""


class FrameError(ValueError):
    """The message is not a valid envelope; the error message gives the reason."""


@frozen
class Frame:
    """One decoded message."""

    type: str
    data: Any


def encode(type: str, payload: object) -> str:
    """Encode a server message; ``data`` is padded standard base64 of compact JSON."""
    # Protocol notes: transport §7.
    try:
        content = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # JSON may contain unpaired surrogates, which UTF-8 cannot represent.
        content = json.dumps(payload, separators=(",", ":")).encode()
    data = base64.b64encode(content).decode("ascii")
    return json.dumps({"type": type, "data": data}, separators=(",", ":"))


def _shared(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Requests are kept, and more than half of their size is the same in each: some 75 keys, and names as values.
    intern = sys.intern
    return {intern(key): intern(it) if type(it) is str and len(it) < _NAME else it for key, it in pairs}


def decode(message: str | bytes) -> Frame:
    """Decode a client message as strictly as the service does."""
    try:
        envelope = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"the message is not JSON: {error}") from error
    if not isinstance(envelope, dict) or not isinstance(envelope.get("type"), str):
        raise FrameError("the message is not an object with a string 'type'")
    data = envelope.get("data")
    if not isinstance(data, str):
        raise FrameError(f"'data' of {envelope['type']} is not a base64 string")
    try:
        payload = json.loads(base64.b64decode(data, validate=True), object_pairs_hook=_shared)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise FrameError(f"'data' of {envelope['type']} is not base64 of JSON: {error}") from error
    return Frame(envelope["type"], payload)


_STANDARD = (
    "balanceUpdate",
    "changeNetwork",
    "jobError",
    "jobETA",
    "jobProgress",
    "jobResult",
    "jobRetry",
    "jobState",
    "modelAvailability",
    "subscriptionEntitlementUpdated",
    "swarmLLMModels",
    "swarmModels",
    "toastMessage",
)
_OPT_IN = ("appAlert", "subscriptionLimitNotice", "projectQueue")
_GROUPS = {"swarmModels": "modelAvailability", "swarmLLMModels": "modelAvailability"}
_ALWAYS = {"authenticated", "socketEventSubscriptionsUpdated"}


def _defaults() -> dict[str, bool]:
    return {**dict.fromkeys(_STANDARD, True), **dict.fromkeys(_OPT_IN, False)}


def _names(value: object) -> list[str]:
    given = [value] if isinstance(value, str) else value
    return [name for name in given if isinstance(name, str)] if isinstance(given, list) else []


@define
class Subscriptions:
    """The event subscriptions of one connection."""

    # Protocol notes: transport §11.

    events: dict[str, bool] = field(factory=_defaults)

    def wants(self, type: str) -> bool:
        """Return whether to send a frame. A group flag takes precedence over its members; unknown names are sent."""
        if type in _ALWAYS:
            return True
        group = _GROUPS.get(type)
        return self.events.get(type, True) and (group is None or self.events.get(group, True))

    def set_flags(self, flags: object) -> None:
        if isinstance(flags, Mapping):
            self.events.update({k: v for k, v in flags.items() if isinstance(v, bool)})

    def update(self, change: object) -> None:
        """Apply an update object; names it does not list keep their state."""
        if not isinstance(change, Mapping):
            return
        if change.get("reset") is True:
            self.events = _defaults()
        self.set_flags(change.get("subscriptions"))
        self.events.update(dict.fromkeys(_names(change.get("subscribe")), True))
        self.events.update(dict.fromkeys(_names(change.get("unsubscribe")), False))
        event, enabled = change.get("event"), change.get("enabled")
        if isinstance(event, str) and isinstance(enabled, bool):
            self.events[event] = enabled


DISPLACED = 4015
"""Close code: another connection took this app ID."""
# Protocol notes: transport §10.
RESTART = 1001
"""Close code: the server restarts or shuts down."""
# Protocol notes: transport §10.

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


def stage_of(type: str, payload: object) -> Stage | None:
    """Return the stage of a project or completion that a frame reports."""
    if type == "jobState" and isinstance(payload, dict):
        return _STATE_STAGES.get(payload.get("type", ""))
    return _TYPE_STAGES.get(type)


class Wire(Protocol):
    """The operations a connection needs of its WebSocket."""

    async def write(self, message: str | bytes) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...

    def abort(self) -> None: ...


@define(eq=False)
class Standing:
    """A frame with a current value, such as a balance: read when it is written, encoded once for all connections."""

    type: str
    read: Callable[[], object]
    _text: str | None = None

    def text(self) -> str:
        if self._text is None:
            self._text = encode(self.type, self.read())
        return self._text


@define
class _Write:
    message: str | bytes | Standing
    delay: float = 0.0
    written: Callable[[], None] | None = None


@define
class _End:
    code: int | None
    reason: str = ""


@define(eq=False)
class Connection:
    """One client's WebSocket.

    Attributes:
        number: Counts the connections of an emulator from 1.
        handshake_sent: The first frame, always ``authenticated``, has been written.
        frozen: The connection is open, but nothing is read or written.
    """

    number: int
    account: Account
    app_id: str
    network: Network
    faults: Faults
    wire: Wire
    binary: bool = False
    subscriptions: Subscriptions = field(factory=Subscriptions)
    handshake_sent: bool = False
    models_withheld: bool = False
    ended: bool = False
    end_code: int | None = None
    frozen: bool = False
    on_send: Callable[[Connection, str, object], None] | None = None
    """Called with each frame that is sent; set by ``Connections.add``."""
    _frames: int = 0
    _tokens: int = 0
    _held: list[_Write] = field(factory=list)
    _outbox: asyncio.Queue[_Write | _End] = field(factory=asyncio.Queue)
    _standing: dict[str, _Write] = field(factory=dict)
    """Frames of `send_standing` that wait to be written, by type."""

    def send_standing(self, standing: Standing) -> None:
        """Queue a frame with a current value. It replaces one of its type that is still waiting to be written."""
        waiting = self._standing.get(standing.type)
        if waiting is not None:
            waiting.message = standing
        else:
            self.send(standing.type, standing)

    def send(self, type: str, payload: object, written: Callable[[], None] | None = None) -> bool:
        """Queue a frame; return False if the connection has ended or does not subscribe to it.

        ``written`` is called once the socket has accepted the frame.
        """
        if self.ended or not self.subscriptions.wants(type):
            return False
        self._frames += 1
        self._tokens += type == "jobTokens"
        drop = self.faults.take(SocketDrop, stage_of(type, payload), self._frames, self._tokens)
        delivered = drop is None or drop.deliver
        if delivered and self.on_send is not None:
            self.on_send(self, type, payload.read() if isinstance(payload, Standing) else payload)
        if delivered:
            self._queue(type, payload, written)
        if drop is not None:
            self.end(drop.code)
        return delivered

    def end(self, code: int | None, reason: str = "") -> None:
        """Close with a code, or cut the TCP connection if there is none, once all queued frames have been written."""
        if not self.ended:
            self.ended = True
            self.end_code = code
            self._outbox.put_nowait(_End(code, reason))

    async def pump(self) -> None:
        """Write queued frames in order until the connection ends."""
        while True:
            item = await self._outbox.get()
            if isinstance(item, _End):
                break
            if item.delay:
                await asyncio.sleep(item.delay)
            if self.frozen:
                return
            await self.wire.write(self._text(item))
            self.handshake_sent = True
            if item.written is not None:
                item.written()
        if item.code is None:
            self.wire.abort()
        else:
            await self.wire.close(item.code, item.reason)

    def _text(self, item: _Write) -> str | bytes:
        if not isinstance(item.message, Standing):
            return item.message
        self._standing.pop(item.message.type, None)
        text = item.message.text()
        return text.encode() if self.binary else text

    def _queue(self, type: str, payload: object, written: Callable[[], None] | None) -> None:
        if isinstance(payload, Standing):
            write = self._standing[type] = _Write(payload, written=written)
        else:
            text = encode(type, payload)
            write = _Write(text.encode() if self.binary else text, written=written)
        writes, hold = [write], False
        for fault in self.faults.take_all(FrameFault, type):
            write.delay += fault.seconds
            hold = hold or fault.hold
            writes += [_Write(write.message)] * (fault.copies - 1)
            if fault.written_before is not None:
                writes.insert(0, _Write(fault.written_before))
        if hold:
            self._standing.pop(type, None)
            self._held += writes
            return
        for item in writes + self._held:
            self._outbox.put_nowait(item)
        self._held = []


@define
class Connections:
    """The live connections of one emulator: at most one per account and app ID."""

    _live: dict[tuple[int, str], Connection] = field(factory=dict)
    count: int = 0
    on_send: Callable[[Connection, str, object], None] | None = None

    def __len__(self) -> int:
        return len(self._live)

    def number(self) -> int:
        self.count += 1
        return self.count

    def add(self, connection: Connection) -> None:
        """Register a connection; an older one with the same app ID is closed with 4015."""
        older = self._live.get((connection.account.sid, connection.app_id))
        if older is not None:
            older.end(DISPLACED, "Another connection uses this appId")
        self._live[(connection.account.sid, connection.app_id)] = connection
        connection.on_send = self.on_send

    def remove(self, connection: Connection) -> None:
        connection.ended = True
        key = (connection.account.sid, connection.app_id)
        if self._live.get(key) is connection:
            del self._live[key]

    def find(self, account: Account, app_id: str) -> Connection | None:
        """Return the live connection of an app ID; one that has just been cut counts as gone."""
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

    def abort_all(self) -> None:
        """Cut every connection at once, whatever is still queued, and count from 1 again."""
        for connection in self.all():
            connection.ended = True
            connection.wire.abort()
        self._live.clear()
        self.count = 0
