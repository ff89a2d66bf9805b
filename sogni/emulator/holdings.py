"""Holdings: what an account's wallet has on the two chains, outside of the service (account §6.2, §9 to §11).

Called by the routes that move tokens between account and wallet, and from any thread by tests that fill a
wallet. Approvals stand here, too: they are facts of the chain.
"""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Literal, get_args

from attrs import define, evolve, field, frozen

Provider = Literal["base", "etherlink"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)
ZERO = Decimal(0)


@frozen
class Holding:
    """Amounts on one chain. Numbers and texts become ``Decimal``."""

    sogni: Decimal = field(default=ZERO, converter=Decimal)
    spark: Decimal = field(default=ZERO, converter=Decimal)
    ether: Decimal = field(default=ZERO, converter=Decimal)


@define(eq=False)
class Holdings:
    """One wallet on every chain."""

    _held: dict[Provider, Holding] = field(factory=dict)
    _approved: set[tuple[Provider, str]] = field(factory=set)
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)

    def on(self, provider: Provider) -> Holding:
        with self._lock:
            return self._held.get(provider, Holding())

    def set(self, provider: Provider = "base", **amounts: Decimal | int | str) -> None:
        """Replace amounts on a chain: ``sogni``, ``spark``, ``ether``; what is left out stays."""
        with self._lock:
            self._held[provider] = evolve(self._held.get(provider, Holding()), **amounts)

    def move(self, provider: Provider, sogni: Decimal) -> bool:
        """Add to the Sogni on a chain, or take from it; False when there is not enough."""
        with self._lock:
            held = self._held.get(provider, Holding())
            if held.sogni + sogni < 0:
                return False
            self._held[provider] = evolve(held, sogni=held.sogni + sogni)
            return True

    def approve(self, provider: Provider, spender: str) -> None:
        """Allow a contract of the service to take tokens from the wallet."""
        with self._lock:
            self._approved.add((provider, spender))

    def revoke_approvals(self) -> None:
        with self._lock:
            self._approved.clear()

    def approved(self, provider: Provider, spender: str) -> bool:
        with self._lock:
            return (provider, spender) in self._approved

    def clear(self) -> None:
        with self._lock:
            self._held.clear()
            self._approved.clear()
