"""Map failures to error classes, by HTTP status, code and operation, and add advice to their messages.

Some errors belong to two classes, such as a chat error that is also an API error. Their classes are defined here and
private: callers catch one of the bases.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import evolve, fields

from sogni.errors import (
    CONSENT_MISSING,
    PLAN_LIMIT,
    ApiError,
    AuthenticationError,
    ChatError,
    ConflictError,
    InsufficientBalanceError,
    JobError,
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
from sogni.models.chat import ChatFailure
from sogni.models.converter import read, wire_name
from sogni.models.projects import ErrorData

E = TypeVar("E", bound=SogniError)

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


class _UnknownProjectError(NotFoundError, ConflictError):
    """An unknown project could not be canceled; also a `ConflictError`, like every declined cancellation."""


def unknown_project_error(project_id: str) -> NotFoundError:
    """Return the error for canceling a project that the account does not have."""
    return _UnknownProjectError(f"the account has no project {project_id}", status=404)


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


# Details of an error: additions-5x §4, transport §16.


DETAILS = frozenset(map(wire_name, fields(ErrorData))) - {"code", "message", "originalCode", "extra"}
"""The fields of an error that `ErrorData` declares in addition to code and message."""

_ADVICE: Mapping[str, str] = {
    "4078": "get a plan (account.create_subscription_checkout), or pay with tokens: billing_mode='tokens'",
    "4079": "wait until some of the projects that the plan pays have finished, or use billing_mode='tokens'",
    "4080": "the renewal of the plan is being retried: until it succeeds, use billing_mode='tokens'",
    "4100": "no connected worker supports keyframes: try again later, or omit keyframes",
    "4104": "repeating the request does not help: choose a model from projects.available_models",
}


def details_of(code: object, given: Mapping[str, Any]) -> ErrorData:
    """Return the details in an error of the service; values of unexpected types are in `extra`."""
    found = {name: given[name] for name in DETAILS if name in given}
    number = int(code) if str(code) in (str(PLAN_LIMIT), str(CONSENT_MISSING)) and isinstance(code, int | str) else 0
    if number == PLAN_LIMIT:
        found.pop("subscriptionLimit", None)  # the code says so
    return read(ErrorData, {**found, "code": number}, "the error")


def explained(message: str, code: object, details: ErrorData) -> str:
    """Return an error message with advice, if there is some for its code."""
    advice = _ADVICE.get(str(code), "")
    if details.consent_required is not None:
        agreement = details.consent_required
        version = "" if agreement.version is None else f" (version {agreement.version:g})"
        which = f" {agreement.key!r}{version}" if agreement.key else ""
        model = f" for {agreement.model_id}" if agreement.model_id else ""
        advice = f"accept the agreement{which}{model} in a Sogni app first; repeating the request does not help"
    elif details.subscription_limit and not advice:
        plans = ", ".join(details.required_plans or ())
        advice = f"get a plan that includes this{f' ({plans})' if plans else ''}, or use billing_mode='tokens'"
    return f"{message.rstrip('. ')}; {advice}" if advice else message


def with_details(error: E, details: ErrorData) -> E:
    """Set the details of an error about its reason."""
    for name in ("consent_required", "vendor_failure_category", "subscription_limit", "extra"):
        value = getattr(details, name)
        if value:
            setattr(error, name, value)
    return error


def _means_insufficient(code: int | str | None, message: str) -> bool:
    return code in _INSUFFICIENT_CODES or "insufficient balance" in message.lower()


def api_error(
    status: int,
    message: str,
    *,
    error_code: int | str | None,
    payload: Mapping[str, Any],
    retry_after: float | None,
    method: str,
    url: str,
) -> ApiError:
    """Return the error for an HTTP status."""
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)
    if _means_insufficient(error_code, message):
        kind = _InsufficientBalanceApiError
    details = _details_in_body(error_code, payload)
    error = kind(
        explained(message, error_code, details),
        status=status,
        error_code=error_code,
        payload=payload,
        retry_after=retry_after,
        method=method,
        url=url,
    )
    return with_details(error, details)


_IN_BODY = frozenset({"status", "message", "errorCode", "error", "error_code", "error_message", "retryAfter"})


def _details_in_body(code: object, body: Mapping[str, Any]) -> ErrorData:
    """Return the details in the body of a response, where they may be at the top, in `details` or in `error`."""
    inner = body.get("error")
    given: dict[str, Any] = {}
    for part in (inner.get("subscription") if isinstance(inner, Mapping) else None, inner, body.get("details"), body):
        given |= part if isinstance(part, Mapping) else {}
    details = details_of(code, given)
    others = {name: value for name, value in body.items() if name not in DETAILS | _IN_BODY}
    return evolve(details, extra={**others, **details.extra})


def chat_error(failure: ChatFailure, payload: Any = None) -> ChatError:
    """Return the error for a failed chat job, including one for an insufficient balance."""
    code, tag = failure.error_code, failure.error
    kind: type[ChatError] = _LostChatError if tag == "transport_lost" else ChatError
    if _means_insufficient(tag, failure.message) or _means_insufficient(code, failure.message):
        kind = _InsufficientBalanceChatError
    details = ErrorData(
        code=0,
        subscription_limit=failure.subscription_limit,
        required_plans=failure.required_plans,
        vendor_failure_category=failure.vendor_failure_category,
        consent_required=failure.consent_required,
        extra=failure.extra,
    )
    error = kind(
        explained(failure.message, code, details),
        job_id=failure.job_id,
        code=code,
        error_type=tag,
        worker_name=failure.worker_name,
        subscription_limit=failure.subscription_limit,
        required_plans=failure.required_plans,
        feature=failure.feature,
        limitation=failure.limitation,
        payload=payload,
    )
    return with_details(error, details)


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


def project_error(message: str, error: ErrorData | None, project: Any) -> ProjectFailedError:
    """Return the error for a failed project, `error` being its reason if it is known."""
    reason = error or ErrorData(code=0)
    kind: type[ProjectFailedError] = ProjectFailedError
    if _means_insufficient(reason.original_code or reason.code, message):
        kind = _InsufficientBalanceProjectError
    failure = kind(
        explained(message, reason.code, reason),
        code=error.code if error else None,
        original_code=reason.original_code,
        project=project,
    )
    return with_details(failure, reason)


def job_error(message: str, error: ErrorData | None, job: Any) -> JobError:
    """Return the error for a job without a result, `error` being the reason if it failed."""
    if error is None:
        return JobError(message, job=job)
    why = f"{message}: {error.message}" if error.message else message
    failure = JobError(explained(why, error.code, error), code=error.code, original_code=error.original_code, job=job)
    return with_details(failure, error)
