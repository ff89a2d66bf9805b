"""Helpers for tests of the blocking transport: bare HTTP servers, engines and waits."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sogni.core.client_state import ClientState
from sogni.core.flow import Flow, change, until
from sogni.core.outbox import CONNECTION
from sogni.local.cookies import Cookies
from sogni.settings import Settings, Timeouts
from sogni.transport.http import Http
from tests.transport.websocket_peers import Connection, serving

KEY = "sogni-secret-key"
SOON = 30.0
"""Seconds that nothing here takes; a wait that runs out of them has failed."""


@contextmanager
def answering(handle: Callable[[Connection], None]) -> Iterator[str]:
    """The address of a server that hands each connection to a function; what that raises fails the test."""
    with serving(handle) as url:
        yield "http" + url.removeprefix("ws").rstrip("/")


def reply(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """A whole HTTP answer, and its connection is kept."""
    lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
    if "Content_Length" not in headers and "Transfer_Encoding" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def read_head(peer: Connection) -> bytes:
    """The head of the next request of a connection; empty when there is none."""
    peer.request = b""
    try:
        return peer.read_request()
    except AssertionError:
        return b""


def always(answer: bytes) -> Callable[[Connection], None]:
    """A server that gives every request the same answer, as often as it is asked."""

    def handle(peer: Connection) -> None:
        while read_head(peer):
            peer.sock.sendall(answer)

    return handle


@contextmanager
def talking(rest: str, **options: Any) -> Iterator[Http]:
    """The HTTP side of a client."""
    timeouts = Timeouts(**options.pop("timeouts", {}))
    settings = Settings(rest_endpoint=rest, timeouts=timeouts, **options)
    http = Http(settings, lambda: {"api-key": KEY}, Cookies(settings.auth_type == "cookies"))
    try:
        yield http
    finally:
        http.close()


@contextmanager
def deaf() -> Iterator[str]:
    """The address of a host that takes no connections: those it would take wait in a queue that is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(listener.getsockname())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for one in waiting:
                one.close()


class Called:
    """A call in a thread of its own, and what became of it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.outcome: Any = None
        self.error: BaseException | None = None
        self._function = function
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self._function()
        except BaseException as error:
            self.error = error

    def ended(self) -> Called:
        """Itself, when the call is over."""
        self._thread.join(SOON)
        assert not self._thread.is_alive(), "the call hangs"
        return self


def phase(*phases: str) -> Flow[str]:
    """Wait for the connection to be in one of these phases."""

    def found(state: ClientState) -> str | None:
        return state.connection.phase if state.connection.phase in phases else None

    return (
        yield from until(
            (CONNECTION,), found, timeout=SOON, phase="ready", waiting_for=f"the connection to be {phases}"
        )
    )


def forever(topic: Any = "nothing") -> Flow[Any]:
    """Wait for what never happens."""
    return (yield from until((topic,), lambda _: None, timeout=None, phase="run", waiting_for="what never happens"))


def state_of(function: Callable[[ClientState], Any]) -> Flow[Any]:
    """Look at the state."""
    return (yield from change(lambda state, _: function(state)))
