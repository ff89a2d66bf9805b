"""The outcome of `client.check()`."""

from __future__ import annotations

from attrs import field, frozen

from .account import Balances
from .base import Model


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
