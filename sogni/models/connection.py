"""Connection events, messages from the service, and the result of `client.check()`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

from sogni.models.account import Balances
from sogni.models.base import Model, wire

NetworkStatus = Literal["disconnected", "connecting", "connected", "switching"]


@frozen(kw_only=True)
class Connected(Model):
    """The socket has been opened.

    Attributes:
        network: Network in the client's settings.
    """

    network: str


@frozen(kw_only=True)
class Reconnecting(Model):
    """The connection was lost and will be re-established.

    Attributes:
        network: Network in the client's settings.
    """

    network: str


@frozen(kw_only=True)
class Disconnected(Model):
    """The connection has ended and will not be re-established.

    Attributes:
        code: WebSocket close code.
        reason: Reason given for the close.
    """

    code: int
    reason: str = ""


@frozen(kw_only=True)
class ToastMessage(Model):
    """A short message from the service for the user.

    Attributes:
        type: Severity.
        message: The message.
        auto_close: Milliseconds after which to hide the message.
        sticky_id: ID of a message that stays visible.
    """

    type: Literal["info", "success", "warning", "error"] | str = "info"
    message: str = ""
    auto_close: float | None = None
    sticky_id: str | None = field(default=None, metadata=wire("stickyID"))


@frozen(kw_only=True)
class HealthCheck(Model):
    """The result of one check.

    Attributes:
        name: Name of the check.
        ok: Whether the check succeeded.
        detail: Description of the result.
        error: Class name of the error, if the check failed.
        seconds: Duration of the check.
    """

    name: str
    ok: bool
    detail: str = ""
    error: str | None = None
    seconds: float | None = None


@frozen(kw_only=True)
class HealthReport(Model):
    """The results of checking credentials, REST host, balance and socket. The checks cost nothing.

    Attributes:
        ok: Whether all checks succeeded.
        checks: The checks, in order.
        username: User name of the account.
        balance: Balance of the account.
    """

    ok: bool
    checks: list[HealthCheck] = field(factory=list)
    username: str | None = None
    balance: Balances | None = None

    def __str__(self) -> str:
        lines = [f"{'ok ' if check.ok else 'NO '} {check.name}: {check.detail}" for check in self.checks]
        return "\n".join(lines)


def _length(body: bytes) -> str:
    return f"<{len(body)} bytes>"


@frozen(kw_only=True)
class RawReply:
    """A reply as the service sent it, see `SogniClient.with_options`. Its `repr` shows neither headers nor body.

    Attributes:
        method: Method of the request.
        url: URL of the request, after redirects, without its query.
        status: HTTP status.
        headers: Headers of the reply; their names are in lower case.
        body: The body, decompressed; at most 8 MB of that of an error.
    """

    method: str
    url: str
    status: int
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: bytes = field(default=b"", repr=_length)

    def json(self) -> Any:
        """Return the decoded JSON of the body.

        Returns:
            The JSON.

        Raises:
            ValueError: The body is not JSON.

        Example:
            >>> replies = []
            >>> account = client.with_options(on_reply=replies.append).account.me()
            >>> (replies[0].status, replies[0].json()["data"]["username"])
            (200, 'local-artist')
        """
        return json.loads(self.body)
