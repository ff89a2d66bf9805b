"""Map failures to error classes, by HTTP status, code and operation.

Some errors belong to two classes, such as a chat error that is also an API error. Their classes are defined here and
private: callers catch one of the bases.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Any

from sogni.errors import (
    ApiError,
    AuthenticationError,
    ChatError,
    ConflictError,
    InsufficientBalanceError,
    NotFoundError,
    PermissionDeniedError,
    ProjectFailedError,
    RateLimitError,
    ServerError,
    SogniConnectionError,
    SogniError,
    SogniTimeoutError,
    ValidationError,
)

# account §19; the strings are the error tags of chat
_INSUFFICIENT_CODES = frozenset({123, "123", "insufficient_balance", "insufficientBalance"})

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Error numbers that report exhausted files, sockets or memory."""


def with_resources_named(error: Exception) -> Exception:
    """Return the error, or a `SogniError` if the process ran out of files, sockets, memory or threads."""
    if isinstance(error, SogniError):
        return error
    if isinstance(error, OSError) and error.errno in _EXHAUSTED:
        cause = os.strerror(error.errno)
    elif isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        cause = "no more threads can be started"
    else:
        return error
    exhausted = SogniConnectionError(
        f"the resources of this process are exhausted: {cause}; raise its limits (ulimit) or reduce concurrency"
    )
    exhausted.__cause__ = error
    return exhausted


class _InsufficientBalanceApiError(InsufficientBalanceError, ApiError):
    pass


class _InsufficientBalanceProjectError(InsufficientBalanceError, ProjectFailedError):
    pass


class _InsufficientBalanceChatError(InsufficientBalanceError, ChatError):
    pass


for _public in (_InsufficientBalanceApiError, _InsufficientBalanceProjectError, _InsufficientBalanceChatError):
    _public.__doc__ = InsufficientBalanceError.__doc__


class _LostChatError(ChatError, SogniConnectionError):
    """A chat completion lost with the connection; retrying sends a new request."""


class _UnsentChatError(ChatError, SogniTimeoutError):
    """A chat completion that could not be sent in time; nothing was charged."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: ValidationError,
    429: RateLimitError,
}


def _as_chat_error(kind: type[ApiError]) -> type[ChatError]:
    """Return the class that is both this API error and a `ChatError`; a global of this module, so that it pickles."""
    name = f"_Chat{kind.__name__.removeprefix('_')}"
    combined: type[ChatError] = type(name, (ChatError, kind), {"__module__": __name__, "__doc__": kind.__doc__})
    globals()[name] = combined
    return combined


_API_ERRORS: set[type[ApiError]] = {ApiError, ServerError, _InsufficientBalanceApiError, *_BY_STATUS.values()}
_CHAT_API_ERRORS = {kind: _as_chat_error(kind) for kind in _API_ERRORS}


def _means_insufficient(code: int | str | None, message: str) -> bool:
    return code in _INSUFFICIENT_CODES or "insufficient balance" in message.lower()


def api_error(
    status: int,
    message: str,
    *,
    error_code: int | str | None,
    payload: Any,
    retry_after: float | None,
    method: str,
    url: str,
) -> ApiError:
    """Return the error for an HTTP status."""
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)
    if _means_insufficient(error_code, message):
        kind = _InsufficientBalanceApiError
    return kind(
        message,
        status=status,
        error_code=error_code,
        payload=payload,
        retry_after=retry_after,
        method=method,
        url=url,
    )


def chat_error(
    message: str,
    *,
    job_id: str,
    code: int | str | None,
    error_type: str | None,
    worker_name: str | None,
    **subscription: Any,
) -> ChatError:
    """Return the error for a failed chat job, including one for an insufficient balance."""
    kind: type[ChatError] = _LostChatError if error_type == "transport_lost" else ChatError
    if _means_insufficient(error_type, message) or _means_insufficient(code, message):
        kind = _InsufficientBalanceChatError
    return kind(message, job_id=job_id, code=code, error_type=error_type, worker_name=worker_name, **subscription)


def unsent_chat_error(cause: SogniConnectionError | SogniTimeoutError, job_id: str) -> ChatError:
    """Return the error for a chat request that was never sent."""
    chat = ChatError(cause.message, job_id=job_id, error_type="transport_lost")
    return _both(_UnsentChatError if isinstance(cause, SogniTimeoutError) else _LostChatError, chat, cause)


def chat_api_error(error: ApiError, chat: ChatError) -> ChatError:
    """Return an error that is both, for a hosted chat that failed with an API error."""
    kind = _InsufficientBalanceApiError if _means_insufficient(chat.error_type, chat.message) else type(error)
    combined = _both(_CHAT_API_ERRORS[kind], chat, error)
    combined.code = error.code if chat.code is None else chat.code
    return combined


def _both(kind: type[ChatError], chat: ChatError, other: SogniError) -> ChatError:
    """Return an error of a combined class with the fields of both; those of `other` take precedence."""
    combined = kind.__new__(kind, *other.args)
    combined.args = other.args
    combined.__dict__.update({**chat.__dict__, **other.__dict__})
    return combined


def project_error(message: str, *, code: int | None, original_code: str | None, project: Any) -> ProjectFailedError:
    """Return the error for a failed project."""
    kind: type[ProjectFailedError] = ProjectFailedError
    if _means_insufficient(original_code or code, message):
        kind = _InsufficientBalanceProjectError
    return kind(message, code=code, original_code=original_code, project=project)
