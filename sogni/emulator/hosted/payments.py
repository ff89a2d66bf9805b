"""What a piece of hosted work was paid with, token by token, and how it is given back.

Kept by workflow steps and chat runs: work that has to begin anew must not be paid for twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from attrs import define, field

from ..accounts import Account, Token


@define(eq=False)
class Payments:
    """Amounts by token: some models take Spark only, whatever the rest is paid with."""

    _amounts: dict[Token, Decimal] = field(factory=dict)

    def add(self, token: Token, amount: Decimal) -> None:
        self._amounts[token] = self._amounts.get(token, Decimal(0)) + amount

    @property
    def total(self) -> Decimal:
        return sum(self._amounts.values(), Decimal(0))

    def give_back(self, account: Account, description: str) -> None:
        """Return everything to an account; afterwards nothing was paid."""
        amounts, self._amounts = self._amounts, {}
        for token, amount in amounts.items():
            if amount:
                account.move(token, amount, description=description, source="workflow")

    def saved(self) -> dict[str, str]:
        return {token: str(amount) for token, amount in self._amounts.items()}

    @classmethod
    def restored(cls, saved: Mapping[Token, str]) -> Payments:
        return cls({token: Decimal(amount) for token, amount in saved.items()})
