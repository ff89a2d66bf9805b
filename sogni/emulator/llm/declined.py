"""Why a completion is declined, in the three forms the service tells it (chat §3, §14.4).

Made by the checks, the bills and the test's script; written by the surfaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

_STATUSES = {
    "insufficient_balance": 402,
    "subscription_unavailable": 403,
    "model_unavailable": 404,
    "not_found": 404,
    "rate_limited": 429,
    "server_error": 500,
    "server_restarting": 503,
}


@frozen
class DeclinedError(Exception):
    """A refusal: tag, text, and where there is one the service's number and what a plan lacks."""

    error: str
    message: str
    code: str | None = None
    subscription: Mapping[str, Any] = {}

    def __str__(self) -> str:
        return f"{self.error}: {self.message}"

    @property
    def status(self) -> int:
        return _STATUSES.get(self.error, 400)

    def frame(self) -> dict[str, Any]:
        """The payload of ``llmJobError``, without the job id."""
        numbered = {} if self.code is None else {"error_code": self.code}
        return {"error": self.error, "error_message": self.message, **numbered, **self._limits()}

    def body(self) -> dict[str, Any]:
        """The body of a REST answer."""
        told: dict[str, Any] = {"message": self.message, "type": self.error}
        if self.code is not None:
            told["code"] = self.code
        if limits := self._limits():
            told["subscription"] = limits
        return {"status": "error", "message": self.message, "errorCode": 0, "error": told}

    def _limits(self) -> dict[str, Any]:
        return {"subscriptionLimit": True, **self.subscription} if self.subscription else {}
