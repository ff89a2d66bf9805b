"""The rules of a fault plan: what each makes go wrong. Values only, save for the count of their uses.

Made and counted by the fault plan, carried out by whoever asked it. A rule is spent after ``times`` uses.
"""

from __future__ import annotations

from typing import Literal

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
