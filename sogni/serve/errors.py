"""Errors as the OpenAI API reports them: HTTP status, body, and whether clients should repeat the request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from sogni.errors import (
    ApiError,
    AuthenticationError,
    ChatError,
    ClientClosedError,
    ConflictError,
    CostLimitError,
    InsufficientBalanceError,
    JobError,
    NotFoundError,
    PermissionDeniedError,
    ProjectCanceledError,
    ProjectError,
    RateLimitError,
    SogniConnectionError,
    SogniError,
    SogniTimeoutError,
    ValidationError,
)

INVALID = "invalid_request_error"
SERVER = "server_error"
QUOTA = "insufficient_quota"


class RequestError(Exception):
    """An error that is returned to the client of the server.

    Args:
        message: Description of the problem, and how to fix it.
        status: HTTP status.
        type: Kind of error, in the terms of OpenAI.
        param: Field of the request that is at fault.
        code: Stable name of the error.
        retry: Whether clients should repeat the request; None leaves it to them.
        retry_after: Seconds to wait before that.
        headers: Further headers of the response.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = INVALID,
        param: str | None = None,
        code: str | None = None,
        retry: bool | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message: str = message
        self.status = status
        self.type = type
        self.param = param
        self.code = code
        self.retry = retry
        self.retry_after = retry_after
        self.headers: dict[str, str] = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """Return the body of the response."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def body(self) -> bytes:
        """Return the body of the response as JSON."""
        return json.dumps(self.document()).encode()

    def all_headers(self) -> dict[str, str]:
        """Return the headers of the response."""
        headers = {"content-type": "application/json", **self.headers}
        if self.retry is not None:
            headers["x-should-retry"] = str(self.retry).lower()
        if self.retry_after is not None:
            headers["retry-after"] = f"{self.retry_after:g}"
        return headers


def unsupported(param: str, message: str) -> RequestError:
    """Return the error for a field of the OpenAI API that Sogni does not support."""
    return RequestError(message, param=param, code="unsupported_parameter")


def unsupported_value(param: str, message: str) -> RequestError:
    """Return the error for a value that is valid in the OpenAI API, but not supported by Sogni."""
    return RequestError(message, param=param, code="unsupported_value")


def invalid(param: str, message: str) -> RequestError:
    """Return the error for an invalid value of a field."""
    return RequestError(message, param=param, code="invalid_value")


@frozen
class _Row:
    """How errors of a class are reported."""

    kind: type[SogniError]
    status: int
    type: str
    code: str
    retry: bool | None = None


_TABLE = (
    _Row(InsufficientBalanceError, 429, QUOTA, QUOTA, retry=False),
    _Row(CostLimitError, 429, QUOTA, "spending_limit_exceeded", retry=False),
    _Row(ValidationError, 400, INVALID, "invalid_value"),
    # Not 401: the key of the client is right, that of this server is wrong.
    _Row(AuthenticationError, 500, SERVER, "sogni_credentials_rejected", retry=False),
    _Row(PermissionDeniedError, 403, INVALID, "permission_denied"),
    _Row(NotFoundError, 404, INVALID, "not_found"),
    _Row(ConflictError, 409, INVALID, "conflict", retry=False),
    _Row(RateLimitError, 429, "rate_limit_error", "rate_limit_exceeded"),
    _Row(ClientClosedError, 503, SERVER, "shutting_down"),
    _Row(SogniTimeoutError, 504, SERVER, "timeout", retry=False),
    _Row(ProjectCanceledError, 409, INVALID, "canceled", retry=False),
    _Row(SogniConnectionError, 503, SERVER, "sogni_unreachable"),
    # Repeating what failed in the service would be charged once more.
    _Row(ChatError, 502, SERVER, "chat_failed", retry=False),
    _Row(ProjectError, 502, SERVER, "generation_failed", retry=False),
    _Row(JobError, 502, SERVER, "generation_failed", retry=False),
    _Row(ApiError, 502, SERVER, "sogni_error"),
    _Row(SogniError, 502, SERVER, "sogni_error", retry=False),
)
"""How the errors of the client are reported; the first row that fits counts."""

_CHAT_TYPES = {
    "invalid_request": (400, INVALID, "invalid_value", False),
    "model_unavailable": (503, SERVER, "model_unavailable", None),
    "server_restarting": (503, SERVER, "server_restarting", True),
    "transport_lost": (503, SERVER, "transport_lost", True),
    "subscription_unavailable": (403, INVALID, "subscription_unavailable", False),
}
"""The same for the types of chat errors."""

FIELDS: Mapping[str, str] = {
    "model_id": "model",
    "positive_prompt": "prompt",
    "number_of_media": "n",
    "width": "size",
    "height": "size",
    "size_preset": "size",
    "gpt_image_quality": "quality",
    "gpt_image_background": "background",
    "gpt_image_output_compression": "output_compression",
    "gpt_image_mask": "mask",
    "context_images": "image",
    "reference_image": "input_reference",
    "duration": "seconds",
    "speaker": "voice",
    "instruct": "instructions",
}
"""Names in the API of client parameters, where they differ."""


def reported(error: SogniError, names: Mapping[str, str] = FIELDS) -> RequestError:
    """Return how an error of the client is reported.

    Args:
        error: The error.
        names: Names of request fields by client parameter.
    """
    row = next(row for row in _TABLE if isinstance(error, row.kind))
    status, kind, code, retry = row.status, row.type, row.code, row.retry
    if isinstance(error, ChatError) and error.error_type in _CHAT_TYPES and row.kind is not InsufficientBalanceError:
        status, kind, code, retry = _CHAT_TYPES[error.error_type]
    if error.vendor_failure_category == "content_policy":
        status, kind, code, retry = 400, INVALID, "content_policy_violation", False
    elif error.subscription_limit or error.consent_required is not None:
        status, kind, code, retry = 403, INVALID, "permission_denied", False
    message, param = error.message or type(error).__name__, None
    if isinstance(error, ValidationError) and error.field is not None:
        name = error.field.partition("[")[0].partition(".")[0]
        param = names.get(name, name) + error.field[len(name) :]
        if message.startswith(error.field):
            message = param + message.removeprefix(error.field)
    retry_after = error.retry_after if isinstance(error, ApiError) else None
    return RequestError(message, status=status, type=kind, param=param, code=code, retry=retry, retry_after=retry_after)


def stopping(consequence: str = "") -> RequestError:
    """Return the error for a request that the end of the server prevents or interrupts."""
    return RequestError(
        f"This server is shutting down. {consequence}".strip(),
        status=503,
        type=SERVER,
        code="shutting_down",
        retry_after=1,
    )


def unexpected() -> RequestError:
    """Return the error for a bug of this server, which is described in the log."""
    return RequestError(
        "The server has failed; its log has the reason.", status=500, type=SERVER, code="internal_error", retry=False
    )
