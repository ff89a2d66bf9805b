"""What a completion costs its account: held when it is asked for, settled by what was really said.

Called by the three surfaces. An estimate and a bill of the same tokens are the same amount.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attrs import define

from ..accounts import ZERO, Account, InsufficientFundsError
from .asking import Asking
from .declined import DeclinedError
from .models import Price

NOT_ENTITLED = "4078"
IN_GRACE = "4080"


@define(eq=False)
class Bill:
    """The bill of one completion. ``covered`` ones are paid by a subscription."""

    account: Account
    asking: Asking
    reserved: Decimal
    covered: bool = False
    _open: bool = True

    @classmethod
    def open(cls, account: Account, asking: Asking) -> Bill:
        """Hold what the completion may cost at most, or raise ``DeclinedError``."""
        if asking.billing == "subscription":
            _demand_subscription(account)
            return cls(account, asking, ZERO, covered=True)
        most = estimate(asking).in_token(asking.token)
        try:
            account.reserve(asking.token, most)
        except InsufficientFundsError as error:
            raise DeclinedError("insufficient_balance", str(error).replace("the project", "the completion")) from error
        return cls(account, asking, most)

    def settle(self, output_tokens: int) -> dict[str, Any]:
        """Take what was used, free the rest; return the ``cost`` of a result."""
        price = self.asking.model.price(self.asking.input_tokens, output_tokens)
        if self.covered:
            price = Price(usd=ZERO, input_tokens=price.input_tokens, output_tokens=output_tokens)
        self._close(price.in_token(self.asking.token))
        return price.settled(self.asking.token)

    def refund(self) -> None:
        """Free everything that is held."""
        self._close(ZERO)

    def _close(self, spent: Decimal) -> None:
        if self._open:
            self._open = False
            if not self.covered:
                self.account.settle(self.asking.token, self.reserved, spent, description="LLM")


def estimate(asking: Asking) -> Price:
    """Return what a completion may cost at most."""
    return asking.model.price(asking.input_tokens, asking.output_limit)


def _demand_subscription(account: Account) -> None:
    membership = account.membership
    if membership is not None and membership.active:
        return
    if membership is not None and membership.status == "grace":
        message = "The renewal of the subscription is being retried; use token billing meanwhile"
        raise DeclinedError("subscription_unavailable", message, IN_GRACE)
    raise DeclinedError("subscription_unavailable", "No active subscription covers this completion", NOT_ENTITLED)
