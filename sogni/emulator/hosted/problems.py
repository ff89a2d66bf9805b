"""Why a hosted tool did not deliver.

Raised by the tools and the studio, told to users by the workflows and the chat runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ToolError(Exception):
    """A tool that cannot do what it was asked for. ``code`` is a word for programs, the text is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def wire(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message}


class UserNeededError(Exception):
    """A tool that waits for somebody to decide. ``reason`` is one of the ``waitingReason`` values (workflows §3)."""

    def __init__(self, reason: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.details = dict(details or {})
