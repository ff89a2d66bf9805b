"""The outcome of `client.check()`."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from sogni.models.account import Balances
from sogni.models.base import Model, wire

NetworkStatus = Literal["disconnected", "connecting", "connected", "switching"]


@frozen(kw_only=True)
class Connected(Model):
    """The socket is open; `network` is the client's own setting."""

    network: str


@frozen(kw_only=True)
class Reconnecting(Model):
    """The socket was lost and the next attempt is scheduled."""

    network: str


@frozen(kw_only=True)
class Disconnected(Model):
    """The socket is gone for good; `code` is the WebSocket close code."""

    code: int
    reason: str = ""


@frozen(kw_only=True)
class ToastMessage(Model):
    """A short message of the service for the person using the client."""

    type: Literal["info", "success", "warning", "error"] | str = "info"
    message: str = ""
    auto_close: float | None = None
    sticky_id: str | None = field(default=None, metadata=wire("stickyID"))


@frozen(kw_only=True)
class HealthCheck(Model):
    """One thing that was proved, or why not.

    `error` is the class of the error when it failed, `seconds` how long the proof took.
    """

    name: str
    ok: bool
    detail: str = ""
    error: str | None = None
    seconds: float | None = None


@frozen(kw_only=True)
class HealthReport(Model):
    """Whether this client can work: credentials, REST host, socket, balance.

    `ok` is true when every check is; nothing was spent to find out.
    """

    ok: bool
    checks: list[HealthCheck] = field(factory=list)
    username: str | None = None
    balance: Balances | None = None

    def __str__(self) -> str:
        lines = [f"{'ok ' if check.ok else 'NO '} {check.name}: {check.detail}" for check in self.checks]
        return "\n".join(lines)
