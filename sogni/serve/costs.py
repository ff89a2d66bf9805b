"""Cost limits per request and per day, in the token that pays."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from sogni.errors import (
    AuthenticationError,
    ConflictError,
    CostLimitError,
    InsufficientBalanceError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    SogniError,
    ValidationError,
)
from sogni.local.spending import DaySpending, Reservation
from sogni.serve.errors import SERVER, RequestError

if TYPE_CHECKING:
    from sogni_async import ChatCost, CostEstimation, LLMCostEstimation, Project, SogniClient

logger: logging.Logger = logging.getLogger("sogni.serve")


@define
class Charge:
    """The cost of one request: the estimate until `settle` replaces it.

    Attributes:
        cost: Actual cost; None until it is known.
        token: Token that has paid; None until it is known.
    """

    _day: DaySpending
    _reservation: Reservation | None = None
    cost: Decimal | None = None
    token: str | None = None

    async def settle(self, cost: Decimal | None, token: str | None) -> None:
        """Replace the estimate with the cost of the request. Without a cost, the estimate remains counted."""
        reservation, self._reservation = self._reservation, None
        self.cost, self.token = cost, token
        if reservation is None or cost is None or token not in (None, reservation.token):
            return
        try:
            await asyncio.to_thread(self._day.settle, reservation, cost)
        except OSError as error:
            logger.warning("spending not recorded error=%s", error)

    async def settle_chat(self, cost: ChatCost | None) -> None:
        """Settle the cost of a completion."""
        if cost is None or cost.cost_in_token is None:
            await self.settle(None, None)
        else:
            await self.settle(cost.cost_in_token, _paying(cost.cost_in_token, cost.cost_in_spark))

    async def settle_project(self, project: Project) -> None:
        """Settle the cost of a project."""
        await self.settle(project.cost, project.token_type)

    async def failed(self, error: BaseException) -> None:
        """Count nothing after an error for which the service does not charge."""
        if self._reservation is not None and _was_free(error):
            await self.settle(Decimal(), self._reservation.token)
            self.cost = self.token = None


@frozen
class Costs:
    """Limits on the cost of requests.

    Attributes:
        client: The client that estimates.
        per_request: Maximum cost of one request; None for no limit.
        day: The amount spent today, and the limit.
    """

    client: SogniClient
    per_request: Decimal | None = None
    day: DaySpending = field(factory=lambda: DaySpending(None))

    async def reserve_chat(self, **request: Any) -> Charge:
        """Reserve the maximum cost of a completion. Raises `CostLimitError` if that exceeds a limit."""
        if not self._limited:
            return Charge(self.day)
        names = ("model", "messages", "max_tokens", "token_type", "think", "task_profile")
        given = {name: request[name] for name in names if name in request}
        estimate: LLMCostEstimation = await _estimated(self.client.chat.estimate_cost(**given))
        return await self._reserve(estimate.cost_in_token, estimate.cost_in_spark)

    async def reserve_project(self, params: Mapping[str, Any]) -> Charge:
        """Reserve the cost of a project. Raises `CostLimitError` if that exceeds a limit."""
        if not self._limited:
            return Charge(self.day)
        estimate: CostEstimation = await _estimated(self.client.projects.estimate(**params))
        return await self._reserve(estimate.token, estimate.spark)

    @property
    def _limited(self) -> bool:
        return self.per_request is not None or self.day.limit is not None

    async def _reserve(self, amount: Decimal | None, in_spark: Decimal | None) -> Charge:
        if amount is None:
            raise CostLimitError("this server limits costs, and the service did not estimate this request")
        token = _paying(amount, in_spark)
        if self.per_request is not None and amount > self.per_request:
            raise CostLimitError(
                f"this may cost {amount:f} {token}, and this server allows {self.per_request:f} per request",
                estimate=amount,
                max_cost=self.per_request,
            )
        try:
            return Charge(self.day, await asyncio.to_thread(self.day.reserve, token, amount))
        except OSError as error:
            logger.error("spending not recorded error=%s", error)
            raise RequestError(
                "This server limits costs, and cannot record what it spends; its log has the reason.",
                status=500,
                type=SERVER,
                code="spending_unavailable",
                retry=False,
            ) from None


_FREE = (
    ValidationError, TypeError, InsufficientBalanceError, AuthenticationError, PermissionDeniedError, NotFoundError,
    ConflictError, RateLimitError,
)  # fmt: skip
_FREE_TYPES = frozenset({"invalid_request", "model_unavailable", "subscription_unavailable"})
"""Errors with which the service refuses a request before it charges for it."""


def _was_free(error: BaseException) -> bool:
    return isinstance(error, _FREE) or getattr(error, "error_type", None) in _FREE_TYPES


async def _estimated(estimate: Awaitable[Any]) -> Any:
    try:
        return await estimate
    except SogniError as error:
        if isinstance(error, ValueError):  # invalid parameters, which the request itself would have as well
            raise
        raise CostLimitError(f"this server limits costs, and an estimate is unavailable: {error.message}") from error


def _paying(amount: Decimal, in_spark: Decimal | None) -> str:
    return "spark" if amount == in_spark else "sogni"
