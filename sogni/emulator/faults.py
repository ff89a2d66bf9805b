"""The rules of a fault plan: what each makes go wrong. Values only, save for the count of their uses.

Made and counted by the fault plan, carried out by whoever asked it. A rule is spent after ``times`` uses.
"""

from __future__ import annotations

import json
import math
import threading
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeVar, get_args

from attrs import define, field

Stage = Literal[
    "request_received", "queued", "initiating", "started", "progress", "tokens", "result", "completed", "canceled"
]


@define(eq=False)
class Rule:
    """What all rules share; ``fired`` counts the uses so far."""

    times: int = field(default=1, kw_only=True)
    fired: int = field(default=0, init=False)

    @property
    def spent(self) -> bool:
        return self.fired >= self.times


@define(eq=False)
class SocketDrop(Rule):
    """Cut a connection: without a close frame, or with one when there is a ``code``."""

    stage: Stage | None = None
    deliver: bool = True
    after_frames: int | None = None
    after_tokens: int | None = None
    code: int | None = None


@define(eq=False)
class RefusedUpgrade(Rule):
    status: int = 503
    message: str = "Service temporarily unavailable"
    delay: float = 0.0
    hang: bool = False


@define(eq=False)
class LostRequest(Rule):
    """A ``jobRequest`` or ``llmJobRequest`` that dies with its connection before the service read it."""

    drop: bool = True


@define(eq=False)
class FrameFault(Rule):
    """What happens to outgoing frames of one type (None: any)."""

    type: str | None = None
    delay: float = 0.0
    copies: int = 1
    hold: bool = False
    raw: str | bytes | None = None


@define(eq=False)
class HttpFault(Rule):
    """What happens to an HTTP request. ``path`` is a glob; ``method`` None means any."""

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
    """What happens to a stream of events, once ``after_events`` of them were sent on its connection. ``repeat``
    tells how many events the reader has seen already are sent again when it resumes."""

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
    """A hosted tool that fails before it begins; ``name`` None means any."""

    name: str | None = None
    code: str = "TOOL_FAILED"
    message: str = "The tool failed"


@define(eq=False)
class JobFault(Rule):
    """What happens to the image number ``index`` (from 0; None: any) of a project."""

    index: int | None = None
    error: int | str | None = None
    message: str = ""
    retry: bool = False
    nsfw: bool = False
    is_from_worker: bool = True


@define(eq=False)
class ProjectRefusal(Rule):
    error: int | str = 1001
    message: str = "The server is restarting"


@define(eq=False)
class CancelDenial(Rule):
    message: str = "The project cannot be canceled any more"


# The fault plan: what goes wrong, when, and how often.
#
# Tests write rules into it from any thread; the connections, the HTTP gate and the workers ask it at the
# points named here. It only decides: whoever asked carries the fault out. What a rule can say is in ``fault_rules``.


R = TypeVar("R", bound=Rule)
# RFC 6455, 7.4: 1004 to 1006 and 1015 are never sent.
_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})


def _check_status(status: int | None) -> None:
    if status is not None and (isinstance(status, bool) or status not in range(200, 600)):
        raise ValueError(f"status must be an integer from 200 to 599, got {status!r}")


def _check_seconds(name: str, seconds: float) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ValueError(f"{name} must be a number of seconds from 0 on, got {seconds!r}")


def _check_header(name: str, value: object) -> None:
    if not (str(value).isascii() and str(value).isprintable()):
        raise ValueError(f"{name} must be printable ASCII, got {value!r}")


def _encoded(value: Any) -> str | bytes | None:
    """A string or bytes as they are, anything else as JSON; None stands for nothing."""
    if isinstance(value, str):
        value.encode()  # UnicodeEncodeError, a ValueError, here instead of in the server
    return value if isinstance(value, str | bytes | None) else json.dumps(value)


class Faults:
    """A scriptable, thread-safe fault plan. Every method returns its rule, whose ``fired`` tells how often
    it applied."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def clear(self) -> None:
        """Forget every rule."""
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
        """Cut the connection once the frame of a stage was written (``at``), instead of writing it
        (``before``), after a number of frames of one connection, ``authenticated`` being the first, or after a
        number of its ``jobTokens`` frames. ``code`` sends a close frame; without it the TCP connection just ends.
        Exactly one of the four conditions must be given."""
        if code is not None and code not in _CLOSE_CODES:
            raise ValueError(f"code must be a code that a close frame may have, got {code!r}")
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
        """Answer WebSocket upgrades with an HTTP status and a text, after a delay, or never (``hang``)."""
        _check_status(status)
        _check_seconds("delay", delay)
        return self._add(RefusedUpgrade(times=times, status=status, message=message, delay=delay, hang=hang))

    def lose_request(self, *, times: int = 1, drop: bool = True) -> LostRequest:
        """Ignore a ``jobRequest`` or ``llmJobRequest`` as if it had never arrived and, with ``drop``, cut its
        connection."""
        return self._add(LostRequest(times=times, drop=drop))

    def delay_frames(self, type: str | None = None, *, seconds: float, times: int = 1) -> FrameFault:
        """Write a frame later, and with it all that follow on the connection."""
        _check_seconds("seconds", seconds)
        return self._add(FrameFault(times=times, type=type, delay=seconds))

    def duplicate_frames(self, type: str | None = None, *, copies: int = 2, times: int = 1) -> FrameFault:
        """Write a frame several times."""
        return self._add(FrameFault(times=times, type=type, copies=copies))

    def reorder_frames(self, type: str | None = None, *, times: int = 1) -> FrameFault:
        """Write a frame after the one that follows it on the connection."""
        return self._add(FrameFault(times=times, type=type, hold=True))

    def malform_frame(self, type: str | None = None, *, raw: Any = "{not json", times: int = 1) -> FrameFault:
        """Write ``raw`` just before a frame: a string, bytes, or anything that JSON can hold."""
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
        body: Any = None,
        content_type: str = "application/json",
        delay: float = 0.0,
        truncate: bool = False,
        hang: bool = False,
        disconnect: bool = False,
    ) -> HttpFault:
        """Answer requests of both hosts whose path matches a glob (storage URLs, too) with a fault.

        ``status`` answers with the error envelope, or with ``body``: a string, bytes, or anything that JSON can
        hold. ``truncate`` sends half of what the ``Content-Length`` promises; ``hang`` never answers;
        ``disconnect`` cuts the connection; ``delay`` alone only makes the ordinary answer late."""
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
        """Cut a stream of server-sent events when that many were sent on its connection, with ``truncate`` in the
        middle of the next one. ``path`` is a glob."""
        return self._add(StreamFault(path=path, after_events=after_events, cut=True, truncate=truncate, times=times))

    def delay_stream(self, path: str = "*", *, seconds: float, after_events: int = 0, times: int = 1) -> StreamFault:
        """Send the next event later, and with it all that follow."""
        _check_seconds("seconds", seconds)
        return self._add(StreamFault(path=path, after_events=after_events, delay=seconds, times=times))

    def hang_stream(self, path: str = "*", *, after_events: int = 0, times: int = 1) -> StreamFault:
        """Let a stream fall silent without ending."""
        return self._add(StreamFault(path=path, after_events=after_events, hang=True, times=times))

    def comment_stream(self, path: str = "*", *, after_events: int = 0, times: int = 1) -> StreamFault:
        """Send a keep-alive comment before the next event."""
        return self._add(StreamFault(path=path, after_events=after_events, comment=True, times=times))

    def repeat_events(self, path: str = "*", *, count: int = 1, times: int = 1) -> StreamFault:
        """Send the last ``count`` events before a reader's starting point again when it resumes."""
        return self._add(StreamFault(path=path, repeat=count, times=times))

    def fail_job(
        self,
        index: int | None = None,
        *,
        error: int | str = "genfailure",
        message: str = "The image could not be generated",
        is_from_worker: bool = True,
        times: int = 1,
    ) -> JobFault:
        """Let the image number ``index`` fail after its first step; ``error`` may be a number or a word."""
        return self._add(
            JobFault(index=index, error=error, message=message, is_from_worker=is_from_worker, times=times)
        )

    def fail_tool(
        self,
        name: str | None = None,
        *,
        code: str = "TOOL_FAILED",
        message: str = "The tool failed",
        times: int = 1,
    ) -> ToolFault:
        """Let a hosted tool fail, in a workflow or a chat, before it has made or cost anything."""
        return self._add(ToolFault(name=name, code=code, message=message, times=times))

    def retry_job(
        self,
        index: int | None = None,
        *,
        error: int | str = "workerDisconnected",
        message: str = "The worker went away",
        times: int = 1,
    ) -> JobFault:
        """Abandon an attempt after its first step and render again under a new image id (``jobRetry``)."""
        return self._add(JobFault(index=index, error=error, message=message, retry=True, times=times))

    def flag_nsfw(self, index: int | None = None, *, times: int = 1) -> JobFault:
        """Let the safety filter trigger: the result is withheld, or only labelled when the filter is off."""
        return self._add(JobFault(index=index, nsfw=True, times=times))

    def refuse_project(
        self, *, error: int | str = 1001, message: str = "The server is restarting", times: int = 1
    ) -> ProjectRefusal:
        """Refuse a project as a whole, before it is known to the service."""
        return self._add(ProjectRefusal(error=error, message=message, times=times))

    def deny_cancel(self, *, message: str = "The project cannot be canceled any more", times: int = 1) -> CancelDenial:
        """Answer a cancellation with ``didCancel: false``."""
        return self._add(CancelDenial(message=message, times=times))

    def _add(self, rule: R) -> R:
        with self._lock:
            self._rules.append(rule)
        return rule

    def _live(self, kind: type[R]) -> list[R]:
        self._rules = [rule for rule in self._rules if not rule.spent]
        return [rule for rule in self._rules if isinstance(rule, kind)]

    # What the emulator asks. Each answer uses a rule up once.

    def take(self, kind: type[R]) -> R | None:
        """Use the first rule of a kind that has no conditions of its own."""
        with self._lock:
            for rule in self._live(kind):
                rule.fired += 1
                return rule
        return None

    def take_drop(self, stage: Stage | None, frames: int, tokens: int = 0) -> SocketDrop | None:
        """Decide whether a connection ends with this frame, its ``frames``-th, after so many ``jobTokens``."""
        with self._lock:
            for rule in self._live(SocketDrop):
                reached = rule.after_frames is not None and frames >= rule.after_frames
                reached = reached or (rule.after_tokens is not None and tokens >= rule.after_tokens)
                if reached or (stage is not None and rule.stage == stage):
                    rule.fired += 1
                    return rule
        return None

    def take_frame(self, type: str) -> list[FrameFault]:
        """Return every fault for an outgoing frame."""
        with self._lock:
            found = [rule for rule in self._live(FrameFault) if rule.type in (None, type)]
            for rule in found:
                rule.fired += 1
            return found

    def take_http(self, method: str, path: str) -> HttpFault | None:
        with self._lock:
            for rule in self._live(HttpFault):
                if rule.method in (None, method) and fnmatchcase(path, rule.path):
                    rule.fired += 1
                    return rule
        return None

    def take_stream(self, path: str, *, resumed: bool) -> StreamFault | None:
        """Return what happens to a stream that begins; ``resumed`` tells that its reader has seen events before."""
        with self._lock:
            for rule in self._live(StreamFault):
                if fnmatchcase(path, rule.path) and (resumed or not rule.repeat):
                    rule.fired += 1
                    return rule
        return None

    def take_tool(self, name: str) -> ToolFault | None:
        with self._lock:
            for rule in self._live(ToolFault):
                if rule.name in (None, name):
                    rule.fired += 1
                    return rule
        return None

    def take_job(self, index: int, *, retry: bool = False, nsfw: bool = False) -> JobFault | None:
        """Return a failure, a retry or a safety flag for an image."""
        with self._lock:
            for rule in self._live(JobFault):
                if rule.index in (None, index) and rule.retry == retry and rule.nsfw == nsfw:
                    rule.fired += 1
                    return rule
        return None
