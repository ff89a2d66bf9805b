"""Cost limits per request and per day, in the token that pays."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from contextlib import suppress
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

COST_SECONDS = 30.0
"""How long to wait for the record of a finished project, which has its cost."""
COST_POLL_SECONDS = 0.5
"""Pause between two attempts: the record appears a moment after the end of a project."""
_ENDED = frozenset({"completed", "errored", "cancelled"})
"""Statuses of a record whose cost is final."""


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

    @property
    def is_settled(self) -> bool:
        """Whether nothing is reserved, or no longer."""
        return self._reservation is None

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
    _settling: set[asyncio.Task[None]] = field(factory=set, init=False, repr=False)

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

    def settle_later(self, charge: Charge, project: Project) -> None:
        """Settle a charge as soon as the cost of its project is known, without waiting for that."""
        if charge.is_settled:
            return
        task = asyncio.ensure_future(self._settle(charge, project))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def close(self) -> None:
        """Wait for no cost any longer. The estimates remain counted."""
        settling = tuple(self._settling)
        for task in settling:
            task.cancel()
        await asyncio.gather(*settling, return_exceptions=True)

    async def _settle(self, charge: Charge, project: Project) -> None:
        try:
            await project.wait(check=False)
            await charge.settle(*await self._cost(project))
        except (SogniError, TimeoutError) as error:
            logger.warning("the estimate remains counted project=%s error=%r", project.id, error)

    async def _cost(self, project: Project) -> tuple[Decimal | None, str | None]:
        """Return the cost of a project that has ended, and the token. Raises `TimeoutError` if there is no record."""
        async with asyncio.timeout(COST_SECONDS):
            # The client reads the record of a completed project, but not of one that failed or was canceled.
            while project.cost is None:
                with suppress(NotFoundError):
                    record = await self.client.projects.get(project.id)
                    if record.status in _ENDED:
                        return record.cost, record.token_type
                await asyncio.sleep(COST_POLL_SECONDS)
        return project.cost, project.token_type

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
