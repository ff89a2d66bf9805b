"""The connection state machine: when to connect, ping, give up and reconnect; and the handshake URL.

The front ends report events with the time and request the next action. It performs no I/O, and uses neither random
numbers nor clocks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

from attrs import frozen

from sogni.core.attribution import connection_parameters
from sogni.errors import AuthenticationError, ConnectionRejectedError, SogniConnectionError, SogniError
from sogni.settings import PROTOCOL_VERSION, VERSION, Network, Settings

Phase = Literal["idle", "connecting", "open", "ready", "waiting", "ended"]
Move = Literal["ping", "ready", "sync", "dead", "connect"]
ReaderMove = Literal["connect", "wait", "read", "end"]

PING_INTERVAL = 15.0
PONG_TIMEOUT = 15.0
AUTHENTICATED_TIMEOUT = 10.0
SNAPSHOT_TIMEOUT = 1.5
"""Seconds to wait for the snapshot in `authenticated` before requesting one."""
MIN_DELAY, MAX_DELAY = 1.0, 15.0
NORMAL, ABNORMAL, DISPLACED = 1000, 1006, 4015
OWN_REASON = "Client disconnected"


@frozen
class Closed:
    """How a connection ended: WebSocket close code, reason, and the underlying error, if any."""

    code: int
    reason: str = ""
    cause: BaseException | None = None


class Connection:
    """One client's connection across all its sockets.

    `generation` counts the opened sockets. The front end calls `request_connection`, then acts on `phase`: in
    `connecting` it opens a socket, in `waiting` it waits until `retry_at`, in `open` and `ready` it reads and calls
    `due` no later than `deadline`.
    """

    def __init__(self) -> None:
        self.phase: Phase = "idle"
        self.generation: int = 0
        self.attempt: int = 0
        self.retry_at: float = 0.0
        self.closed: Closed | None = None
        """Why the connection ended, or why the last attempt failed."""
        self._opened_at = 0.0
        self._ping_at = 0.0
        self._sync_at: float | None = None
        self._pong_deadline: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether a socket is open and the server has answered one of the last two pings."""
        return self.phase in ("open", "ready")

    def request_connection(self) -> bool:
        """Request the socket; True if the front end must start to connect."""
        if self.phase not in ("idle", "ended"):
            return False
        self.phase = "connecting"
        self.attempt = 0
        self.closed = None
        return True

    def opened(self, now: float) -> None:
        """Handle a successful upgrade; `authenticated` is still missing."""
        self.phase = "open"
        self.generation += 1
        self._opened_at = now
        self._ping_at = now + PING_INTERVAL
        self._sync_at = now + SNAPSHOT_TIMEOUT
        self._pong_deadline = None

    def authenticated(self) -> None:
        """Handle `authenticated`: the server accepts frames from now on."""
        if self.phase == "open":
            self.phase = "ready"
        self.attempt = 0

    def synced(self) -> None:
        """Record that the snapshot of this connection has arrived."""
        self._sync_at = None

    def pong_received(self) -> None:
        """Record a pong."""
        self._pong_deadline = None

    def deadline(self) -> float:
        """Return when `due` must be called again, in monotonic seconds."""
        if self.phase == "waiting":
            return self.retry_at
        deadline = self._ping_at if self._pong_deadline is None else min(self._ping_at, self._pong_deadline)
        if self.phase == "open":
            deadline = min(deadline, self._opened_at + AUTHENTICATED_TIMEOUT)
        return deadline if self._sync_at is None else min(deadline, self._sync_at)

    def due(self, now: float) -> Move | None:
        """Return the next action, None if there is nothing to do yet.

        Ping, send without `authenticated`, request the snapshot, drop a silent server, or reconnect.
        """
        if self.phase == "waiting":
            if now < self.retry_at:
                return None
            self.phase = "connecting"
            return "connect"
        if not self.is_open:
            return None
        if self._pong_deadline is not None and now >= self._pong_deadline:
            return "dead"
        if self.phase == "open" and now >= self._opened_at + AUTHENTICATED_TIMEOUT:
            self.phase = "ready"
            return "ready"
        if self._sync_at is not None and now >= self._sync_at:
            self._sync_at = None
            return "sync"
        if now >= self._ping_at:
            self._ping_at = now + PING_INTERVAL
            self._pong_deadline = self._pong_deadline or now + PONG_TIMEOUT
            return "ping"
        return None

    def next_move(self, now: float) -> tuple[ReaderMove, float]:
        """Return the reader's next action and its deadline; only `read` keeps the current socket."""
        if self.is_open:
            return "read", self.deadline()
        if self.phase == "waiting" and self.due(now) is None:
            return "wait", self.retry_at
        return ("connect" if self.phase == "connecting" else "end"), 0.0

    def lost(self, closed: Closed, *, now: float, jitter: float, signed_in: bool) -> Literal["ended", "waiting"]:
        """Handle a closed socket or a failed attempt; returns whether to reconnect.

        `jitter` is a random number from 0.8 to 1.2; `signed_in` is whether there are credentials.
        """
        self.closed = closed
        if not signed_in or not is_recoverable(closed.code):
            self.phase = "ended"
            return "ended"
        self.phase = "waiting"
        self.retry_at = now + min(MIN_DELAY * 2**self.attempt, MAX_DELAY) * jitter
        self.attempt = min(self.attempt + 1, 10)
        return "waiting"

    def stopped(self) -> None:
        """Close permanently from this side."""
        self.phase = "ended"
        self.closed = Closed(NORMAL, OWN_REASON)


def is_recoverable(code: int | None) -> bool:
    """Whether to reconnect after a close code: not for 1000, 0 and 4000 to 4999."""
    return bool(code) and code != NORMAL and not 4000 <= (code or 0) <= 4999


def clears_credentials(code: int | None) -> bool:
    """Whether a close code means that the credentials are invalid: all rejections except being displaced."""
    return not is_recoverable(code) and code not in (NORMAL, DISPLACED)


def error_of(closed: Closed | None, *, app_id: str, host: str) -> SogniError:
    """Return a new error that explains why there is no connection, chained from its cause."""
    error = _error_of(closed or Closed(ABNORMAL), app_id, host)
    if closed is not None and closed.cause is not None:
        error.__cause__ = closed.cause
    return error


def _error_of(closed: Closed, app_id: str, host: str) -> SogniError:
    reason = f": {closed.reason}" if closed.reason else ""
    if closed.code == DISPLACED:
        return ConnectionRejectedError(
            f"another connection uses the app id {app_id!r} (close code 4015). Two clients with the same app id "
            "displace each other: give each client its own app_id, or omit it to have one chosen",
            close_code=closed.code,
        )
    if isinstance(closed.cause, AuthenticationError):
        return AuthenticationError(str(closed.cause.message), status=401, error_code=closed.cause.error_code)
    if closed.code == 4021:
        return AuthenticationError(f"{host} rejected the credentials (close code 4021){reason}", status=401)
    if not is_recoverable(closed.code) and closed.code != NORMAL:
        return ConnectionRejectedError(
            f"{host} rejected the connection (close code {closed.code}){reason}", close_code=closed.code
        )
    if isinstance(closed.cause, SogniConnectionError):
        return SogniConnectionError(closed.cause.message, code=closed.code)
    return SogniConnectionError(
        f"the connection to {host} is closed (close code {closed.code}){reason}", code=closed.code
    )


# The handshake (transport §5, §6)


CLIENT_NAME = f"Sogni/{PROTOCOL_VERSION} (sogni-python) {VERSION}"


def handshake_url(settings: Settings, *, app_id: str, network: Network | str, subscriptions: Mapping[str, bool]) -> str:
    """Return the socket URL with its form-encoded parameters, in the order the protocol specifies."""
    parameters = [("appId", app_id)]
    if settings.app_source:
        parameters.append(("appSource", settings.app_source))
    parameters += connection_parameters(settings.attribution)
    if subscriptions:
        flags = json.dumps(dict(subscriptions), separators=(",", ":"))
        parameters.append(("socketEventSubscriptions", flags))
    parameters += [
        ("clientName", CLIENT_NAME),
        ("clientType", "artist"),
        ("forceWorkerId", "fast" if network == "fast" else ""),
    ]
    parts = urlsplit(settings.socket_url)
    query = "&".join(part for part in (parts.query, urlencode(parameters)) if part)
    return urlunsplit((parts.scheme, parts.netloc, parts.path or "/", query, ""))
