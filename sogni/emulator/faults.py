"""The fault plan: rules that tests write, from any thread, and the server consults at defined points.

Every fault is a class: its fields are the parameters of the method of ``Faults`` that adds it, and of the fault in the
control API. The plan only decides; the caller carries the fault out. A rule is spent after ``times`` uses.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypedDict, get_args, get_origin, get_type_hints

from attrs import Attribute, define, field

from sogni.emulator.declarations import COUNT, HEADER, POSITION, SECONDS, InvalidValueError, Limit, nearest
from sogni.emulator.fields import Json
from sogni.emulator.rules import BaseRule, R, RulePlan

Stage = Literal[
    "request_received", "queued", "initiating", "started", "progress", "tokens", "result", "completed", "canceled"
]
Reason = Literal["concurrency_limit", "model_concurrency_limit", "payment_pending", "no_workers", "queued"]
WAIT_MESSAGES: Mapping[str, str] = {
    "concurrency_limit": "The limit of projects at a time is reached",
    "model_concurrency_limit": "The limit of projects with this model at a time is reached",
    "payment_pending": "The payment is not confirmed yet",
    "no_workers": "No worker for this model is connected",
    "queued": "Waiting for a free worker",
}
"""The default explanations of waits, by reason."""
# Protocol notes: additions-5x §7.

# RFC 6455, section 7.4: 1004 to 1006 and 1015 are never sent.
_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})
CloseCode = Annotated[
    int, Limit("a code that is valid in a close frame", _CLOSE_CODES.__contains__, {"minimum": 1000, "maximum": 4999})
]
_STATUS = Limit("an integer from 200 to 599", range(200, 600).__contains__, {"minimum": 200, "maximum": 599})


class Consent(TypedDict):
    """The agreement that an account has to accept first."""

    key: str
    version: int
    model_id: str


def _own_first(_: type, fields: list[Attribute[Any]]) -> list[Attribute[Any]]:
    """Order the fields as a reader expects them: those of the base classes last, ``times`` at the end."""
    return sorted(fields, key=lambda it: (it.name == "times", it.inherited))  # type: ignore[attr-defined]


def _wire(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the details that are set, with the keys of the wire form."""
    return {
        re.sub(r"_([a-z])", lambda it: it[1].upper(), name): value
        for name, value in details.items()
        if value is not None
    }


@define(eq=False)
class Rule(BaseRule):
    """Base class of all faults."""

    times: Annotated[int, COUNT] = field(default=1, kw_only=True)


@define(eq=False, kw_only=True, field_transformer=_own_first)
class SocketDrop(Rule):
    """Cut the connection, or close it with ``code``. Exactly one of the four conditions must be given.

    Args:
        at: Cut once the frame of this stage has been written.
        before: Cut instead of writing the frame of this stage.
        after_frames: Cut after this many frames of one connection; the first is ``authenticated``.
        after_tokens: Cut after this many ``jobTokens`` frames of one connection.
        code: Close code to send; without it, the TCP connection is cut.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.drop_socket(at="started")
    """

    at: Stage | None = None
    before: Stage | None = None
    after_frames: Annotated[int, COUNT] | None = None
    after_tokens: Annotated[int, COUNT] | None = None
    code: CloseCode | None = None

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        conditions = (self.at, self.before, self.after_frames, self.after_tokens)
        if sum(it is not None for it in conditions) != 1:
            allowed = "exactly one of at, before, after_frames and after_tokens"
            raise InvalidValueError(f"give {allowed}", "at", allowed)

    @property
    def deliver(self) -> bool:
        """Whether the frame is still written."""
        return self.before is None

    def fits(self, stage: Stage | None, frames: int, tokens: int = 0) -> bool:
        """``frames`` and ``tokens`` count the frames of the connection, this one included."""
        reached = self.after_frames is not None and frames >= self.after_frames
        reached = reached or (self.after_tokens is not None and tokens >= self.after_tokens)
        return reached or (stage is not None and stage in (self.at, self.before))


@define(eq=False, kw_only=True, field_transformer=_own_first)
class RefusedUpgrade(Rule):
    """Answer WebSocket upgrades with an HTTP error.

    Args:
        status: HTTP status, 200 to 599. Default 503.
        message: Body of the response.
        delay: Seconds to wait before the response. Default 0.
        hang: Never respond. Default False.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.refuse_upgrade(status=503)
    """

    status: Annotated[int, _STATUS] = 503
    message: str = "Service temporarily unavailable"
    delay: Annotated[float, SECONDS] = 0.0
    hang: bool = False


@define(eq=False, kw_only=True, field_transformer=_own_first)
class LostRequest(Rule):
    """Lose a ``jobRequest`` or ``llmJobRequest``, as if it had never arrived.

    Args:
        drop: Also cut the connection. Default True.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.lose_request()
    """

    drop: bool = True


@define(eq=False, field_transformer=_own_first)
class FrameFault(Rule):
    """Base class of the faults of outgoing frames."""

    seconds: float = field(default=0.0, init=False)
    copies: int = field(default=1, init=False)
    hold: ClassVar[bool] = False
    type: str | None = None

    def fits(self, type: str) -> bool:
        return self.type in (None, type)

    @property
    def written_before(self) -> str | bytes | None:
        """What is written just before the frame."""
        return None


@define(eq=False, field_transformer=_own_first)
class DelayedFrame(FrameFault):
    """Delay a frame, and with it all later frames on the connection.

    Args:
        type: Type of the frame; None means any.
        seconds: Seconds to wait.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.delay_frames("jobProgress", seconds=0.1)
    """

    seconds: Annotated[float, SECONDS] = field(kw_only=True)


@define(eq=False, field_transformer=_own_first)
class DuplicatedFrame(FrameFault):
    """Write a frame several times.

    Args:
        type: Type of the frame; None means any.
        copies: How often it is written. Default 2.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.duplicate_frames("jobResult")
    """

    copies: Annotated[int, COUNT] = field(default=2, kw_only=True)


@define(eq=False, field_transformer=_own_first)
class ReorderedFrame(FrameFault):
    """Write a frame after the one that follows it on the connection.

    Args:
        type: Type of the frame; None means any.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.reorder_frames("jobResult")
    """

    hold: ClassVar[bool] = True


@define(eq=False, field_transformer=_own_first)
class MalformedFrame(FrameFault):
    """Write something else just before a frame.

    Args:
        type: Type of the frame; None means any.
        raw: What to write: a string, bytes, or any JSON value. Default ``"{not json"``.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.malform_frame("jobProgress", raw=[1, 2])
    """

    raw: bytes | Json = field(default="{not json", kw_only=True)

    @property
    def written_before(self) -> str | bytes | None:
        """What is written just before the frame."""
        return self.raw if isinstance(self.raw, str | bytes) else json.dumps(self.raw)


@define(eq=False, field_transformer=_own_first)
class HttpFault(Rule):
    """Answer requests of both hosts, storage URLs included, with a fault.

    Args:
        path: Glob that the path of the request must match. Default: any path.
        method: HTTP method; None means any.
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
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.http("/v1/account/*", method="GET", status=429, retry_after=1)
    """

    path: str = "*"
    method: str | None = field(default=None, kw_only=True)
    status: Annotated[int, _STATUS] | None = field(default=None, kw_only=True)
    retry_after: Annotated[float | str, HEADER] | None = field(default=None, kw_only=True)
    message: str = field(default="Injected fault", kw_only=True)
    error_code: int = field(default=0, kw_only=True)
    body: bytes | Json = field(default=None, kw_only=True)
    content_type: Annotated[str, HEADER] = field(default="application/json", kw_only=True)
    delay: Annotated[float, SECONDS] = field(default=0.0, kw_only=True)
    truncate: bool = field(default=False, kw_only=True)
    hang: bool = field(default=False, kw_only=True)
    disconnect: bool = field(default=False, kw_only=True)

    @property
    def payload(self) -> bytes | None:
        """The body as it is sent; None for the error envelope or the regular response."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()

    def fits(self, method: str, path: str) -> bool:
        return self.method in (None, method) and fnmatchcase(path, self.path)


@define(eq=False, field_transformer=_own_first)
class StreamFault(Rule):
    """Base class of the faults of event streams, which happen once ``after_events`` events have been sent."""

    path: str = "*"
    after_events: int = field(default=0, init=False)
    truncate: bool = field(default=False, init=False)
    seconds: float = field(default=0.0, init=False)
    count: int = field(default=0, init=False)
    cut: ClassVar[bool] = False
    hang: ClassVar[bool] = False
    comment: ClassVar[bool] = False

    def fits(self, path: str, *, resumed: bool) -> bool:
        """``resumed``: the reader has received events before."""
        return fnmatchcase(path, self.path) and (resumed or not self.count)


@define(eq=False, field_transformer=_own_first)
class CutStream(StreamFault):
    """Cut an event stream.

    Args:
        path: Glob that the path of the stream must match. Default: any path.
        after_events: Cut once this many events have been sent on the connection. Default 0.
        truncate: Cut in the middle of the next event. Default False.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.cut_stream("*/events/stream", after_events=2)
    """

    after_events: Annotated[int, POSITION] = field(default=0, kw_only=True)
    truncate: bool = field(default=False, kw_only=True)
    cut: ClassVar[bool] = True


@define(eq=False, field_transformer=_own_first)
class DelayedStream(StreamFault):
    """Delay an event of a stream, and with it all later ones.

    Args:
        path: Glob that the path of the stream must match. Default: any path.
        seconds: Seconds to wait.
        after_events: Delay once this many events have been sent on the connection. Default 0.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.delay_stream(seconds=0.1)
    """

    seconds: Annotated[float, SECONDS] = field(kw_only=True)
    after_events: Annotated[int, POSITION] = field(default=0, kw_only=True)


@define(eq=False, field_transformer=_own_first)
class SilentStream(StreamFault):
    """Let an event stream fall silent without ending.

    Args:
        path: Glob that the path of the stream must match. Default: any path.
        after_events: Fall silent once this many events have been sent on the connection. Default 0.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.hang_stream(after_events=1)
    """

    after_events: Annotated[int, POSITION] = field(default=0, kw_only=True)
    hang: ClassVar[bool] = True


@define(eq=False, field_transformer=_own_first)
class CommentedStream(StreamFault):
    """Send a keep-alive comment in an event stream.

    Args:
        path: Glob that the path of the stream must match. Default: any path.
        after_events: Send it once this many events have been sent on the connection. Default 0.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.comment_stream()
    """

    after_events: Annotated[int, POSITION] = field(default=0, kw_only=True)
    comment: ClassVar[bool] = True


@define(eq=False, field_transformer=_own_first)
class RepeatedEvents(StreamFault):
    """When a reader resumes an event stream, repeat the last events before its starting point.

    Args:
        path: Glob that the path of the stream must match. Default: any path.
        count: Number of events to repeat. Default 1.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.repeat_events(count=3)
    """

    count: Annotated[int, COUNT] = field(default=1, kw_only=True)


@define(eq=False, field_transformer=_own_first)
class ErrorDetails(Rule):
    """Base class of errors with the further fields that the service sends."""

    # Protocol notes: additions-5x §4.

    consent_required: Consent | None = field(default=None, kw_only=True)
    vendor_failure_category: str | None = field(default=None, kw_only=True)
    subscription_limit: bool | None = field(default=None, kw_only=True)
    required_plans: list[str] | None = field(default=None, kw_only=True)
    feature: str | None = field(default=None, kw_only=True)
    limitation: str | None = field(default=None, kw_only=True)
    fair_use: Mapping[str, Json] | None = field(default=None, kw_only=True)

    @property
    def details(self) -> dict[str, Any]:
        """The further fields that are given, in wire form."""
        names = ErrorDetails.__annotations__
        found = _wire({name: getattr(self, name) for name in names})
        if "consentRequired" in found:
            found["consentRequired"] = _wire(found["consentRequired"])
        return found


@define(eq=False, field_transformer=_own_first)
class FailedJob(ErrorDetails):
    """Let a job fail after its first step.

    Args:
        index: Position of the job in its project, from 0; None means any.
        error: Error code, a number or a string. Default ``"genfailure"``.
        message: Error message.
        is_from_worker: Report the error as one of the worker. Default True.
        consent_required: The agreement to accept first, with `key`, `version` and `model_id`; not sent by default.
        vendor_failure_category: Kind of a vendor's failure; not sent by default.
        subscription_limit: Whether a limit of the subscription is reached; not sent by default.
        required_plans: Plans that allow it; not sent by default.
        feature: Feature that the plan lacks; not sent by default.
        limitation: Limitation of the plan; not sent by default.
        fair_use: State of the fair use, as the service sends it; not sent by default.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.fail_job(index=1, vendor_failure_category="timeout")
    """

    index: Annotated[int, POSITION] | None = None
    error: int | str = field(default="genfailure", kw_only=True)
    message: str = field(default="The image could not be generated", kw_only=True)
    is_from_worker: bool = field(default=True, kw_only=True)

    def fits(self, index: int) -> bool:
        return self.index in (None, index)


@define(eq=False, field_transformer=_own_first)
class RetriedJob(Rule):
    """Abandon a job after its first step and render it again under a new image ID (``jobRetry``).

    Args:
        index: Position of the job in its project, from 0; None means any.
        error: Error code, a number or a string. Default ``"workerDisconnected"``.
        message: Error message.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.retry_job()
    """

    index: Annotated[int, POSITION] | None = None
    error: int | str = field(default="workerDisconnected", kw_only=True)
    message: str = field(default="The worker went away", kw_only=True)

    def fits(self, index: int) -> bool:
        return self.index in (None, index)


@define(eq=False, field_transformer=_own_first)
class FlaggedJob(Rule):
    """Trigger the content filter: the result is withheld, or only labeled if the filter is off.

    Args:
        index: Position of the job in its project, from 0; None means any.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.flag_nsfw()
    """

    index: Annotated[int, POSITION] | None = None

    def fits(self, index: int) -> bool:
        return self.index in (None, index)


@define(eq=False, field_transformer=_own_first)
class ToolFault(Rule):
    """Let a hosted tool fail, in a workflow or a chat, before it has produced or cost anything.

    Args:
        tool: Name of the tool; None means any.
        code: Error code. Default ``"TOOL_FAILED"``.
        message: Error message.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.fail_tool("generate_image")
    """

    tool: str | None = None
    code: str = field(default="TOOL_FAILED", kw_only=True)
    message: str = field(default="The tool failed", kw_only=True)

    def fits(self, tool: str) -> bool:
        return self.tool in (None, tool)


@define(eq=False, field_transformer=_own_first)
class ProjectRefusal(ErrorDetails):
    """Refuse a project before the service knows it.

    Args:
        error: Error code, a number or a string. Default 1001.
        message: Error message.
        consent_required: The agreement to accept first, with `key`, `version` and `model_id`; not sent by default.
        vendor_failure_category: Kind of a vendor's failure; not sent by default.
        subscription_limit: Whether a limit of the subscription is reached; not sent by default.
        required_plans: Plans that allow it; not sent by default.
        feature: Feature that the plan lacks; not sent by default.
        limitation: Limitation of the plan; not sent by default.
        fair_use: State of the fair use, as the service sends it; not sent by default.
        times: Number of uses. Default 1.

    Example:
        >>> agreement = {"key": "vendor-terms", "version": 2, "model_id": "seedance-2-0"}
        >>> rule = supernet.faults.refuse_project(error=4103, message="No", consent_required=agreement)
    """

    error: int | str = field(default=1001, kw_only=True)
    message: str = field(default="The server is restarting", kw_only=True)


@define(eq=False, field_transformer=_own_first)
class WaitReason(Rule):
    """Tell a client why a new project, or one of its jobs, waits. `pause_workers` makes it wait.

    Args:
        reason: The reason. With ``"no_workers"``, there is no estimated start either.
        index: Position of the job in its project, from 0; None means the project.
        message: Explanation; by default, one for the reason.
        media_type: Kind of media whose limit is reached; not sent by default.
        payment_model: What pays; not sent by default.
        subscription_tier: Tier of the subscription; not sent by default.
        model_family: Family of models whose limit is reached; not sent by default.
        times: Number of projects. Default 1.

    Example:
        >>> rule = supernet.faults.explain_wait("concurrency_limit", payment_model="free_spark")
    """

    reason: Reason
    index: Annotated[int, POSITION] | None = None
    message: str | None = field(default=None, kw_only=True)
    media_type: Literal["video", "media"] | None = field(default=None, kw_only=True)
    payment_model: Literal["subscription", "paid_spark", "free_spark", "sogni"] | None = field(
        default=None, kw_only=True
    )
    subscription_tier: Literal["unlimited", "unlimited_pro"] | None = field(default=None, kw_only=True)
    model_family: Literal["minimax_h3"] | None = field(default=None, kw_only=True)

    def fits(self, jobs: int) -> bool:
        return self.index is None or self.index < jobs

    @property
    def wire(self) -> dict[str, str]:
        """The reason in wire form."""
        names = ("media_type", "payment_model", "subscription_tier", "model_family")
        message = WAIT_MESSAGES[self.reason] if self.message is None else self.message
        return {"reason": self.reason, "message": message, **_wire({name: getattr(self, name) for name in names})}


@define(eq=False, kw_only=True, field_transformer=_own_first)
class CancelDenial(Rule):
    """Answer a cancellation with ``didCancel: false``.

    Args:
        message: Reason.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.deny_cancel()
    """

    message: str = "The project can no longer be canceled"


@define(eq=False, kw_only=True, field_transformer=_own_first)
class LoraImportFault(Rule):
    """Base class of the faults of imports of personal LoRAs."""

    status: ClassVar[Literal["review", "rejected"]] = "review"
    failure_code: str | None = field(default=None, init=False)
    reason: str | None = field(default=None, init=False)


@define(eq=False, kw_only=True, field_transformer=_own_first)
class RejectedLora(LoraImportFault):
    """Reject an import of a personal LoRA after its validation.

    Args:
        failure_code: ``"source_access"``, ``"subscription_required"``, ``"catalog_duplicate"`` or
            ``"invalid_artifact"`` (default).
        reason: Reason for display.
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.reject_lora(failure_code="source_access")
    """

    status: ClassVar[Literal["review", "rejected"]] = "rejected"
    failure_code: str | None = "invalid_artifact"
    reason: str | None = "The file is not a LoRA"


@define(eq=False, kw_only=True, field_transformer=_own_first)
class ReviewedLora(LoraImportFault):
    """Leave an import of a personal LoRA in review, until `LocalSupernet.set_personal_lora` ends it.

    Args:
        times: Number of uses. Default 1.

    Example:
        >>> rule = supernet.faults.review_lora()
    """


class Faults(RulePlan[Rule]):
    """A scriptable, thread-safe fault plan.

    Every method returns its rule, whose ``fired`` counts how often it applied. A rule is used up after ``times`` uses.

    Example:
        >>> rule = supernet.faults.http("/v1/account/me", status=503)
        >>> client.account.me().username  # repeated after the error
        'local-artist'
        >>> rule.fired
        1
    """

    # The faults. Each becomes a method that makes the rule and adds it to the plan.
    drop_socket: type[SocketDrop]
    refuse_upgrade: type[RefusedUpgrade]
    lose_request: type[LostRequest]
    delay_frames: type[DelayedFrame]
    duplicate_frames: type[DuplicatedFrame]
    reorder_frames: type[ReorderedFrame]
    malform_frame: type[MalformedFrame]
    http: type[HttpFault]
    cut_stream: type[CutStream]
    delay_stream: type[DelayedStream]
    hang_stream: type[SilentStream]
    comment_stream: type[CommentedStream]
    repeat_events: type[RepeatedEvents]
    fail_job: type[FailedJob]
    retry_job: type[RetriedJob]
    flag_nsfw: type[FlaggedJob]
    fail_tool: type[ToolFault]
    refuse_project: type[ProjectRefusal]
    explain_wait: type[WaitReason]
    deny_cancel: type[CancelDenial]
    reject_lora: type[RejectedLora]
    review_lora: type[ReviewedLora]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            message = f"there is no fault {name!r}; {nearest(name, FAULTS)}"
            raise AttributeError(message, name=name, obj=self)

    def take_all(self, kind: type[R], *args: Any, **facts: Any) -> list[R]:
        """Use every rule of a kind that applies. Called by the server.

        Args:
            kind: Class of the rules.
            *args: What the server is about to do, as `fits` of the class takes it.
            **facts: The same, by keyword.

        Returns:
            The rules.
        """
        with self._lock:
            found = [rule for rule in self._live(kind) if rule.fits(*args, **facts)]
            for rule in found:
                rule.fired += 1
            return found


FAULTS: Mapping[str, type[Rule]] = {
    name: get_args(hint)[0] for name, hint in get_type_hints(Faults).items() if get_origin(hint) is type
}
"""Every fault by the name of its method."""

_RESULT = """Returns:
    The rule, whose ``fired`` counts its uses.

Raises:
    ValueError: A value is not allowed.

"""


def _method(name: str, kind: type[Rule]) -> Callable[..., Rule]:
    @functools.wraps(kind.__init__)
    def add(self: Faults, *args: Any, **fields: Any) -> Rule:
        return self._add(kind(*args, **fields))

    add.__name__, add.__qualname__, add.__module__ = name, f"Faults.{name}", Faults.__module__
    add.__doc__ = inspect.cleandoc(kind.__doc__ or "").replace("Example:\n", f"{_RESULT}Example:\n")
    return add


for _name, _kind in FAULTS.items():
    setattr(Faults, _name, _method(_name, _kind))
