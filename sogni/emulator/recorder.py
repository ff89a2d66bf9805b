"""Records of everything that arrives: REST requests, WebSocket upgrades and frames, in order and decoded.

The servers write, tests read from their own threads. Keys, tokens and URL signatures are never stored.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from attrs import define, field, frozen

_SECRET_HEADERS = {"api-key", "authorization", "cookie", "sec-websocket-key"}
_SECRET_QUERY = {"X-Amz-Signature"}
_SECRET_FIELDS = {"signature", "approveSignature", "refreshToken", "turnstileToken", "password"}
_HIDDEN = "***"


@define
class RecordedRequest:
    """One HTTP request.

    Attributes:
        host: "rest" or "socket".
        method: HTTP method.
        path: Path of the request.
        query: Query parameters; secret values read ``***``.
        headers: Lower-case names; secret values read ``***``.
        body: Decoded JSON, or None. For uploads, only ``body_size`` is recorded.
        body_size: Size of the body in bytes.
        status: Status of the response; None until, or unless, it has been sent.
    """

    host: Literal["rest", "socket"]
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None
    body_size: int = 0
    status: int | None = None


@frozen
class RecordedUpgrade:
    """One attempt to open a WebSocket.

    Attributes:
        query: Query parameters.
        headers: Lower-case names; secret values read ``***``.
        connection: Number of the connection, from 1; None if it was refused.
        status: Status of the response.
    """

    query: Mapping[str, str]
    headers: Mapping[str, str]
    connection: int | None
    status: int


@frozen
class RecordedFrame:
    """One frame from a client.

    Attributes:
        connection: Number of the connection.
        type: Type of the frame.
        data: The decoded payload.
        dropped: The service did not act on it, as with frames that arrive before it has sent ``authenticated``.
        size: Size of the message in bytes.
    """

    # Protocol notes: transport §6.1.

    connection: int
    type: str
    data: Any
    dropped: bool = False
    size: int = 0


@frozen
class Violation:
    """A protocol violation by a client.

    Attributes:
        where: Where it was found.
        message: What is wrong.
    """

    where: str
    message: str


Arrival = RecordedRequest | RecordedUpgrade | RecordedFrame


def without_secrets(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the headers with lower-case names and secret values masked."""
    return {k.lower(): _HIDDEN if k.lower() in _SECRET_HEADERS else v for k, v in headers}


def query_without_secrets(query: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the query parameters with the signature of a signed URL masked."""
    return {k: _HIDDEN if k in _SECRET_QUERY else v for k, v in query}


def body_without_secrets(body: object) -> Any:
    """Return a JSON body with the secrets of account requests masked."""
    if not isinstance(body, dict):
        return body
    return {key: _HIDDEN if key in _SECRET_FIELDS else value for key, value in body.items()}


@define
class Recorder:
    """The arrivals and violations of one emulator.

    The newest ``limit`` of each are kept; arrivals are also limited to ``size_limit`` bytes in total, because bodies
    with images are large.
    """

    limit: int = 100_000
    size_limit: int = 256 * 1024**2
    changed: threading.Condition = field(factory=threading.Condition)
    observer: Callable[[Arrival], None] | None = None
    """Called with what arrives, in the thread of the server."""
    _arrivals: deque[tuple[Arrival, int]] = field(factory=deque, init=False)
    _size: int = field(default=0, init=False)
    _violations: deque[Violation] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._violations = deque(maxlen=self.limit)

    def add(self, arrival: Arrival) -> None:
        with self.changed:
            # Measured now: the size of a stream grows later, but its content is not kept.
            size = _size_of(arrival)
            self._arrivals.append((arrival, size))
            self._size += size
            while len(self._arrivals) > self.limit or (self._size > self.size_limit and len(self._arrivals) > 1):
                self._size -= self._arrivals.popleft()[1]
            self.changed.notify_all()
        if self.observer is not None:
            self.observer(arrival)

    def violation(self, where: str, message: str) -> None:
        with self.changed:
            self._violations.append(Violation(where, message))
            self.changed.notify_all()

    def notify(self) -> None:
        """Wake the threads that wait for a state of the emulator."""
        with self.changed:
            self.changed.notify_all()

    def arrivals(self) -> list[Arrival]:
        with self.changed:
            return [arrival for arrival, _ in self._arrivals]

    def violations(self) -> list[Violation]:
        with self.changed:
            return list(self._violations)

    def clear(self) -> None:
        with self.changed:
            self._arrivals.clear()
            self._size = 0
            self._violations.clear()


def _size_of(arrival: Arrival) -> int:
    if isinstance(arrival, RecordedRequest):
        return 0 if arrival.body is None else arrival.body_size
    return arrival.size if isinstance(arrival, RecordedFrame) else 0
