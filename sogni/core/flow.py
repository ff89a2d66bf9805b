"""What a flow may ask of the shell that drives it.

A flow is a generator that yields steps and receives their outcomes; the shells perform each step
with their own libraries and throw I/O errors into the flow where it asked. The functions below yield
one step each and give its outcome its type, so flows need no casts. Flows hold no locks, never yield
in `finally`, and read no clock and no random number but through steps. An interruption (Ctrl-C, a cancelled
task) is thrown into a flow, too; it may answer that with `Change`s, and then with one `WriteFrame`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from attrs import field, frozen

from sogni.core.http import HttpCall, HttpReply
from sogni.core.outbox import CLOSED
from sogni.errors import ClientClosedError, Phase, SogniTimeoutError

if TYPE_CHECKING:
    from sogni.core.client_state import ClientState

State: TypeAlias = "ClientState"

T = TypeVar("T")
R = TypeVar("R")


class EventBody(Protocol):
    """What the shells make of an answer without an end."""

    def close(self) -> None:
        """Close its connection, in any thread; repeatable. Who reads it finds its end."""


@frozen
class Http:
    """Send a request and read the whole answer. SogniConnectionError, SogniTimeoutError."""

    call: HttpCall


@frozen
class WriteFrame:
    """Write a frame to the open socket; `sending` runs under the state lock just before.

    SogniConnectionError when the socket broke before the frame was out.
    """

    kind: str
    payload: Any = field(repr=False)
    sending: Callable[[State, float], None] | None = None


@frozen
class Upload:
    """Send the content of a media source as the body of `call`, streamed."""

    call: HttpCall
    source: Any


@frozen
class Download:
    """Write the body of an answer to a file that appears under its name only when it is complete.

    The outcome is the path, or the reply when its status is no success.
    """

    call: HttpCall
    path_for: Callable[[str], Path]
    """The path for a file suffix (with its dot) that fits the content."""
    overwrite: bool = False
    """Whether the file takes the place of another one with its name, instead of getting a number."""


@frozen
class OpenStream:
    """Begin to read the body of an answer; the outcome is a file object, or the reply of a refusal."""

    call: HttpCall


@frozen
class OpenEvents:
    """Begin to read an answer that goes on for as long as the service likes; the outcome is an `EventBody`.

    Or the reply, when it is a refusal. SogniConnectionError, SogniTimeoutError.
    """

    call: HttpCall


@frozen
class ReadPiece:
    """Wait for the next bytes of a body; empty at its end.

    SogniTimeoutError when none came in time, after which it can be read on; SogniConnectionError when it broke off.
    """

    body: EventBody
    timeout: float | None


@frozen
class OpenMedia:
    """Look at a media input: size, first bytes, how to read it. ValidationError names `name`."""

    name: str
    value: Any = field(repr=False)


@frozen
class Spool:
    """Keep the body of an answer in a temporary file; the outcome is a media source, or the reply of a refusal."""

    call: HttpCall
    name: str


@frozen
class Pause:
    """Wait for some seconds, up to `jitter` of them more or less."""

    seconds: float
    jitter: float = 0.0


@frozen
class Change:
    """Read or change the client state under the state lock; `now` is in seconds of a clock that never goes back."""

    function: Callable[[State, float], Any]


@frozen
class Until:
    """Wait until `found` gives something that is not None; it is asked again whenever a topic is woken.

    `found` runs under the state lock and may raise to end the wait.
    """

    topics: Sequence[Hashable]
    found: Callable[[State], Any]
    timeout: float | None
    phase: Phase
    waiting_for: str


@frozen
class Connect:
    """Have the socket opened, when it is not; does not wait for it."""


@frozen
class CatchUp:
    """Have the frames applied that the socket has received by now.

    What the service said before it gave an answer comes before what the answer brings about. Bounded in time: a
    socket that is busy or lost is not waited for.
    """


@frozen
class NewId:
    """A new upper-case UUID (transport §7)."""


@frozen
class Clock:
    """Seconds of a clock that never goes back."""


@frozen
class AppId:
    """The app id of this client, chosen when there is none yet (transport §1)."""


@frozen
class Compute:
    """Call a function that takes its time and touches nothing; asyncio does it off the event loop."""

    what: str
    function: Callable[[], Any] = field(repr=False)


@frozen
class UserCode:
    """Call a function of the user; the outcome is what it returns, awaited by asyncio when it can be.

    What it raises is logged as an error of `what`, then thrown into the flow.
    """

    what: str
    function: Callable[..., Any] = field(repr=False)
    arguments: tuple[Any, ...] = field(default=(), repr=False)
    named: Mapping[str, Any] = field(factory=dict, repr=False)


@frozen
class Together:
    """Run flows side by side; the outcome is the list of their results, the first error is raised."""

    flows: Sequence[Generator[Any, Any, Any]]


Step = (
    Http
    | WriteFrame
    | Upload
    | Download
    | OpenStream
    | OpenEvents
    | ReadPiece
    | OpenMedia
    | Spool
    | Pause
    | Change
    | Until
    | Connect
    | CatchUp
    | NewId
    | Clock
    | AppId
    | Compute
    | UserCode
    | Together
)
Flow = Generator[Step, Any, R]


def http(call: HttpCall) -> Flow[HttpReply]:
    """Send a request once."""
    reply: HttpReply = yield Http(call)
    return reply


def write_frame(kind: str, payload: Any, sending: Callable[[State, float], None] | None = None) -> Flow[None]:
    """Write a frame."""
    yield WriteFrame(kind, payload, sending)


def upload(call: HttpCall, source: Any) -> Flow[HttpReply]:
    """Send a media source."""
    reply: HttpReply = yield Upload(call, source)
    return reply


def download(call: HttpCall, path_for: Callable[[str], Path], *, overwrite: bool = False) -> Flow[Path | HttpReply]:
    """Write an answer to a file."""
    outcome: Path | HttpReply = yield Download(call, path_for, overwrite)
    return outcome


def open_stream(call: HttpCall) -> Flow[Any]:
    """Begin to read an answer."""
    stream: Any = yield OpenStream(call)
    return stream


def open_events(call: HttpCall) -> Flow[EventBody | HttpReply]:
    """Begin to read an answer without an end."""
    outcome: EventBody | HttpReply = yield OpenEvents(call)
    return outcome


def read_piece(body: EventBody, timeout: float | None) -> Flow[bytes]:
    """The next bytes."""
    piece: bytes = yield ReadPiece(body, timeout)
    return piece


def open_media(name: str, value: Any) -> Flow[Any]:
    """Look at a media input."""
    source: Any = yield OpenMedia(name, value)
    return source


def spool(call: HttpCall, name: str) -> Flow[Any]:
    """Keep an answer in a temporary file."""
    source: Any = yield Spool(call, name)
    return source


def pause(seconds: float, jitter: float = 0.0) -> Flow[None]:
    """Wait."""
    yield Pause(seconds, jitter)


def change(function: Callable[[State, float], T]) -> Flow[T]:
    """Read or change the client state."""
    outcome: T = yield Change(function)
    return outcome


def until(
    topics: Sequence[Hashable],
    found: Callable[[State], T | None],
    *,
    timeout: float | None,
    phase: Phase,
    waiting_for: str,
) -> Flow[T]:
    """Wait for something in the client state. SogniTimeoutError with `phase`."""
    outcome: T = yield Until(topics, found, timeout, phase, waiting_for)
    return outcome


def connect() -> Flow[None]:
    """Have the socket opened."""
    yield Connect()


def catch_up() -> Flow[None]:
    """Apply what has been received."""
    yield CatchUp()


def new_id() -> Flow[str]:
    """A new id."""
    made: str = yield NewId()
    return made


def clock() -> Flow[float]:
    """Monotonic seconds."""
    seconds: float = yield Clock()
    return seconds


def app_id() -> Flow[str]:
    """What the connection is known by."""
    known: str = yield AppId()
    return known


def compute(what: str, function: Callable[[], T]) -> Flow[T]:
    """Do arithmetic that takes its time."""
    outcome: T = yield Compute(what, function)
    return outcome


def user_code(what: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Flow[Any]:
    """Call a function of the user."""
    outcome: Any = yield UserCode(what, function, arguments, named)
    return outcome


def together(flows: Sequence[Flow[T]]) -> Flow[list[T]]:
    """Run flows side by side."""
    outcomes: list[T] = yield Together(flows)
    return outcomes


# One look at what a wait waits for: decides whether it is over, and what its error says.
#
# Called by the shells for every `Until`, with the state in their hands; how to sleep in between is theirs.


def evaluate(step: Until, state: State) -> Any:
    """Ask once: the outcome, or None to go on waiting. ClientClosedError when nothing can come any more."""
    found = step.found(state)
    if found is None and state.closed:
        raise ClientClosedError(f"the client was closed while waiting for {step.waiting_for}")
    return found


def out_of_time(step: Until) -> SogniTimeoutError:
    """The error of a wait that ended without what it waited for."""
    return SogniTimeoutError(
        f"waited {step.timeout:g} seconds for {step.waiting_for}", phase=step.phase, timeout=step.timeout
    )


def topics_of(step: Until) -> list[Hashable]:
    """What wakes a wait: its topics, and the end of the client."""
    return [*step.topics, CLOSED]
