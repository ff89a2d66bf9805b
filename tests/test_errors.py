"""The error tree: what every error is, that it survives pickling, and that it shows no secret."""

from __future__ import annotations

import errno
import pickle
import sys
import traceback
from types import SimpleNamespace
from typing import Any

import pytest

import sogni.errors as errors
from sogni.core.chat.state import failure_of
from sogni.core.failures import (
    api_error,
    chat_api_error,
    chat_error,
    job_error,
    project_error,
    unsent_chat_error,
    with_resources_named,
)
from sogni.core.projects.job import error_data
from sogni.errors import (
    ApiError,
    AuthenticationError,
    ChatError,
    ClientClosedError,
    ConflictError,
    ConnectionRejectedError,
    CostLimitError,
    InsufficientBalanceError,
    JobError,
    NotFoundError,
    PartialFailureError,
    PermissionDeniedError,
    ProjectCanceledError,
    ProjectError,
    ProjectFailedError,
    ProtocolError,
    RateLimitError,
    ServerError,
    SogniConnectionError,
    SogniError,
    SogniTimeoutError,
    ToolLimitError,
    ValidationError,
    WorkerError,
    is_retryable_chat_error,
)
from sogni.models.chat import ChatFailure
from sogni.models.projects import ConsentRequired, ErrorData
from tests.tables import each_row

SECRET = "sk-live-0123456789"


def of_status(status: int, message: str = "no", error_code: Any = None) -> ApiError:
    return api_error(
        status,
        message,
        error_code=error_code,
        payload={"message": message},
        retry_after=2,
        method="GET",
        url="https://api.sogni.ai/v1/x?token=abc",
    )


TREE: list[tuple[type[Exception], tuple[type[BaseException], ...]]] = [
    (SogniError, (Exception,)),
    (ApiError, (SogniError,)),
    (ValidationError, (ApiError, ValueError)),
    (AuthenticationError, (ApiError,)),
    (PermissionDeniedError, (ApiError,)),
    (NotFoundError, (ApiError,)),
    (ConflictError, (ApiError,)),
    (RateLimitError, (ApiError,)),
    (ServerError, (ApiError,)),
    (ProjectError, (SogniError,)),
    (ProjectFailedError, (ProjectError,)),
    (ProjectCanceledError, (ProjectError,)),
    (PartialFailureError, (ProjectError,)),
    (CostLimitError, (SogniError,)),
    (InsufficientBalanceError, (SogniError,)),
    (JobError, (SogniError,)),
    (ChatError, (SogniError,)),
    (ToolLimitError, (ChatError,)),
    (SogniTimeoutError, (SogniError, TimeoutError)),
    (SogniConnectionError, (SogniError, ConnectionError)),
    (ConnectionRejectedError, (SogniConnectionError,)),
    (ProtocolError, (SogniError,)),
    (ClientClosedError, (SogniError, RuntimeError)),
    (WorkerError, (SogniError,)),
]


@each_row(("kind", "bases"), TREE, ids=lambda it: getattr(it, "__name__", ""))
def test_the_tree(kind: type, bases: tuple[type, ...]) -> None:
    assert kind.__bases__ == bases


def test_every_public_error_stands_in_the_tree() -> None:
    public = {name for name in errors.__all__ if name[0].isupper()}
    assert {kind.__name__ for kind, _ in TREE} == public - {"PartialResultWarning"}


@each_row("kind", [kind for kind, _ in TREE], ids=lambda kind: kind.__name__)
def test_every_error_has_a_code_and_a_message(kind: type[SogniError]) -> None:
    error = kind("why")
    assert (error.message, str(error)) == ("why", "why")
    assert (0 if kind is ValidationError else None) == error.code


@each_row(
    ("status", "kind"),
    [
        (400, ValidationError),
        (401, AuthenticationError),
        (402, ApiError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (418, ApiError),
        (422, ValidationError),
        (429, RateLimitError),
        (500, ServerError),
        (503, ServerError),
        (599, ServerError),
    ],
)
def test_the_class_of_a_status(status: int, kind: type[ApiError]) -> None:
    error = of_status(status, error_code=7)
    assert (kind, status, 7, 7, 2) == (type(error), error.status, error.error_code, error.code, error.retry_after)
    assert error.payload == {"message": "no"}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (123, "no"),
        ("123", "no"),
        ("insufficient_balance", "no"),
        ("insufficientBalance", "no"),
        (None, "Insufficient Balance!"),
    ],
)
def test_an_account_that_cannot_pay_can_be_caught_as_such(code: Any, message: str) -> None:
    error = of_status(400, message, code)
    assert isinstance(error, InsufficientBalanceError)
    assert isinstance(error, ApiError)
    failed = project_error(message, ErrorData(code=0, original_code=code), None)
    assert isinstance(failed, InsufficientBalanceError)
    assert isinstance(failed, ProjectFailedError)


@pytest.mark.parametrize(
    ("code", "tag", "cannot_pay"),
    [
        (None, "insufficient_balance", True),
        (123, "invalid_request", True),
        ("4078", "subscription_unavailable", False),
        (None, "", False),
    ],
)
def test_a_chat_fails_with_its_tag(code: Any, tag: str, cannot_pay: bool) -> None:
    error = chat_error(ChatFailure(job_id="C", error=tag, message="no", error_code=code, worker_name="w"))
    assert cannot_pay is isinstance(error, InsufficientBalanceError)
    assert ("C", code, tag, "w") == (error.job_id, error.code, error.error_type, error.worker_name)
    assert error == pickle.loads(pickle.dumps(error))


@pytest.mark.parametrize("tag", ["server_restarting", "transport_lost", "model_unavailable", None])
def test_two_types_of_chat_errors_may_be_tried_again(tag: str | None) -> None:
    """chat §14.3."""
    error = chat_error(ChatFailure(job_id="C", error=tag or "", message="no"))
    expected = tag in ("server_restarting", "transport_lost")
    assert (error.retryable, is_retryable_chat_error(error), is_retryable_chat_error(ValueError())) == (
        expected, expected, False,
    )  # fmt: skip
    assert isinstance(error, SogniConnectionError) is (tag == "transport_lost")


@pytest.mark.parametrize(("code", "number"), [("4081", 4081), (4078, 4078), ("4082", None), (None, None)])
def test_codes_about_the_subscription_are_numbers(code: Any, number: int | None) -> None:
    """chat §14.4."""
    plans: dict[str, Any] = {
        "subscription_limit": True,
        "required_plans": ["unlimited"],
        "feature": "f",
        "limitation": "text",
    }
    error = chat_error(ChatFailure(job_id="C", error="t", message="no", error_code=code, **plans))
    assert error.subscription_error_code == number
    assert (error.subscription_limit, error.required_plans, error.feature, error.limitation) == (
        True, ("unlimited",), "f", "text",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (SogniTimeoutError("late", phase="ready", timeout=30), SogniTimeoutError),
        (SogniConnectionError("gone"), SogniConnectionError),
    ],
)
def test_a_chat_that_was_not_sent_may_be_tried_again(cause: Any, kind: type) -> None:
    """chat §14.2."""
    error = unsent_chat_error(cause, "C")
    assert isinstance(error, kind)
    assert (error.retryable, error.job_id, str(error)) == (True, "C", str(cause))
    assert getattr(error, "phase", "ready") == "ready"
    assert pickle.loads(pickle.dumps(error)) == error


@each_row("status", [400, 401, 402, 403, 404, 409, 422, 429, 500])
@each_row(("code", "shown"), [("4081", "4081"), (None, 7)])
def test_a_hosted_chat_fails_as_both(status: int, code: Any, shown: Any) -> None:
    api = of_status(status, error_code=7)
    error = chat_api_error(api, ChatError("no", code=code, error_type="tag"))
    assert isinstance(error, type(api))
    assert isinstance(error, ApiError)
    assert (error.status, error.error_code, error.code, error.retry_after) == (status, 7, shown, 2)
    assert (str(error), error.error_type, error.job_id) == (str(api), "tag", None)
    assert pickle.loads(pickle.dumps(error)) == error


def test_a_project_fails_with_its_codes() -> None:
    error = project_error("broken", ErrorData(code=5002, original_code="workerDisconnected"), "P")
    assert (ProjectFailedError, 5002, "workerDisconnected", "P") == (
        type(error),
        error.code,
        error.original_code,
        error.project,
    )


AGREEMENT = {"key": "k", "version": 2, "modelId": "m"}
CONSENT = ConsentRequired(key="k", version=2, model_id="m")
ADVICE: list[tuple[Any, dict[str, Any], str]] = [
    (4078, {}, "no; get a plan (account.create_subscription_checkout), or pay with tokens: billing_mode='tokens'"),
    (4079, {}, "no; wait until some of the projects that the plan pays have finished, or use billing_mode='tokens'"),
    (4080, {}, "no; the renewal of the plan is being retried: until it succeeds, use billing_mode='tokens'"),
    (4081, {}, "no; get a plan that includes this, or use billing_mode='tokens'"),
    (
        "4081",
        {"requiredPlans": ["unlimited", "unlimited_pro"]},
        "no; get a plan that includes this (unlimited, unlimited_pro), or use billing_mode='tokens'",
    ),
    (4100, {}, "no; no connected worker supports keyframes: try again later, or omit keyframes"),
    (4103, {}, "no; accept the agreement in a Sogni app first; repeating the request does not help"),
    (
        "4103",
        {"consentRequired": AGREEMENT},
        "no; accept the agreement 'k' (version 2) for m in a Sogni app first; repeating the request does not help",
    ),
    (4104, {}, "no; repeating the request does not help: choose a model from projects.available_models"),
    (4077, {}, "no."),
]


@each_row(("code", "given", "message"), ADVICE, ids=str)
def test_a_message_says_what_to_do(code: Any, given: dict[str, Any], message: str) -> None:
    """additions-5x §4, transport §16."""
    data = error_data({"error": code, "error_message": "no.", **given})
    failure = failure_of("C", {"error": "t", "error_message": "no.", "error_code": code, **given})
    body = {"status": "error", "message": "no.", **given}
    failed = (
        project_error(data.message, data, None),
        chat_error(failure),
        api_error(400, "no.", error_code=code, payload=body, retry_after=None, method="GET", url="https://h/p"),
    )
    assert {error.message for error in failed} == {message}
    assert job_error("broken", data, None).message == f"broken: {message}"
    for error in failed:
        assert (error.consent_required, error.subscription_limit) == (data.consent_required, str(code) == "4081")


@each_row("place", [lambda it: it, lambda it: {"details": it}, lambda it: {"error": {"subscription": it, **it}}])
def test_details_in_a_response_wherever_they_are(place: Any) -> None:
    details = {"consentRequired": AGREEMENT, "vendorFailureCategory": "timeout", "subscriptionLimit": True}
    body = {"status": "error", "message": "no", "new": 1, **place(details)}
    error = api_error(400, "no", error_code=None, payload=body, retry_after=None, method="GET", url="https://h/p")
    assert (error.consent_required, error.vendor_failure_category, error.subscription_limit, error.extra["new"]) == (
        CONSENT, "timeout", True, 1,
    )  # fmt: skip
    assert pickle.loads(pickle.dumps(error)) == error


@each_row("kind", [kind for kind, _ in TREE if issubclass(kind, SogniError)], ids=lambda kind: kind.__name__)
def test_every_error_has_the_reasons_that_may_not_apply(kind: type[SogniError]) -> None:
    error = kind("why")
    assert (error.consent_required, error.vendor_failure_category, dict(error.extra)) == (None, None, {})
    assert (error.subscription_limit, error.project_lost) == (False, False)


def test_an_error_of_a_lost_project_says_so() -> None:
    data = ErrorData(code=0, original_code="projectLost", extra={"new": 1})
    for error in (project_error("gone", data, None), job_error("gone", data, None)):
        assert (error.project_lost, error.extra) == (True, {"new": 1})
    assert job_error("no result", None, None) == JobError("no result")


def test_an_api_error_says_status_and_address_without_the_query() -> None:
    assert str(of_status(404)) == "HTTP 404: no (GET https://api.sogni.ai/v1/x)"


def test_a_refusal_made_here_is_only_its_sentence() -> None:
    error = ValidationError("steps must be 1 to 50", field="steps", value=99, allowed="1 to 50")
    assert (
        str(error),
        error.status,
        error.field,
        error.value,
        error.allowed,
    ) == ("steps must be 1 to 50", 400, "steps", 99, "1 to 50")


SAMPLES: list[SogniError] = [
    *(kind("why") for kind, _ in TREE if issubclass(kind, SogniError)),
    *(of_status(status) for status in (400, 401, 402, 403, 404, 409, 429, 500)),
    ApiError("why", status=402, error_code="x", payload={"a": [1]}, retry_after=1.5, method="GET", url="https://h/p"),
    ValidationError("why", field="steps", value=[1], allowed=(1, 2)),
    ProjectFailedError("why", code=5002, original_code="workerDisconnected", project="P"),
    PartialFailureError("why", code=0, project="P"),
    JobError("why", code=1, original_code="x", job="J"),
    ToolLimitError("enough", job_id="C", tool_history=[1]),
    ChatError("why", job_id="C", code="4078", error_type="subscription_unavailable", worker_name="w"),
    CostLimitError("why", estimate=3, max_cost=2),
    SogniTimeoutError("why", phase="queue", timeout=3.0),
    ConnectionRejectedError("why", close_code=4010),
    of_status(400, error_code=123),
    project_error("insufficient balance", None, None),
    project_error("why", ErrorData(code=4103, consent_required=CONSENT, vendor_failure_category="timeout"), None),
]


@each_row("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@each_row("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_pickles_to_an_equal_one(error: SogniError, protocol: int) -> None:
    copy = pickle.loads(pickle.dumps(error, protocol))
    assert copy is not error
    assert (type(error), error, str(error), vars(error), hash(error)) == (
        type(copy),
        copy,
        str(copy),
        vars(copy),
        hash(copy),
    )


def test_notes_travel_but_do_not_count() -> None:
    """Whoever adds a note to an error has not made another error of it."""
    error, noted = NotFoundError("why"), NotFoundError("why")
    noted.add_note("while looking")
    assert error == noted
    assert pickle.loads(pickle.dumps(noted)).__notes__ == ["while looking"]


def test_errors_that_differ_are_not_equal() -> None:
    assert NotFoundError("a") != NotFoundError("b")
    assert NotFoundError("a") != ConflictError("a")
    assert NotFoundError("a", status=1) != NotFoundError("a", status=2)
    assert NotFoundError("a") != "a"


LEAKS = [
    f"api-key: {SECRET}",
    f"GET https://bucket/x?X-Amz-Signature={SECRET} failed",
    f"https://user:{SECRET}@host/ is unreachable",
    f'{{"password": "{SECRET}"}}',
    f"Authorization: Bearer {SECRET}",
]


@each_row("leak", LEAKS)
@each_row("kind", [kind for kind, _ in TREE], ids=lambda kind: kind.__name__)
def test_no_error_shows_a_secret(kind: type[SogniError], leak: str) -> None:
    error = kind(leak)
    assert SECRET not in error.message + str(error) + repr(error) + repr(error.args)


def test_the_address_of_an_api_error_holds_no_secret() -> None:
    error = ApiError("no", status=500, method="PUT", url=f"https://u:{SECRET}@h/p?sig={SECRET}#{SECRET}")
    assert (error.url, str(error)) == ("https://h/p", "HTTP 500: no (PUT https://h/p)")


def test_what_from_none_hides_is_let_go_of() -> None:
    def fail(kind: type[Exception]) -> None:
        try:
            raise OSError("with the whole address")
        except OSError:
            raise kind("short") from None

    def later(kind: type[Exception]) -> BaseException | None:
        try:
            fail(kind)
        except kind as error:
            raise errors.SogniTimeoutError("later") from error
        return None

    causes = []
    for kind in (errors.SogniConnectionError, ValueError):
        with pytest.raises(errors.SogniTimeoutError) as caught:
            later(kind)
        errors.unchained(caught.value)
        causes.append(caught.value.__cause__)
    # What is not ours is the caller's.
    assert [type(it.__context__) for it in causes if it is not None] == [type(None), OSError]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.EMFILE, "no", "/secret"), "Too many open files"),
        (OSError(errno.ENFILE, "no"), "Too many open files in system"),
        (OSError(errno.ENOBUFS, "no"), "No buffer space available"),
        (OSError(errno.ENOMEM, "no"), "Cannot allocate memory"),
        (RuntimeError("can't start new thread"), "no more threads can be started"),
    ],
)
def test_exhausted_resources_become_an_error_of_ours(error: Exception, cause: str) -> None:
    named = with_resources_named(error)
    assert isinstance(named, SogniConnectionError)
    assert named.message == (
        f"the resources of this process are exhausted: {cause}; raise its limits (ulimit) or reduce concurrency"
    )
    assert named.__cause__ is error


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), RuntimeError("other"), SogniError("ours")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert with_resources_named(error) is error


def raised(module: str, refused: Exception | None = None) -> Any:
    """Return an error that code of a module raised when a function of the user called it."""
    code = """
def refuse():
    try:
        raise OSError("inner")
    except OSError as error:
        raise refused from error
"""
    refused = refused or errors.ValidationError("steps must be 1 or more, got 0")
    names: dict[str, Any] = {"__name__": module, "refused": refused}
    exec(compile(code, "inside.py", "exec"), names)

    def function_of_the_user() -> None:
        names["refuse"]()

    with pytest.raises(type(refused)) as caught:
        function_of_the_user()
    caught.value.add_note("a note")
    return caught.value


@pytest.mark.parametrize("module", ["sogni.core.x", "sogni_async.api.x", "IPython.core.x"])
def test_a_notebook_prints_the_frames_of_the_user_and_the_message(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    error = raised(module)
    printed = "".join(error._render_traceback_())
    assert ("in function_of_the_user" in printed, "inside.py" in printed, "inner" in printed) == (True, False, False)
    assert printed.endswith("ValidationError: steps must be 1 or more, got 0\na note\n")
    assert error.__cause__ is not None


def test_a_notebook_prints_other_frames_as_they_are() -> None:
    assert "inside.py" in "".join(raised("sognify")._render_traceback_())
    assert errors.SogniError("x")._render_traceback_() == ["sogni.errors.SogniError: x\n"]


def test_a_notebook_prints_tracebacks_in_the_style_of_ipython(monkeypatch: pytest.MonkeyPatch) -> None:
    def structured(kind: type, error: Exception, trace: Any, *, tb_offset: int) -> list[str]:
        return [f"{kind.__name__} {error} {traceback.extract_tb(trace)[-1].name} {tb_offset}"]

    shell = SimpleNamespace(InteractiveTB=SimpleNamespace(structured_traceback=structured))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]
    expected = ["ValidationError steps must be 1 or more, got 0 function_of_the_user 0"]
    assert raised("sogni.core.x")._render_traceback_() == expected


def test_errors_about_arguments_are_brief_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    error: Any = errors.brief(raised("sogni.core.x", TypeError("no parameter 'promt'")))
    monkeypatch.setattr(sys, "last_value", pickle.loads(pickle.dumps(error)), raising=False)
    assert error._render_traceback_() == ["TypeError: no parameter 'promt'\n", "a note\n"]
    monkeypatch.setattr(sys, "last_value", error)
    printed = "".join(error._render_traceback_())
    assert ("in function_of_the_user" in printed, "inside.py" in printed, "inner" in printed) == (True, False, False)
