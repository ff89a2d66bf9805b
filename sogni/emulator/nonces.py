"""Nonces: the texts a client signs to prove that it holds a wallet, each good for one signature (account §4).

Called by the routes that sign up and sign in. Belongs to the server's event loop.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from attrs import define, field

LIFETIME = 600
"""Seconds a nonce waits for its signature."""

_PER_ADDRESS = 8
_LIMIT = 100_000


@define
class Nonces:
    """The nonces that were handed out and not used yet, by address in lower case. Several clients may sign in
    to one account at the same time, so an address has several."""

    clock: Callable[[], float]
    _waiting: dict[str, dict[str, float]] = field(factory=dict, repr=False)

    def issue(self, address: str) -> str:
        nonce = secrets.token_hex(16)
        waiting = self._waiting.setdefault(address.lower(), {})
        waiting[nonce] = self.clock() + LIFETIME
        if len(waiting) > _PER_ADDRESS:
            del waiting[next(iter(waiting))]
        if len(self._waiting) > _LIMIT:
            del self._waiting[next(iter(self._waiting))]
        return nonce

    def waiting(self, address: str) -> list[str]:
        """Return the nonces an address may still use, newest first."""
        now = self.clock()
        return [nonce for nonce, until in reversed(self._waiting.get(address.lower(), {}).items()) if now < until]

    def spend(self, address: str, nonce: str) -> bool:
        """Use a nonce up; False when somebody else was faster."""
        waiting = self._waiting.get(address.lower(), {})
        found = waiting.pop(nonce, None) is not None
        if not waiting:
            self._waiting.pop(address.lower(), None)
        return found
