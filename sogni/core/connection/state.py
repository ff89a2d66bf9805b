"""The life of the socket: decides when to connect, to ping, to give up and to come back (transport §6, §10).

Fed by the shells with what happened and the time; asked by them what to do next. It opens nothing,
draws no random number and reads no clock.
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

PING_EVERY = 15.0
PONG_WITHIN = 15.0
AUTHENTICATED_WITHIN = 10.0
SNAPSHOT_WITHIN = 1.5
"""Seconds after which the snapshot is asked for, when `authenticated` has not brought it (transport §13.2)."""
FIRST_DELAY, LONGEST_DELAY = 1.0, 15.0
NORMAL, ABNORMAL, DISPLACED = 1000, 1006, 4015
OWN_REASON = "Client disconnected"


@frozen
class Closed:
    """How a connection ended: WebSocket close code and reason, and the error behind it when there was one."""

    code: int
    reason: str = ""
    cause: BaseException | None = None


class Connection:
    """One client's connection over all its sockets.

    `generation` counts the sockets that were opened. The shell calls `connect_wanted`, then does
    what `phase` says: in `connecting` it opens a socket, in `waiting` it waits until `retry_at`, in
    `open` and `ready` it reads and calls `due` at the latest at `deadline`.
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
        self._pong_by: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether a socket is open and its server has answered within the last two pings."""
        return self.phase in ("open", "ready")

    def connect_wanted(self) -> bool:
        """Someone needs the socket; True when the shell must now begin to connect."""
        if self.phase not in ("idle", "ended"):
            return False
        self.phase = "connecting"
        self.attempt = 0
        self.closed = None
        return True

    def opened(self, now: float) -> None:
        """The upgrade succeeded; the server has yet to say `authenticated`."""
        self.phase = "open"
        self.generation += 1
        self._opened_at = now
        self._ping_at = now + PING_EVERY
        self._sync_at = now + SNAPSHOT_WITHIN
        self._pong_by = None

    def authenticated(self) -> None:
        """The server takes frames from now on (transport §6.1)."""
        if self.phase == "open":
            self.phase = "ready"
        self.attempt = 0

    def synced(self) -> None:
        """The snapshot of this connection has arrived."""
        self._sync_at = None

    def heard(self) -> None:
        """A pong arrived."""
        self._pong_by = None

    def deadline(self) -> float:
        """When `due` must be asked again, in the shell's monotonic seconds."""
        if self.phase == "waiting":
            return self.retry_at
        deadline = self._ping_at if self._pong_by is None else min(self._ping_at, self._pong_by)
        if self.phase == "open":
            deadline = min(deadline, self._opened_at + AUTHENTICATED_WITHIN)
        return deadline if self._sync_at is None else min(deadline, self._sync_at)

    def due(self, now: float) -> Move | None:
        """What the time asks for; None: nothing yet.

        A ping, sending without `authenticated`, asking for the snapshot, dropping a silent server, a new try.
        """
        if self.phase == "waiting":
            if now < self.retry_at:
                return None
            self.phase = "connecting"
            return "connect"
        if not self.is_open:
            return None
        if self._pong_by is not None and now >= self._pong_by:
            return "dead"
        if self.phase == "open" and now >= self._opened_at + AUTHENTICATED_WITHIN:
            self.phase = "ready"
            return "ready"
        if self._sync_at is not None and now >= self._sync_at:
            self._sync_at = None
            return "sync"
        if now >= self._ping_at:
            self._ping_at = now + PING_EVERY
            self._pong_by = self._pong_by or now + PONG_WITHIN
            return "ping"
        return None

    def next_move(self, now: float) -> tuple[ReaderMove, float]:
        """What a reader does now, and until when: only to `read` it keeps the socket it has."""
        if self.is_open:
            return "read", self.deadline()
        if self.phase == "waiting" and self.due(now) is None:
            return "wait", self.retry_at
        return ("connect" if self.phase == "connecting" else "end"), 0.0

    def lost(self, closed: Closed, *, now: float, jitter: float, signed_in: bool) -> Literal["ended", "waiting"]:
        """A socket closed or an attempt failed; decides whether to come back (transport §10).

        `jitter` is a random number from 0.8 to 1.2, `signed_in` whether there are credentials.
        """
        self.closed = closed
        if not signed_in or not is_recoverable(closed.code):
            self.phase = "ended"
            return "ended"
        self.phase = "waiting"
        self.retry_at = now + min(FIRST_DELAY * 2**self.attempt, LONGEST_DELAY) * jitter
        self.attempt = min(self.attempt + 1, 10)
        return "waiting"

    def stopped(self) -> None:
        """This side closes for good."""
        self.phase = "ended"
        self.closed = Closed(NORMAL, OWN_REASON)


def is_recoverable(code: int | None) -> bool:
    """Whether a close is answered by a new connection: not for 1000, 0 and 4000 to 4999."""
    return bool(code) and code != NORMAL and not 4000 <= (code or 0) <= 4999


def clears_credentials(code: int | None) -> bool:
    """Whether a close means that the credentials are no good: refusals, save being displaced."""
    return not is_recoverable(code) and code not in (NORMAL, DISPLACED)


def error_of(closed: Closed | None, *, app_id: str, host: str) -> SogniError:
    """A new error that says why there is no connection, chained from its cause."""
    error = _error_of(closed or Closed(ABNORMAL), app_id, host)
    if closed is not None and closed.cause is not None:
        error.__cause__ = closed.cause
    return error


def _error_of(closed: Closed, app_id: str, host: str) -> SogniError:
    said = f": {closed.reason}" if closed.reason else ""
    if closed.code == DISPLACED:
        return ConnectionRejectedError(
            f"another connection took the app id {app_id!r} (close code 4015). Two clients with one app id "
            "displace each other: give each its own app_id, or none for one that is chosen for you",
            close_code=closed.code,
        )
    if isinstance(closed.cause, AuthenticationError):
        return AuthenticationError(str(closed.cause.message), status=401, error_code=closed.cause.error_code)
    if closed.code == 4021:
        return AuthenticationError(f"{host} does not accept the credentials (close code 4021){said}", status=401)
    if not is_recoverable(closed.code) and closed.code != NORMAL:
        return ConnectionRejectedError(
            f"{host} refused the connection (close code {closed.code}){said}", close_code=closed.code
        )
    if isinstance(closed.cause, SogniConnectionError):
        return SogniConnectionError(closed.cause.message, code=closed.code)
    return SogniConnectionError(
        f"the connection to {host} is closed (close code {closed.code}){said}", code=closed.code
    )


# The WebSocket handshake: decides address and headers of the upgrade (transport §5, §6).
#
# Called by both shells when they connect. It never opens anything.


CLIENT_NAME = f"Sogni/{PROTOCOL_VERSION} (sogni-python) {VERSION}"


def handshake_url(settings: Settings, *, app_id: str, network: Network | str, subscriptions: Mapping[str, bool]) -> str:
    """The socket address with its parameters, form-encoded, in the order of the sheet (transport §6)."""
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
