"""Flows: multi-step operations as generators, and the steps that they yield.

A driver performs each step, blocking or on an event loop, and sends its outcome into the flow; I/O errors are thrown
where the step was yielded. The functions below yield one step each and type its outcome, so that flows need no casts.

Flows hold no locks, never yield in `finally`, and read clocks and random numbers only through steps. An interruption
(Ctrl-C, a canceled task) is thrown into the flow too; it may then yield `Change` steps and one `WriteFrame`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from attrs import field, frozen

from sogni.core.http import HttpCall, HttpReply
from sogni.core.outbox import CLOSED
from sogni.core.storage import StoredName
from sogni.errors import ClientClosedError, Phase, SogniTimeoutError
from sogni.settings import RetryPolicy

if TYPE_CHECKING:
    from sogni.core.client_state import ClientState

State: TypeAlias = "ClientState"

T = TypeVar("T")
R = TypeVar("R")


class EventBody(Protocol):
    """The body of a response that has no end."""

    def close(self) -> None:
        """Close the connection, in any thread, also repeatedly. A pending read then returns the end of the body."""


@frozen
class Http:
    """Send a request and read the whole response. Raises `SogniConnectionError` or `SogniTimeoutError`."""

    call: HttpCall


@frozen
class WriteFrame:
    """Write a frame to the open socket. `sending` runs under the state lock immediately before.

    Raises `SogniConnectionError` if the connection was lost before the frame was written.
    """

    kind: str
    payload: Any = field(repr=False)
    sending: Callable[[State, float], None] | None = None


@frozen
class Upload:
    """Stream the content of a media source as the body of `call`."""

    call: HttpCall
    source: Any


@frozen
class Download:
    """Write the body of a response to a file, which gets its name once it is complete.

    The outcome is the path, or the reply if it is an error.
    """

    call: HttpCall
    path_for: Callable[[str], Any]
    """Returns the path for the file suffix (with its dot) that fits the content."""
    overwrite: bool = False
    """Whether an existing file is replaced; otherwise the new file gets a number."""


@frozen
class OpenStream:
    """Open the body of a response for reading. The outcome is a file object, or the reply if it is an error."""

    call: HttpCall


@frozen
class OpenEvents:
    """Open a response that has no end. The outcome is an `EventBody`, or the reply if it is an error.

    Raises `SogniConnectionError` or `SogniTimeoutError`.
    """

    call: HttpCall


@frozen
class ReadPiece:
    """Wait for the next bytes of a body; empty at its end.

    Raises `SogniTimeoutError`, after which reading can continue, or `SogniConnectionError`.
    """

    body: EventBody
    timeout: float | None


@frozen
class OpenMedia:
    """Open a media input. The outcome is a media source with its size and first bytes. Raises `ValidationError`."""

    name: str
    value: Any = field(repr=False)


@frozen
class Spool:
    """Save the body of a response to a temporary file. The outcome is a media source, or the reply of an error."""

    call: HttpCall
    name: str


@frozen
class Pause:
    """Wait for some seconds, randomly varied by a share of up to `jitter`."""

    seconds: float
    jitter: float = 0.0


@frozen
class Change:
    """Read or change the client state under the state lock; `function` receives the state and the monotonic time."""

    function: Callable[[State, float], Any]


@frozen
class Until:
    """Wait until `found` returns something other than None; it is called again whenever a topic is woken.

    `found` runs under the state lock, and may raise to end the wait.
    """

    topics: Sequence[Hashable]
    found: Callable[[State], Any]
    timeout: float | None
    phase: Phase
    waiting_for: str


@frozen
class Connect:
    """Start to open the socket, unless it is open; does not wait for it."""


@frozen
class CatchUp:
    """Wait until the frames that the socket has received so far are applied, for a limited time.

    So that frames sent before an HTTP response are applied before the response.
    """


@frozen
class NewId:
    """Generate an upper-case UUID."""


@frozen
class Clock:
    """Read the monotonic clock, in seconds."""


@frozen
class AppId:
    """Return the app id of this client, which is chosen on first use."""


@frozen
class RetriesOf:
    """Return the retry policy of the calls that this flow makes."""


@frozen
class Compute:
    """Call a slow function without side effects, outside of the event loop."""

    what: str
    function: Callable[[], Any] = field(repr=False)


@frozen
class UserCode:
    """Call a function of the user; asyncio awaits its result if it is awaitable.

    An exception is logged as an error of `what`, then thrown into the flow.
    """

    what: str
    function: Callable[..., Any] = field(repr=False)
    arguments: tuple[Any, ...] = field(default=(), repr=False)
    named: Mapping[str, Any] = field(factory=dict, repr=False)


@frozen
class Together:
    """Run flows concurrently. The outcome is the list of their results; the first error is raised."""

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
    | RetriesOf
    | Compute
    | UserCode
    | Together
)
Flow = Generator[Step, Any, R]
CALLING = (Http, Upload, Download, Spool, OpenStream, OpenEvents)
"""Steps with a `call`."""


# Each of these functions yields the step of its name.


def http(call: HttpCall) -> Flow[HttpReply]:
    """Send a request once."""
    reply: HttpReply = yield Http(call)
    return reply


def write_frame(kind: str, payload: Any, sending: Callable[[State, float], None] | None = None) -> Flow[None]:
    """Write a frame to the socket."""
    yield WriteFrame(kind, payload, sending)


def upload(call: HttpCall, source: Any) -> Flow[HttpReply]:
    """Upload a media source."""
    reply: HttpReply = yield Upload(call, source)
    return reply


def download(call: HttpCall, path_for: Callable[[str], T], *, overwrite: bool = False) -> Flow[T | HttpReply]:
    """Download a response to a file, or to an object in a storage."""
    if isinstance(path_for, StoredName):
        stored: T | HttpReply = yield from _store(call, path_for, overwrite=overwrite)
        return stored
    outcome: T | HttpReply = yield Download(call, path_for, overwrite)
    return outcome


def _store(call: HttpCall, place: StoredName, *, overwrite: bool) -> Flow[Any]:
    """Download a response to a temporary file, which is stored once it is complete."""
    with place.storage.temporary() as directory:
        outcome: Any = yield Download(call, lambda suffix: directory / f"result{suffix}")
        if isinstance(outcome, HttpReply):
            return outcome
        file: Path = outcome
        put = partial(place.storage.put, file, place(file.suffix), overwrite=overwrite)
        return (yield from compute("an upload to storage", put))


def open_stream(call: HttpCall) -> Flow[Any]:
    """Open the body of a response as a file object."""
    stream: Any = yield OpenStream(call)
    return stream


def open_events(call: HttpCall) -> Flow[EventBody | HttpReply]:
    """Open a response that has no end."""
    outcome: EventBody | HttpReply = yield OpenEvents(call)
    return outcome


def read_piece(body: EventBody, timeout: float | None) -> Flow[bytes]:
    """Return the next bytes of a body; empty at its end."""
    piece: bytes = yield ReadPiece(body, timeout)
    return piece


def open_media(name: str, value: Any) -> Flow[Any]:
    """Open a media input."""
    source: Any = yield OpenMedia(name, value)
    return source


def spool(call: HttpCall, name: str) -> Flow[Any]:
    """Save a response to a temporary file."""
    source: Any = yield Spool(call, name)
    return source


def pause(seconds: float, jitter: float = 0.0) -> Flow[None]:
    """Wait for some seconds."""
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
    """Wait for something in the client state. Raises `SogniTimeoutError` with `phase`."""
    outcome: T = yield Until(topics, found, timeout, phase, waiting_for)
    return outcome


def connect() -> Flow[None]:
    """Start to open the socket."""
    yield Connect()


def catch_up() -> Flow[None]:
    """Wait until the frames received so far are applied."""
    yield CatchUp()


def new_id() -> Flow[str]:
    """Return a new id."""
    uuid: str = yield NewId()
    return uuid


def clock() -> Flow[float]:
    """Return the monotonic time in seconds."""
    seconds: float = yield Clock()
    return seconds


def app_id() -> Flow[str]:
    """Return the app id of this client."""
    value: str = yield AppId()
    return value


def retry_policy() -> Flow[RetryPolicy]:
    """Return the retry policy of the calls of this flow."""
    policy: RetryPolicy = yield RetriesOf()
    return policy


def compute(what: str, function: Callable[[], T]) -> Flow[T]:
    """Call a slow function without side effects."""
    outcome: T = yield Compute(what, function)
    return outcome


def user_code(what: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Flow[Any]:
    """Call a function of the user."""
    outcome: Any = yield UserCode(what, function, arguments, named)
    return outcome


def together(flows: Sequence[Flow[T]]) -> Flow[list[T]]:
    """Run flows concurrently."""
    outcomes: list[T] = yield Together(flows)
    return outcomes


def adapted(flow: Flow[R], perform: Callable[[Step], Flow[Any]]) -> Flow[R]:
    """Run a flow whose steps `perform` yields in its place, also those of the flows that run concurrently."""
    resume: Callable[[Any], Step] = flow.send
    value: Any = None
    while True:
        try:
            step = resume(value)
        except StopIteration as end:
            result: R = end.value
            return result
        resume = flow.send
        try:
            if isinstance(step, Together):
                value = yield Together([adapted(one, perform) for one in step.flows])
            else:
                value = yield from perform(step)
        except BaseException as error:
            resume, value = flow.throw, error


# For drivers, which decide how to sleep between two evaluations.


def evaluate(step: Until, state: State) -> Any:
    """Return the outcome of a wait, None to continue waiting. Raises `ClientClosedError` if the client is closed."""
    found = step.found(state)
    if found is None and state.closed:
        raise ClientClosedError(f"the client was closed while waiting for {step.waiting_for}")
    return found


def timeout_error(step: Until) -> SogniTimeoutError:
    """Return the error of a wait that timed out."""
    return SogniTimeoutError(
        f"waited {step.timeout:g} seconds for {step.waiting_for}", phase=step.phase, timeout=step.timeout
    )


def topics_of(step: Until) -> list[Hashable]:
    """Return the topics that wake a wait, including the end of the client."""
    return [*step.topics, CLOSED]
