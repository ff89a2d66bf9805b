"""The fault plan: rules that tests write, from any thread, and the server consults at defined points.

The plan only decides; the caller carries the fault out. A rule is spent after ``times`` uses.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, TypedDict, TypeVar, Unpack, get_args

from attrs import define, field

from sogni.emulator.fields import Json

Stage = Literal[
    "request_received", "queued", "initiating", "started", "progress", "tokens", "result", "completed", "canceled"
]


class FailureDetails(TypedDict, total=False):
    """Further fields of an error of the service.

    `consent_required` has the keys `key`, `version` and `model_id`; `fair_use` has any.
    """

    # Protocol notes: additions-5x §4.

    consent_required: Mapping[str, Json]
    vendor_failure_category: str
    subscription_limit: bool
    required_plans: list[str]
    feature: str
    limitation: str
    fair_use: Mapping[str, Json]


def _wire(details: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Return details with the keys of the wire form; raise TypeError for an unknown one."""
    unknown = sorted(details.keys() - set(known))
    if unknown:
        raise TypeError(f"unknown details {', '.join(unknown)}; there are {', '.join(known)}")
    return {re.sub(r"_([a-z])", lambda it: it[1].upper(), name): value for name, value in details.items()}


def _failure_details(details: FailureDetails) -> dict[str, Any]:
    wire = _wire(details, FailureDetails.__annotations__)
    if "consentRequired" in wire:
        wire["consentRequired"] = _wire(wire["consentRequired"], ("key", "version", "model_id"))
    return wire


@define(eq=False)
class Rule:
    """Base class of all rules; ``fired`` counts the uses so far."""

    times: int = field(default=1, kw_only=True)
    fired: int = field(default=0, init=False)

    @property
    def spent(self) -> bool:
        """True once the rule has been used ``times`` times."""
        return self.fired >= self.times


@define(eq=False)
class SocketDrop(Rule):
    """Cut a connection, or close it with ``code`` if there is one."""

    stage: Stage | None = None
    deliver: bool = True
    after_frames: int | None = None
    after_tokens: int | None = None
    code: int | None = None


@define(eq=False)
class RefusedUpgrade(Rule):
    """A WebSocket upgrade that is refused."""

    status: int = 503
    message: str = "Service temporarily unavailable"
    delay: float = 0.0
    hang: bool = False


@define(eq=False)
class LostRequest(Rule):
    """A ``jobRequest`` or ``llmJobRequest`` that is lost with its connection before the service has read it."""

    drop: bool = True


@define(eq=False)
class FrameFault(Rule):
    """A fault of outgoing frames of one type (None: any)."""

    type: str | None = None
    delay: float = 0.0
    copies: int = 1
    hold: bool = False
    raw: str | bytes | None = None


@define(eq=False)
class HttpFault(Rule):
    """A fault of HTTP requests. ``path`` is a glob; ``method`` None means any."""

    path: str = "*"
    method: str | None = None
    status: int | None = None
    retry_after: float | str | None = None
    message: str = "Injected fault"
    error_code: int = 0
    body: str | bytes | None = None
    content_type: str = "application/json"
    delay: float = 0.0
    truncate: bool = False
    hang: bool = False
    disconnect: bool = False


@define(eq=False)
class StreamFault(Rule):
    """A fault of an event stream, once ``after_events`` events have been sent on its connection.

    ``repeat`` is the number of already received events that are sent again when the reader resumes.
    """

    path: str = "*"
    after_events: int = 0
    cut: bool = False
    truncate: bool = False
    delay: float = 0.0
    hang: bool = False
    comment: bool = False
    repeat: int = 0


@define(eq=False)
class ToolFault(Rule):
    """A hosted tool that fails before it starts; ``name`` None means any."""

    name: str | None = None
    code: str = "TOOL_FAILED"
    message: str = "The tool failed"


@define(eq=False)
class JobFault(Rule):
    """A fault of the job at a position of its project (from 0; None: any)."""

    index: int | None = None
    error: int | str | None = None
    message: str = ""
    retry: bool = False
    nsfw: bool = False
    is_from_worker: bool = True
    details: Mapping[str, Any] = field(factory=dict)


@define(eq=False)
class ProjectRefusal(Rule):
    """A project that is refused before the service knows it."""

    error: int | str = 1001
    message: str = "The server is restarting"
    details: Mapping[str, Any] = field(factory=dict)


@define(eq=False)
class WaitReason(Rule):
    """Why a project waits (``index`` None), or one of its jobs; ``reason`` in wire form."""

    index: int | None = None
    reason: Mapping[str, str] = field(factory=dict)


@define(eq=False)
class CancelDenial(Rule):
    """A cancellation that is denied."""

    message: str = "The project can no longer be canceled"


@define(eq=False)
class LoraImportFault(Rule):
    """An import of a personal LoRA that is rejected, or stays in review."""

    status: Literal["review", "rejected"] = "rejected"
    failure_code: str | None = None
    reason: str | None = None


WAIT_MESSAGES: Mapping[str, str] = {
    "concurrency_limit": "The limit of projects at a time is reached",
    "model_concurrency_limit": "The limit of projects with this model at a time is reached",
    "payment_pending": "The payment is not confirmed yet",
    "no_workers": "No worker for this model is connected",
    "queued": "Waiting for a free worker",
}
"""The default explanations of waits, by reason."""
# Protocol notes: additions-5x §7.

R = TypeVar("R", bound=Rule)
# RFC 6455, section 7.4: 1004 to 1006 and 1015 are never sent.
_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})


def _check_status(status: int | None) -> None:
    if status is not None and (isinstance(status, bool) or status not in range(200, 600)):
        raise ValueError(f"status must be an integer from 200 to 599, got {status!r}")


def _check_seconds(name: str, seconds: float) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ValueError(f"{name} must be a non-negative number of seconds, got {seconds!r}")


def _check_header(name: str, value: object) -> None:
    if not (str(value).isascii() and str(value).isprintable()):
        raise ValueError(f"{name} must be printable ASCII, got {value!r}")


def _encoded(value: bytes | Json) -> str | bytes | None:
    """Return strings and bytes unchanged and anything else as JSON; None means no body."""
    if isinstance(value, str):
        value.encode()  # raises UnicodeEncodeError, a ValueError, here instead of in the server
    return value if isinstance(value, str | bytes | None) else json.dumps(value)


class Faults:
    """A scriptable, thread-safe fault plan.

    Every method returns its rule, whose ``fired`` counts how often it applied. A rule is used up after ``times`` uses.

    Example:
        >>> rule = supernet.faults.http("/v1/account/me", status=503)
        >>> client.account.me().username  # repeated after the error
        'local-artist'
        >>> rule.fired
        1
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()

    @property
    def pending(self) -> tuple[Rule, ...]:
        """The rules that have not been used up."""
        with self._lock:
            return tuple(rule for rule in self._rules if not rule.spent)

    def drop_socket(
        self,
        *,
        at: Stage | None = None,
        before: Stage | None = None,
        after_frames: int | None = None,
        after_tokens: int | None = None,
        code: int | None = None,
        times: int = 1,
    ) -> SocketDrop:
        """Cut the connection, or close it with ``code``. Exactly one of the four conditions must be given.

        Args:
            at: Cut once the frame of this stage has been written.
            before: Cut instead of writing the frame of this stage.
            after_frames: Cut after this many frames of one connection; the first is ``authenticated``.
            after_tokens: Cut after this many ``jobTokens`` frames of one connection.
            code: Close code to send; without it, the TCP connection is cut.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Raises:
            ValueError: The stage or the code is invalid, or there is not exactly one condition.

        Example:
            >>> rule = supernet.faults.drop_socket(at="started")
        """
        if code is not None and code not in _CLOSE_CODES:
            raise ValueError(f"code must be valid in a close frame, got {code!r}")
        given = [condition for condition in (at, before, after_frames, after_tokens) if condition is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of at, before, after_frames and after_tokens")
        stage = at or before
        if stage is not None and stage not in get_args(Stage):
            raise ValueError(f"unknown stage {stage!r}; the stages are {', '.join(get_args(Stage))}")
        return self._add(
            SocketDrop(
                stage=stage,
                deliver=before is None,
                after_frames=after_frames,
                after_tokens=after_tokens,
                code=code,
                times=times,
            )
        )

    def refuse_upgrade(
        self,
        *,
        times: int = 1,
        status: int = 503,
        message: str = "Service temporarily unavailable",
        delay: float = 0.0,
        hang: bool = False,
    ) -> RefusedUpgrade:
        """Answer WebSocket upgrades with an HTTP error.

        Args:
            times: Number of uses. Default 1.
            status: HTTP status, 200 to 599. Default 503.
            message: Body of the response.
            delay: Seconds to wait before the response. Default 0.
            hang: Never respond. Default False.

        Returns:
            The rule.

        Raises:
            ValueError: The status or the delay is invalid.

        Example:
            >>> rule = supernet.faults.refuse_upgrade(status=503)
        """
        _check_status(status)
        _check_seconds("delay", delay)
        return self._add(RefusedUpgrade(times=times, status=status, message=message, delay=delay, hang=hang))

    def lose_request(self, *, times: int = 1, drop: bool = True) -> LostRequest:
        """Lose a ``jobRequest`` or ``llmJobRequest``, as if it had never arrived.

        Args:
            times: Number of uses. Default 1.
            drop: Also cut the connection. Default True.

        Returns:
            The rule.

        Example:
            >>> rule = supernet.faults.lose_request()
        """
        return self._add(LostRequest(times=times, drop=drop))

    def delay_frames(self, type: str | None = None, *, seconds: float, times: int = 1) -> FrameFault:
        """Delay a frame, and with it all later frames on the connection.

        Args:
            type: Type of the frame; None means any.
            seconds: Seconds to wait.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Raises:
            ValueError: ``seconds`` is negative or not a number.

        Example:
            >>> rule = supernet.faults.delay_frames("jobProgress", seconds=0.1)
        """
        _check_seconds("seconds", seconds)
        return self._add(FrameFault(times=times, type=type, delay=seconds))

    def duplicate_frames(self, type: str | None = None, *, copies: int = 2, times: int = 1) -> FrameFault:
        """Write a frame several times.

        Args:
            type: Type of the frame; None means any.
            copies: How often it is written. Default 2.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Example:
            >>> rule = supernet.faults.duplicate_frames("jobResult")
        """
        return self._add(FrameFault(times=times, type=type, copies=copies))

    def reorder_frames(self, type: str | None = None, *, times: int = 1) -> FrameFault:
        """Write a frame after the one that follows it on the connection.

        Args:
            type: Type of the frame; None means any.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Example:
            >>> rule = supernet.faults.reorder_frames("jobResult")
        """
        return self._add(FrameFault(times=times, type=type, hold=True))

    def malform_frame(self, type: str | None = None, *, raw: bytes | Json = "{not json", times: int = 1) -> FrameFault:
        """Write something else just before a frame.

        Args:
            type: Type of the frame; None means any.
            raw: What to write: a string, bytes, or any JSON value. Default ``"{not json"``.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Raises:
            ValueError: ``raw`` cannot be encoded.

        Example:
            >>> rule = supernet.faults.malform_frame("jobProgress", raw=[1, 2])
        """
        return self._add(FrameFault(times=times, type=type, raw=_encoded(raw)))

    def http(
        self,
        path: str = "*",
        *,
        method: str | None = None,
        times: int = 1,
        status: int | None = None,
        retry_after: float | str | None = None,
        message: str = "Injected fault",
        error_code: int = 0,
        body: bytes | Json = None,
        content_type: str = "application/json",
        delay: float = 0.0,
        truncate: bool = False,
        hang: bool = False,
        disconnect: bool = False,
    ) -> HttpFault:
        """Answer requests of both hosts, storage URLs included, with a fault.

        Args:
            path: Glob that the path of the request must match. Default: any path.
            method: HTTP method; None means any.
            times: Number of uses. Default 1.
            status: Respond with this status, 200 to 599, and the error envelope, or with ``body``.
            retry_after: Value of the ``Retry-After`` header.
            message: Message of the error envelope.
            error_code: Error code of the error envelope. Default 0.
            body: Response body: a string, bytes, or any JSON value.
            content_type: Content type of ``body``. Default ``"application/json"``.
            delay: Seconds to wait; on its own, it only delays the regular response.
            truncate: Send half of what ``Content-Length`` announces. Default False.
            hang: Never respond. Default False.
            disconnect: Cut the connection. Default False.

        Returns:
            The rule.

        Raises:
            ValueError: The status, the delay or a header is invalid.

        Example:
            >>> rule = supernet.faults.http("/v1/account/*", method="GET", status=429, retry_after=1)
        """
        _check_status(status)
        _check_seconds("delay", delay)
        _check_header("retry_after", retry_after)
        _check_header("content_type", content_type)
        return self._add(
            HttpFault(
                path=path,
                method=method,
                times=times,
                status=status,
                retry_after=retry_after,
                message=message,
                error_code=error_code,
                body=_encoded(body),
                content_type=content_type,
                delay=delay,
                truncate=truncate,
                hang=hang,
                disconnect=disconnect,
            )
        )

    def cut_stream(
        self, path: str = "*", *, after_events: int = 0, truncate: bool = False, times: int = 1
    ) -> StreamFault:
        """Cut an event stream.

        Args:
            path: Glob that the path of the stream must match. Default: any path.
            after_events: Cut once this many events have been sent on the connection. Default 0.
            truncate: Cut in the middle of the next event. Default False.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Example:
            >>> rule = supernet.faults.cut_stream("*/events/stream", after_events=2)
        """
        return self._add(StreamFault(path=path, after_events=after_events, cut=True, truncate=truncate, times=times))

    def delay_stream(self, path: str = "*", *, seconds: float, after_events: int = 0, times: int = 1) -> StreamFault:
        """Delay an event of a stream, and with it all later ones.

        Args:
            path: Glob that the path of the stream must match. Default: any path.
            seconds: Seconds to wait.
            after_events: Delay once this many events have been sent on the connection. Default 0.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Raises:
            ValueError: ``seconds`` is negative or not a number.

        Example:
            >>> rule = supernet.faults.delay_stream(seconds=0.1)
        """
        _check_seconds("seconds", seconds)
        return self._add(StreamFault(path=path, after_events=after_events, delay=seconds, times=times))

    def hang_stream(self, path: str = "*", *, after_events: int = 0, times: int = 1) -> StreamFault:
        """Let an event stream fall silent without ending.

        Args:
            path: Glob that the path of the stream must match. Default: any path.
            after_events: Fall silent once this many events have been sent on the connection. Default 0.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Example:
            >>> rule = supernet.faults.hang_stream(after_events=1)
        """
        return self._add(StreamFault(path=path, after_events=after_events, hang=True, times=times))

    def comment_stream(self, path: str = "*", *, after_events: int = 0, times: int = 1) -> StreamFault:
        """Send a keep-alive comment in an event stream.

        Args:
            path: Glob that the path of the stream must match. Default: any path.
            after_events: Send it once this many events have been sent on the connection. Default 0.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Example:
            >>> rule = supernet.faults.comment_stream()
        """
        return self._add(StreamFault(path=path, after_events=after_events, comment=True, times=times))

    def repeat_events(self, path: str = "*", *, count: int = 1, times: int = 1) -> StreamFault:
        """When a reader resumes an event stream, repeat the last events before its starting point.

        Args:
            path: Glob that the path of the stream must match. Default: any path.
            count: Number of events to repeat. Default 1.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Example:
            >>> rule = supernet.faults.repeat_events(count=3)
        """
        return self._add(StreamFault(path=path, repeat=count, times=times))

    def fail_job(
        self,
        index: int | None = None,
        *,
        error: int | str = "genfailure",
        message: str = "The image could not be generated",
        is_from_worker: bool = True,
        times: int = 1,
        **details: Unpack[FailureDetails],
    ) -> JobFault:
        """Let a job fail after its first step.

        Args:
            index: Position of the job in its project, from 0; None means any.
            error: Error code, a number or a string. Default ``"genfailure"``.
            message: Error message.
            is_from_worker: Report the error as one of the worker. Default True.
            times: Number of uses. Default 1.
            **details: Further fields of the error: `vendor_failure_category`, `consent_required` (a mapping with
                `key`, `version` and `model_id`), `subscription_limit`, `required_plans`, `feature`, `limitation`,
                `fair_use`.

        Returns:
            The rule.

        Raises:
            TypeError: There is no such detail.

        Example:
            >>> rule = supernet.faults.fail_job(index=1, vendor_failure_category="timeout")
        """
        return self._add(
            JobFault(
                index=index,
                error=error,
                message=message,
                is_from_worker=is_from_worker,
                times=times,
                details=_failure_details(details),
            )
        )

    def fail_tool(
        self,
        name: str | None = None,
        *,
        code: str = "TOOL_FAILED",
        message: str = "The tool failed",
        times: int = 1,
    ) -> ToolFault:
        """Let a hosted tool fail, in a workflow or a chat, before it has produced or cost anything.

        Args:
            name: Name of the tool; None means any.
            code: Error code. Default ``"TOOL_FAILED"``.
            message: Error message.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Example:
            >>> rule = supernet.faults.fail_tool("generate_image")
        """
        return self._add(ToolFault(name=name, code=code, message=message, times=times))

    def retry_job(
        self,
        index: int | None = None,
        *,
        error: int | str = "workerDisconnected",
        message: str = "The worker went away",
        times: int = 1,
    ) -> JobFault:
        """Abandon a job after its first step and render it again under a new image ID (``jobRetry``).

        Args:
            index: Position of the job in its project, from 0; None means any.
            error: Error code, a number or a string. Default ``"workerDisconnected"``.
            message: Error message.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Example:
            >>> rule = supernet.faults.retry_job()
        """
        return self._add(JobFault(index=index, error=error, message=message, retry=True, times=times))

    def flag_nsfw(self, index: int | None = None, *, times: int = 1) -> JobFault:
        """Trigger the content filter: the result is withheld, or only labeled if the filter is off.

        Args:
            index: Position of the job in its project, from 0; None means any.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Example:
            >>> rule = supernet.faults.flag_nsfw()
        """
        return self._add(JobFault(index=index, nsfw=True, times=times))

    def refuse_project(
        self,
        *,
        error: int | str = 1001,
        message: str = "The server is restarting",
        times: int = 1,
        **details: Unpack[FailureDetails],
    ) -> ProjectRefusal:
        """Refuse a project before the service knows it.

        Args:
            error: Error code, a number or a string. Default 1001.
            message: Error message.
            times: Number of uses. Default 1.
            **details: Further fields of the error, as in `fail_job`.

        Returns:
            The rule.

        Raises:
            TypeError: There is no such detail.

        Example:
            >>> agreement = {"key": "vendor-terms", "version": 2, "model_id": "seedance-2-0"}
            >>> rule = supernet.faults.refuse_project(error=4103, message="No", consent_required=agreement)
        """
        return self._add(ProjectRefusal(error=error, message=message, times=times, details=_failure_details(details)))

    def explain_wait(
        self,
        reason: Literal["concurrency_limit", "model_concurrency_limit", "payment_pending", "no_workers", "queued"],
        index: int | None = None,
        *,
        message: str | None = None,
        media_type: Literal["video", "media"] | None = None,
        payment_model: Literal["subscription", "paid_spark", "free_spark", "sogni"] | None = None,
        subscription_tier: Literal["unlimited", "unlimited_pro"] | None = None,
        model_family: Literal["minimax_h3"] | None = None,
        times: int = 1,
    ) -> WaitReason:
        """Tell a client why a new project, or one of its jobs, waits. `pause_workers` lets it wait.

        Args:
            reason: The reason. With ``"no_workers"``, there is no estimated start either.
            index: Position of the job in its project, from 0; None means the project.
            message: Explanation; by default, one for the reason.
            media_type: Kind of media whose limit is reached; not sent by default.
            payment_model: What pays; not sent by default.
            subscription_tier: Tier of the subscription; not sent by default.
            model_family: Family of models whose limit is reached; not sent by default.
            times: Number of projects. Default 1.

        Returns:
            The rule.

        Raises:
            ValueError: There is no such reason.

        Example:
            >>> rule = supernet.faults.explain_wait("concurrency_limit", payment_model="free_spark")
        """
        if reason not in WAIT_MESSAGES:
            raise ValueError(f"unknown reason {reason!r}; the reasons are {', '.join(WAIT_MESSAGES)}")
        details = {
            "mediaType": media_type,
            "paymentModel": payment_model,
            "subscriptionTier": subscription_tier,
            "modelFamily": model_family,
        }
        given = {name: value for name, value in details.items() if value is not None}
        text = WAIT_MESSAGES[reason] if message is None else message
        return self._add(WaitReason(index=index, reason={"reason": reason, "message": text, **given}, times=times))

    def deny_cancel(self, *, message: str = "The project can no longer be canceled", times: int = 1) -> CancelDenial:
        """Answer a cancellation with ``didCancel: false``.

        Args:
            message: Reason.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Example:
            >>> rule = supernet.faults.deny_cancel()
        """
        return self._add(CancelDenial(message=message, times=times))

    def reject_lora(
        self, *, failure_code: str = "invalid_artifact", reason: str = "The file is not a LoRA", times: int = 1
    ) -> LoraImportFault:
        """Reject an import of a personal LoRA after its validation.

        Args:
            failure_code: ``"source_access"``, ``"subscription_required"``, ``"catalog_duplicate"`` or
                ``"invalid_artifact"`` (default).
            reason: Reason for display.
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Example:
            >>> rule = supernet.faults.reject_lora(failure_code="source_access")
        """
        return self._add(LoraImportFault(failure_code=failure_code, reason=reason, times=times))

    def review_lora(self, *, times: int = 1) -> LoraImportFault:
        """Leave an import of a personal LoRA in review, until `LocalSupernet.set_personal_lora` ends it.

        Args:
            times: Number of uses. Default 1.

        Returns:
            The rule.

        Example:
            >>> rule = supernet.faults.review_lora()
        """
        return self._add(LoraImportFault(status="review", times=times))

    def _add(self, rule: R) -> R:
        with self._lock:
            self._rules.append(rule)
        return rule

    def _live(self, kind: type[R]) -> list[R]:
        self._rules = [rule for rule in self._rules if not rule.spent]
        return [rule for rule in self._rules if isinstance(rule, kind)]

    # Used by the server; each call uses a rule up once.

    def take(self, kind: type[R]) -> R | None:
        """Use the first rule of a kind that has no conditions of its own.

        Args:
            kind: Class of the rule.

        Returns:
            The rule; None if there is none.
        """
        with self._lock:
            for rule in self._live(kind):
                rule.fired += 1
                return rule
        return None

    def take_drop(self, stage: Stage | None, frames: int, tokens: int = 0) -> SocketDrop | None:
        """Use the fault that ends a connection with a frame.

        Args:
            stage: Stage that the frame reports, if any.
            frames: Number of frames of the connection, this one included.
            tokens: Number of ``jobTokens`` frames of the connection.

        Returns:
            The rule; None if there is none.
        """
        with self._lock:
            for rule in self._live(SocketDrop):
                reached = rule.after_frames is not None and frames >= rule.after_frames
                reached = reached or (rule.after_tokens is not None and tokens >= rule.after_tokens)
                if reached or (stage is not None and rule.stage == stage):
                    rule.fired += 1
                    return rule
        return None

    def take_frame(self, type: str) -> list[FrameFault]:
        """Use every fault that applies to an outgoing frame.

        Args:
            type: Type of the frame.

        Returns:
            The rules.
        """
        with self._lock:
            found = [rule for rule in self._live(FrameFault) if rule.type in (None, type)]
            for rule in found:
                rule.fired += 1
            return found

    def take_wait_reasons(self, jobs: int) -> list[WaitReason]:
        """Use every reason for the wait of a new project.

        Args:
            jobs: Number of its jobs.

        Returns:
            The rules.
        """
        with self._lock:
            found = [rule for rule in self._live(WaitReason) if rule.index is None or rule.index < jobs]
            for rule in found:
                rule.fired += 1
            return found

    def take_http(self, method: str, path: str) -> HttpFault | None:
        """Use the fault of an HTTP request.

        Args:
            method: HTTP method.
            path: Path of the request.

        Returns:
            The rule; None if there is none.
        """
        with self._lock:
            for rule in self._live(HttpFault):
                if rule.method in (None, method) and fnmatchcase(path, rule.path):
                    rule.fired += 1
                    return rule
        return None

    def take_stream(self, path: str, *, resumed: bool) -> StreamFault | None:
        """Use the fault of a new event stream.

        Args:
            path: Path of the stream.
            resumed: Whether its reader has received events before.

        Returns:
            The rule; None if there is none.
        """
        with self._lock:
            for rule in self._live(StreamFault):
                if fnmatchcase(path, rule.path) and (resumed or not rule.repeat):
                    rule.fired += 1
                    return rule
        return None

    def take_tool(self, name: str) -> ToolFault | None:
        """Use the fault of a hosted tool.

        Args:
            name: Name of the tool.

        Returns:
            The rule; None if there is none.
        """
        with self._lock:
            for rule in self._live(ToolFault):
                if rule.name in (None, name):
                    rule.fired += 1
                    return rule
        return None

    def take_job(self, index: int, *, retry: bool = False, nsfw: bool = False) -> JobFault | None:
        """Use a failure, a retry or a content filter rule for a job.

        Args:
            index: Position of the job in its project, from 0.
            retry: Look for a retry. Default False.
            nsfw: Look for a content filter rule. Default False.

        Returns:
            The rule; None if there is none.
        """
        with self._lock:
            for rule in self._live(JobFault):
                if rule.index in (None, index) and rule.retry == retry and rule.nsfw == nsfw:
                    rule.fired += 1
                    return rule
        return None
