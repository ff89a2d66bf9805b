"""Many requests one after the other: decides which may begin, within one cost limit for all.

Called by `projects.map` of both packages, and by `batch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ValidationError
from ..models.params import ProjectParams
from ..protocol.field_checks import refusal, without_gaps
from ..protocol.project_params import project_params
from ..protocol.project_state import ProjectState
from .create import affordable, cost_limit, create_project
from .steps import Flow


class Plan:
    """The requests still to come, what they may cost, and the first error."""

    def __init__(self, requests: Iterable[Any], concurrency: Any, max_cost: Any) -> None:
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise ValidationError(
                f"concurrency must be an integer of 1 or more, not {concurrency!r}",
                field="concurrency",
                value=concurrency,
                allowed="1 or more",
            )
        self.concurrency = concurrency
        # Of an iterator nothing is known before it is asked.
        self._requests = enumerate(without_gaps("requests", requests))
        self._next: list[Any] = []
        self._budget = Budget(max_cost)
        self._error: Exception | None = None

    def more(self) -> bool:
        """Whether another project is to begin."""
        if self._error is not None:
            return False
        if not self._next:
            try:
                place, request = next(self._requests)
                if request is None:
                    raise refusal(f"requests[{place}]", None, "params or a mapping with their fields")
                self._next.append(request)
            except StopIteration:
                return False
            except Exception as error:
                # The caller's own: what runs is paid for and yielded first.
                self.failed(error)
                return False
        return True

    def take(self) -> tuple[Any, Flow[ProjectState]]:
        """The next request and the flow that creates its project."""
        request = self._next.pop()
        return request, self._create(request)

    def failed(self, error: Exception) -> None:
        """A request could not begin; nothing after it does."""
        self._error = error

    def finish(self) -> None:
        """Raise what kept a request from beginning."""
        if self._error is not None:
            raise self._error

    def _create(self, request: Any) -> Flow[ProjectState]:
        given = request if not isinstance(request, Mapping) else None
        fields = request if isinstance(request, Mapping) else {}
        yield from self._budget.spend(project_params(given, fields))
        return (yield from create_project(given, fields))


class Budget:
    """One cost limit for several projects, and what is left of it."""

    def __init__(self, max_cost: Any) -> None:
        self._limit = self._left = cost_limit(max_cost)

    def spend(self, params: ProjectParams) -> Flow[None]:
        """Take the estimate of a project from what is left; nothing without a limit. CostLimitError."""
        if self._limit is not None and self._left is not None:
            self._left -= yield from affordable(params, self._limit, self._left)
