"""A request the service turns down, as the parts behind the routes say it.

Raised by the desks of durable things, turned into an answer by their routes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RefusalError(Exception):
    """The HTTP status of the answer, and the parts of the error body (workflows §8; chat §14.9)."""

    def __init__(
        self,
        status: int,
        message: str,
        code: int = 0,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.details = details
        self.retry_after = retry_after
