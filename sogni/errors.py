"""The errors of both packages.

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
└── ClientClosedError (also RuntimeError)
```

Raised everywhere, decided nowhere else. Every error pickles and unpickles to an equal one, and no
error holds a secret: messages are redacted when the error is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sogni.redaction import redact, without_query

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
    "is_retryable_chat_error",
]

Phase = Literal["connect", "request", "ready", "queue", "run", "transfer", "total"]

RETRYABLE_CHAT_ERRORS = frozenset({"server_restarting", "transport_lost"})
"""Error types after which a chat request may be sent again as a new one (chat §14.3)."""
_SUBSCRIPTION_CODES = frozenset({"4078", "4079", "4080", "4081"})


class PartialResultWarning(UserWarning):
    """Warn that a project finished with fewer results than it was asked for."""


def _restore(cls: type[SogniError], args: tuple[Any, ...], state: dict[str, Any]) -> SogniError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class SogniError(Exception):
    """Base of every error of this library.

    `code` is the service's code for what went wrong, None where it gave none; `message` is the
    sentence without decoration.
    """

    code: int | str | None
    message: str

    def __init__(self, message: str = "", *, code: int | str | None = None) -> None:
        self.message = redact(message)
        self.code = code
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        mine, theirs = dict(self.__dict__), dict(other.__dict__)
        mine.pop("__notes__", None)
        theirs.pop("__notes__", None)
        return self.args == other.args and mine == theirs

    def __hash__(self) -> int:
        return hash((type(self), self.args))


def unchained(error: BaseException) -> None:
    """Let go of every error in a chain that `from None` only hides.

    Those are the libraries' own, and hold what was sent: headers, bodies, whole addresses. Reporting tools read them.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, SogniError) and seen.__suppress_context__:
            seen.__context__ = None
        seen = seen.__cause__ or seen.__context__


class ApiError(SogniError):
    """An answer of the service that is no success, or a refusal in its form made here.

    `status` is the HTTP status (0 when none), `error_code` and `payload` come from the body,
    `retry_after` is in seconds (transport §4.2). `url` is without its query.
    """

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
        self.url = without_query(url) if url else None

    def __str__(self) -> str:
        where = f" ({self.method} {self.url})" if self.method and self.url else ""
        status = f"HTTP {self.status}: " if self.url and self.status else ""
        return f"{status}{self.message}{where}"


class ValidationError(ApiError, ValueError):
    """A value that is not allowed; mostly found before anything is sent (status 400).

    `field`, `value` and `allowed` say which, what was given and what would be accepted; they are
    None when the service found the mistake. Where several mistakes were found at once, `findings` has
    one entry for each, and `field` is that of the first.
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
    """The service does not accept the credentials (401)."""


class PermissionDeniedError(ApiError):
    """The credentials do not allow this (403)."""


class NotFoundError(ApiError):
    """No such thing, or not yours (404)."""


class ConflictError(ApiError):
    """The request conflicts with the present state (409)."""


class RateLimitError(ApiError):
    """Too many requests (429); wait `retry_after` seconds."""


class ServerError(ApiError):
    """The service failed (5xx)."""


class InsufficientBalanceError(SogniError):
    """The account cannot pay; also an `ApiError`, a `ProjectError` or a `ChatError`."""


class ProjectError(SogniError):
    """A project that did not end well.

    `code` and `original_code` are those of the project's `ErrorData` (projects-4.2 §11.5);
    `project` is the handle, detached after unpickling.
    """

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
    """Some jobs of the project failed or were withheld; see `project.failed_jobs`."""


class JobError(SogniError):
    """One job cannot give what was asked of it."""

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
    """A chat completion that failed.

    `error_type` is the service's tag (`transport_lost`, `model_unavailable`, …), `code` its code as sent. A plan
    that does not cover the request is told by `subscription_limit`, `required_plans`, `feature` (a stable key) and
    `limitation` (a text for users). `job_id` is None for an answer over REST, which is also an `ApiError` (chat §14.4).
    `tool_history` has the rounds of tools that were executed, and billed, before it (chat §10).
    """

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
        self.subscription_limit = subscription_limit
        self.required_plans = tuple(required_plans)
        self.feature = feature
        self.limitation = limitation
        self.payload = payload

    @property
    def retryable(self) -> bool:
        """Whether asking again, as a new request, may work at once (chat §14.3)."""
        return self.error_type in RETRYABLE_CHAT_ERRORS

    @property
    def subscription_error_code(self) -> int | None:
        """The code as a number when it is about the subscription (4078 to 4081), else None."""
        text = str(self.code)
        return int(text) if text in _SUBSCRIPTION_CODES else None


class CostLimitError(SogniError):
    """The estimate is above `max_cost`, or there is none; nothing was sent."""

    def __init__(self, message: str = "", *, estimate: Any = None, max_cost: Any = None) -> None:
        super().__init__(message)
        self.estimate = estimate
        self.max_cost = max_cost


class SogniTimeoutError(SogniError, TimeoutError):
    """Time ran out; nothing was canceled by it.

    `phase` says what was waited for: connect, request, ready, queue, run, transfer or total;
    `timeout` is the limit in seconds.
    """

    def __init__(self, message: str = "", *, phase: Phase = "total", timeout: float | None = None) -> None:
        super().__init__(message)
        self.phase = phase
        self.timeout = timeout


class SogniConnectionError(SogniError, ConnectionError):
    """The service could not be reached, or the connection broke; names host and cause."""


class ConnectionRejectedError(SogniConnectionError):
    """The service closed the socket for good (transport §10); `close_code` is 4000 to 4999."""

    def __init__(self, message: str = "", *, close_code: int | None = None) -> None:
        super().__init__(message, code=close_code)
        self.close_code = close_code


class ProtocolError(SogniError):
    """The server sent what nobody can read."""


class ClientClosedError(SogniError, RuntimeError):
    """The client was closed, or belongs to the process this one was forked from."""


class ToolLimitError(ChatError):
    """A completion that executes tools would go on beyond its limits: too many rounds, or calls in one round.

    `tool_history` has the rounds that were executed, and billed, as in a result (chat §10).
    """

    def __init__(self, message: str, *, tool_history: Sequence[Any] = (), **fields: Any) -> None:
        super().__init__(message, **fields)
        self.tool_history = list(tool_history)


def is_retryable_chat_error(error: object) -> bool:
    """Whether a failed chat may simply be asked again, as a new request.

    True for error types `server_restarting` and `transport_lost` (chat §14.3); no pause is needed, because
    sending waits for the connection.

    >>> sogni.is_retryable_chat_error(sogni.ChatError("gone", error_type="transport_lost"))
    True
    """
    return getattr(error, "error_type", None) in RETRYABLE_CHAT_ERRORS
