"""Errors raised by `sogni` and `sogni_async`.

```
SogniError
├── ApiError
│   ├── ValidationError (also ValueError)
│   ├── AuthenticationError · PermissionDeniedError · NotFoundError
│   ├── ConflictError · RateLimitError · ServerError
├── ProjectError
│   ├── ProjectFailedError · ProjectCanceledError · PartialFailureError
├── JobError
├── ChatError
│   └── ToolLimitError
├── CostLimitError
├── InsufficientBalanceError (mixed in with ApiError, ProjectError or ChatError)
├── SogniTimeoutError (also TimeoutError)
├── SogniConnectionError (also ConnectionError)
│   └── ConnectionRejectedError
├── ProtocolError
├── ClientClosedError (also RuntimeError)
└── WorkerError
```

Unpickling an error returns an equal one. Errors contain no secrets: messages are redacted on construction.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sogni.redaction import redact, without_query

if TYPE_CHECKING:
    from sogni.models.projects import ConsentRequired

__all__ = [
    "ApiError",
    "AuthenticationError",
    "ChatError",
    "ClientClosedError",
    "ConflictError",
    "ConnectionRejectedError",
    "CostLimitError",
    "InsufficientBalanceError",
    "JobError",
    "NotFoundError",
    "PartialFailureError",
    "PartialResultWarning",
    "PermissionDeniedError",
    "ProjectCanceledError",
    "ProjectError",
    "ProjectFailedError",
    "ProtocolError",
    "RateLimitError",
    "ServerError",
    "SogniConnectionError",
    "SogniError",
    "SogniTimeoutError",
    "ToolLimitError",
    "ValidationError",
    "WorkerError",
    "is_retryable_chat_error",
]

E = TypeVar("E", bound=BaseException)

Phase = Literal["connect", "request", "ready", "queue", "run", "transfer", "total"]

RETRYABLE_CHAT_ERRORS = frozenset({"server_restarting", "transport_lost"})
"""Error types after which a chat request can be sent again as a new one."""  # chat §14.3
_SUBSCRIPTION_CODES = frozenset({"4078", "4079", "4080", "4081"})
PLAN_LIMIT = 4081
CONSENT_MISSING = 4103
PROJECT_LOST = "projectLost"


class PartialResultWarning(UserWarning):
    """A project finished with fewer results than requested."""


def _restore(cls: type[E], args: tuple[Any, ...], state: dict[str, Any]) -> E:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class SogniError(Exception):
    """Base class of all errors of this library.

    Args:
        message: What went wrong. Secrets in it are redacted.
        code: Error code from the service; None if it sent none.

    Attributes:
        message: The message alone, without the context that `str()` may add.
        code: Error code from the service; None if it sent none.
        consent_required: The agreement that must be accepted, in a Sogni app, before the model may be used; None if
            that is not the reason.
        vendor_failure_category: Why a vendor failed to process the request, for example `"content_policy"`; None if
            unknown.
        subscription_limit: True if the plan of the subscription does not include the request.
        extra: Further details from the service, in wire form.

    Example:
        ```python
        try:
            client.projects.get("unknown")
        except sogni.SogniError as error:
            print(error.code, error.message)
        ```
    """

    code: int | str | None
    message: str
    consent_required: ConsentRequired | None = None
    vendor_failure_category: str | None = None
    subscription_limit: bool = False
    extra: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, message: str = "", *, code: int | str | None = None) -> None:
        self.message = redact(message)
        self.code = code
        if str(code) == str(PLAN_LIMIT):
            self.subscription_limit = True
        super().__init__(self.message)

    @property
    def project_lost(self) -> bool:
        """True if the service no longer knows the project."""
        return getattr(self, "original_code", None) == PROJECT_LOST

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)

    def _render_traceback_(self) -> list[str]:
        """Return what IPython prints: the frames of the user, without those of this package, and the message."""
        return _printed(self)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        mine, theirs = dict(self.__dict__), dict(other.__dict__)
        mine.pop("__notes__", None)
        theirs.pop("__notes__", None)
        return self.args == other.args and mine == theirs

    def __hash__(self) -> int:
        return hash((type(self), self.args))


def brief(error: E) -> E:
    """Make IPython print an error about the arguments of a call as it prints a `SogniError`, and return the error."""
    vars(error)["_render_traceback_"] = _print_last
    return error


def _print_last() -> list[str]:
    """Return what IPython prints for the error that it is about to print.

    A method bound to the error would be a reference cycle, which keeps alive what the frames of the error hold.
    """
    error: BaseException = sys.last_value  # type: ignore[assignment]  # IPython has set it
    return _printed(error)


def _printed(error: BaseException) -> list[str]:
    """Return an error as IPython prints it, with no other frames than those of the user."""
    trace = _frames_of_users(error.__traceback__)
    bare = _restore(type(error), error.args, vars(error))  # without a cause, which is printed at length
    try:
        printer = sys.modules["IPython"].get_ipython().InteractiveTB
        lines: list[str] = printer.structured_traceback(type(bare), bare, trace, tb_offset=0)
    except (LookupError, AttributeError):
        lines = traceback.format_exception(type(bare), bare, trace)
    return lines


_OWN_PACKAGES = frozenset({"sogni", "sogni_async", "IPython", "ipykernel"})


def _frames_of_users(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of this package and of IPython."""
    if trace is None:
        return None
    following = _frames_of_users(trace.tb_next)
    package = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
    if package in _OWN_PACKAGES:
        return following
    return TracebackType(following, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)


def unchained(error: BaseException) -> None:
    """Remove every suppressed context from a chain of errors.

    `from None` only hides the context. The errors of the HTTP libraries hold headers, bodies and full URLs, which error
    trackers would report.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, SogniError) and seen.__suppress_context__:
            seen.__context__ = None
        seen = seen.__cause__ or seen.__context__


class ApiError(SogniError):
    """The service rejected a request or failed to process it.

    Args:
        message: What went wrong.
        status: HTTP status; 0 if there was no HTTP response.
        error_code: Error code in the response body; also available as `code`.
        payload: Decoded response body.
        retry_after: Seconds to wait before the next attempt, if the service specifies it.
        method: HTTP method of the request.
        url: URL of the request. Its query is removed.
    """

    # The body: transport §4.2.

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 0,
        error_code: int | str | None = None,
        payload: Any = None,
        retry_after: float | None = None,
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(message, code=error_code)
        self.status = status
        self.error_code = error_code
        self.payload = payload
        self.retry_after = retry_after
        self.method = method
        self.url: str | None = without_query(url) if url else None

    def __str__(self) -> str:
        where = f" ({self.method} {self.url})" if self.method and self.url else ""
        status = f"HTTP {self.status}: " if self.url and self.status else ""
        return f"{status}{self.message}{where}"


class ValidationError(ApiError, ValueError):
    """An argument is invalid. In most cases it is rejected before anything is sent.

    Args:
        message: What is invalid and what is allowed.
        field: Name of the invalid argument; None if the service rejected the request.
        value: The value that was given.
        allowed: Description of the allowed values.
        status: HTTP status. Default 400.
        error_code: Error code in the response body. Default 0.
        payload: Decoded response body.
        retry_after: Seconds to wait before the next attempt, if the service specifies it.
        method: HTTP method of the request.
        url: URL of the request. Its query is removed.
        findings: One entry per mistake if several were found at once; `field` is then that of the first.

    Example:
        >>> try:
        ...     sogni.Timeouts(connect=-1)
        ... except sogni.ValidationError as error:
        ...     print(error.field, error.value)
        connect -1
    """

    def __init__(
        self,
        message: str = "",
        *,
        field: str | None = None,
        value: Any = None,
        allowed: Any = None,
        status: int = 400,
        error_code: int | str | None = 0,
        payload: Any = None,
        retry_after: float | None = None,
        method: str | None = None,
        url: str | None = None,
        findings: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(
            message,
            status=status,
            error_code=error_code,
            payload=payload,
            retry_after=retry_after,
            method=method,
            url=url,
        )
        self.field = field
        self.value = value
        self.allowed = allowed
        self.findings = findings


class AuthenticationError(ApiError):
    """The credentials are missing, invalid or expired (HTTP 401)."""


class PermissionDeniedError(ApiError):
    """The account is not allowed to do this (HTTP 403)."""


class NotFoundError(ApiError):
    """The resource does not exist or belongs to another account (HTTP 404)."""


class ConflictError(ApiError):
    """The request conflicts with the current state of the resource (HTTP 409)."""


class RateLimitError(ApiError):
    """Too many requests (HTTP 429). Wait `retry_after` seconds before the next one."""


class ServerError(ApiError):
    """The service failed to process the request (HTTP 5xx)."""


class InsufficientBalanceError(SogniError):
    """The balance is too low. Every instance is also an `ApiError`, a `ProjectError` or a `ChatError`."""


class ProjectError(SogniError):
    """A project did not complete.

    Args:
        message: What went wrong.
        code: Error code from the service.
        original_code: Error code as sent, before it was mapped to `code`.
        project: The project; detached after unpickling.
    """

    # The codes: projects-4.2 §11.5.

    def __init__(
        self,
        message: str = "",
        *,
        code: int | str | None = None,
        original_code: str | None = None,
        project: Any = None,
    ) -> None:
        super().__init__(message, code=code)
        self.original_code = original_code
        self.project = project


class ProjectFailedError(ProjectError):
    """The project failed."""


class ProjectCanceledError(ProjectError):
    """The project was canceled."""


class PartialFailureError(ProjectError):
    """Some jobs of the project failed or their results were withheld; see `project.failed_jobs`."""


class JobError(SogniError):
    """A job failed or has no result.

    Args:
        message: What went wrong.
        code: Error code from the service.
        original_code: Error code as sent, before it was mapped to `code`.
        job: The job; detached after unpickling.
    """

    def __init__(
        self,
        message: str = "",
        *,
        code: int | str | None = None,
        original_code: str | None = None,
        job: Any = None,
    ) -> None:
        super().__init__(message, code=code)
        self.original_code = original_code
        self.job = job


class ChatError(SogniError):
    """A chat completion failed. Errors of REST responses are also an `ApiError`.

    Args:
        message: What went wrong.
        job_id: ID of the request; None if it was sent over REST.
        code: Error code from the service, as sent.
        error_type: Type of the error, for example `"transport_lost"` or `"model_unavailable"`.
        worker_name: Name of the worker that processed the request, if known.
        subscription_limit: True if the plan of the subscription does not include the request.
        required_plans: Plans that include it, cheapest first.
        feature: Stable key of the feature that the subscription lacks.
        limitation: Description of the limitation, for users.
        payload: Decoded error data.

    Attributes:
        tool_history: Rounds of tools that were executed, and billed, before the error.
    """

    # REST errors: chat §14.4. Tool rounds: chat §10.
    tool_history: Sequence[Any] = ()

    def __init__(
        self,
        message: str = "",
        *,
        job_id: str | None = None,
        code: int | str | None = None,
        error_type: str | None = None,
        worker_name: str | None = None,
        subscription_limit: bool = False,
        required_plans: Sequence[str] = (),
        feature: str | None = None,
        limitation: str | None = None,
        payload: Any = None,
    ) -> None:
        super().__init__(message, code=code)
        self.job_id = job_id
        self.error_type = error_type
        self.worker_name = worker_name
        self.subscription_limit: bool = subscription_limit or self.subscription_limit
        self.required_plans: tuple[str, ...] = tuple(required_plans)
        self.feature = feature
        self.limitation = limitation
        self.payload = payload

    @property
    def retryable(self) -> bool:
        """True if the request can be sent again at once, as a new request."""  # chat §14.3
        return self.error_type in RETRYABLE_CHAT_ERRORS

    @property
    def subscription_error_code(self) -> int | None:
        """The code as an integer if it concerns the subscription (4078 to 4081), otherwise None."""
        text = str(self.code)
        return int(text) if text in _SUBSCRIPTION_CODES else None


class CostLimitError(SogniError):
    """The estimate exceeds `max_cost` or is unavailable. Nothing was sent.

    Args:
        message: What went wrong.
        estimate: The estimated cost; None if unavailable.
        max_cost: The limit that was given.
    """

    def __init__(self, message: str = "", *, estimate: Any = None, max_cost: Any = None) -> None:
        super().__init__(message)
        self.estimate = estimate
        self.max_cost = max_cost


class SogniTimeoutError(SogniError, TimeoutError):
    """A time limit was exceeded. Nothing was canceled.

    Args:
        message: What went wrong.
        phase: What timed out: `"connect"`, `"request"`, `"ready"`, `"queue"`, `"run"`, `"transfer"` or `"total"`
            (default).
        timeout: The limit in seconds.
    """

    def __init__(self, message: str = "", *, phase: Phase = "total", timeout: float | None = None) -> None:
        super().__init__(message)
        self.phase = phase
        self.timeout = timeout


class SogniConnectionError(SogniError, ConnectionError):
    """The service could not be reached, or the connection was lost. The message names the host and the cause."""


class ConnectionRejectedError(SogniConnectionError):
    """The service closed the socket permanently.

    Args:
        message: What went wrong.
        close_code: Close code of the socket, 4000 to 4999.
    """

    # The close codes: transport §10.

    def __init__(self, message: str = "", *, close_code: int | None = None) -> None:
        super().__init__(message, code=close_code)
        self.close_code = close_code


class ProtocolError(SogniError):
    """The service sent a malformed response or frame."""


class ClientClosedError(SogniError, RuntimeError):
    """The client is closed, or it belongs to the parent of a forked process."""


class WorkerError(SogniError):
    """A worker of an executor was lost, or failed before it could report the outcome of a batch request.

    A project that it created continues, and the next attempt picks it up.
    """


class ToolLimitError(ChatError):
    """A chat completion exceeded the limits on tools: too many rounds, or too many calls in one round.

    Args:
        message: What went wrong.
        tool_history: Rounds of tools that were executed, and billed.
        **fields: Further arguments of `ChatError`.
    """

    # The limits: chat §10.

    def __init__(self, message: str, *, tool_history: Sequence[Any] = (), **fields: Any) -> None:
        super().__init__(message, **fields)
        self.tool_history: list[Any] = list(tool_history)


def is_retryable_chat_error(error: object) -> bool:
    """Return whether a failed chat request can be sent again at once, as a new request.

    No delay is necessary, because sending waits for the connection.

    Args:
        error: Any exception.

    Returns:
        True if the error type is `server_restarting` or `transport_lost`.

    Example:
        >>> sogni.is_retryable_chat_error(sogni.ChatError("connection lost", error_type="transport_lost"))
        True
    """
    # chat §14.3
    return getattr(error, "error_type", None) in RETRYABLE_CHAT_ERRORS
