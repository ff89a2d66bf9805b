"""Permits: what the service asks a wallet to sign before it moves tokens or may spend them (account §9, §10).

Called by the routes of withdrawals and approvals. Each permit is good for one signature, for the operation
it was made for. Belongs to the server's event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import define, field

from .holdings import Provider

LIFETIME = 1200
"""Seconds a permit waits for its signature."""

Spender = Literal["account", "staker"]
Key = tuple[str, ...]

_PER_OPERATION = 16
_LIMIT = 10_000
_CHAINS: Mapping[tuple[Provider, bool], int] = {
    ("base", False): 8453,
    ("base", True): 84532,
    ("etherlink", False): 42793,
    ("etherlink", True): 128123,
}
_TOKEN_CONTRACT = "0x1111111111111111111111111111111111111111"
_DEPOSIT_CONTRACT = "0x2222222222222222222222222222222222222222"
_STAKER_CONTRACT = "0x3333333333333333333333333333333333333333"
_SPENDERS: Mapping[Spender, str] = {"account": _DEPOSIT_CONTRACT, "staker": _STAKER_CONTRACT}
_WITHDRAW = {"wallet": "address", "amount": "uint256", "nonce": "uint256", "deadline": "uint256"}
_PERMIT = {
    "owner": "address",
    "spender": "address",
    "value": "uint256",
    "nonce": "uint256",
    "deadline": "uint256",
}
_UNLIMITED = str(2**256 - 1)


@define
class Permits:
    """The permits that wait for a signature."""

    clock: Callable[[], float]
    testnet: bool
    _waiting: dict[Key, list[dict[str, Any]]] = field(factory=dict)
    _count: int = 0

    def withdrawal(self, wallet: str, provider: Provider, amount: str) -> dict[str, Any]:
        """Make the permit of a withdrawal; ``amount`` is in units of 10^-18."""
        domain = self._domain("Sogni Account", provider, _DEPOSIT_CONTRACT)
        message = {"wallet": wallet, "amount": amount, **self._nonce()}
        return self._issue(("withdraw", wallet, provider, amount), domain, "Withdraw", _WITHDRAW, message)

    def approval(self, wallet: str, provider: Provider, spender: Spender) -> dict[str, Any]:
        """Make the permit that lets a contract spend without limit."""
        domain = self._domain("Sogni Token", provider, _TOKEN_CONTRACT)
        message = {"owner": wallet, "spender": _SPENDERS[spender], "value": _UNLIMITED, **self._nonce()}
        return self._issue(("approve", wallet, provider, spender), domain, "Permit", _PERMIT, message)

    def waiting(self, *key: str) -> list[dict[str, Any]]:
        """The permits for an operation, newest first: its kind, wallet, provider and amount or spender.

        Several clients may ask for the same at the same time."""
        now = self.clock()
        return [it for it in reversed(self._waiting.get(key, [])) if now < it["message"]["deadline"]]

    def spend(self, permit: dict[str, Any], *key: str) -> bool:
        """Use a permit up; False when somebody else was faster."""
        waiting = self._waiting.get(key, [])
        if permit not in waiting:
            return False
        waiting.remove(permit)
        if not waiting:
            del self._waiting[key]
        return True

    def _nonce(self) -> dict[str, Any]:
        self._count += 1
        return {"nonce": str(self._count), "deadline": int(self.clock()) + LIFETIME}

    def _domain(self, name: str, provider: Provider, contract: str) -> dict[str, Any]:
        chain = _CHAINS[provider, self.testnet]
        return {"name": name, "version": "1", "chainId": chain, "verifyingContract": contract}

    def _issue(
        self,
        key: Key,
        domain: dict[str, Any],
        primary: str,
        fields: Mapping[str, str],
        message: dict[str, Any],
    ) -> dict[str, Any]:
        types = {primary: [{"name": name, "type": kind} for name, kind in fields.items()]}
        permit = {"domain": domain, "types": types, "message": message}
        if len(self._waiting) >= _LIMIT:
            del self._waiting[next(iter(self._waiting))]
        waiting = self._waiting.setdefault(key, [])
        waiting.append(permit)
        del waiting[:-_PER_OPERATION]
        return permit
