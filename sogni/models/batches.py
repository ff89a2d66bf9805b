"""The outcome of a batch: one item for each request, and totals."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen

from sogni.errors import SogniError
from sogni.settings import TokenType

BatchStatus = Literal["done", "failed", "kept"]


@frozen(kw_only=True)
class BatchItem:
    """Outcome of one request of a batch.

    Attributes:
        request: Fields of the project.
        status: `"done"`: all results are saved. `"failed"`: see `error`. `"kept"`: an earlier run saved the results.
        paths: Paths of the saved results, or URLs of objects, including those of a request that failed only in part.
        error: Why results are missing; None if all of them are saved.
        cost: What the project cost in this run, in `token_type`; None if it is unknown, or an earlier run paid.
        token_type: The token that paid; None if it is unknown.
        line: Number of the line of the file on which the request begins, or of the request, starting at 1.
        project_id: ID of the project; None if it was not created.
    """

    request: Mapping[str, Any] = field(repr=False)
    status: BatchStatus
    paths: list[Path] | list[Any] = field(factory=list)
    error: SogniError | None = None
    cost: Decimal | None = None
    token_type: TokenType | None = None
    line: int
    project_id: str | None = None


@frozen(kw_only=True)
class BatchReport:
    """Outcome of a batch. `str()` is a summary on one line.

    Attributes:
        done: Number of requests whose results were saved in this run.
        failed: Number of requests that failed, skipped rows included.
        kept: Number of requests that an earlier run had completed.
        cost: Known cost of the projects of this run, in the token that paid. See the `cost` and
            `token_type` of the items if several tokens paid.
        duration: Seconds from start to end.
        items: The outcome of each request, in the order of the source.
    """

    done: int
    failed: int
    kept: int
    cost: Decimal
    duration: float
    items: list[BatchItem] = field(repr=False)

    @classmethod
    def of(cls, items: list[BatchItem], duration: float) -> BatchReport:
        """Return the report on items.

        Args:
            items: The outcome of each request, in any order.
            duration: Seconds from start to end.

        Returns:
            The report.
        """
        count = {status: sum(it.status == status for it in items) for status in ("done", "failed", "kept")}
        return cls(
            done=count["done"],
            failed=count["failed"],
            kept=count["kept"],
            cost=sum((it.cost for it in items if it.cost is not None), Decimal()),
            duration=duration,
            items=sorted(items, key=lambda it: it.line),
        )

    def __str__(self) -> str:
        costs: dict[str, Decimal] = {}
        for item in self.items:
            if item.cost is not None:
                token = item.token_type or "tokens"
                costs[token] = costs.get(token, Decimal()) + item.cost
        paid = " + ".join(f"{amount.normalize():f} {token}" for token, amount in costs.items()) or "0"
        return f"{self.done} done, {self.failed} failed, {self.kept} kept, cost {paid}, time {_time(self.duration)}"


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s"
