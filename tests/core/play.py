"""Plays flows against written scripts: no socket, no clock, no thread.

A script is what a flow asks of the outside world, in order, each with what it gets: an answer, an error to be
raised, or `STOP`, which ends the flow there as Ctrl-C does. Steps that only concern the client's own state are not
written down: they run against a real `ClientState`. A wait stands in the script only when it cannot end at once; its
answer is what happens meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO, TypeVar

import sogni.core.flow as steps
from sogni.core.client_state import ClientState
from sogni.core.connection.state import Closed
from sogni.core.flow import Flow, Step
from sogni.core.http import HttpCall, HttpReply
from sogni.core.projects.job import JobState
from sogni.core.projects.project import ProjectState
from sogni.errors import SogniTimeoutError
from sogni.local.media import MediaSource, open_source
from sogni.models.catalogue import SizePreset, SupportedModel
from sogni.models.params import ImageProjectParams
from sogni.settings import Settings

R = TypeVar("R")
Meanwhile = Callable[["Stage"], Any]

NOW = 1_800_000_000.0
PROJECT = "0A0A0A0A-0000-4000-8000-000000000001"
JOB = "0B0B0B0B-0000-4000-8000-000000000001"
MODEL = "flux1-schnell-fp8"
PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 4
STOP = object()
TIMEOUT = object()


def ok(data: Any = None) -> HttpReply:
    """An enveloped success."""
    return bare({"status": "success", "data": data})


def bare(value: Any) -> HttpReply:
    """A success of the socket host."""
    return HttpReply(status=200, body=json.dumps(value).encode())


def refused(status: int, message: str = "no", **headers: str) -> HttpReply:
    """A refusal."""
    body = json.dumps({"status": "error", "message": message, "errorCode": status}).encode()
    return HttpReply(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def said(step: Step) -> str:
    """What a step asks for, in short."""
    match step:
        case steps.Http(call):
            return f"{call.method} {_place(call)}"
        case steps.Upload(call, source):
            return f"{call.method} {source.name} to {call.path}"
        case steps.Download(call):
            return f"save {call.path}"
        case steps.OpenStream(call):
            return f"open {call.path}"
        case steps.OpenEvents(call):
            last = call.headers.get("Last-Event-ID")
            return f"events {call.target}" + ("" if last is None else f" after {last}")
        case steps.ReadPiece(_, timeout):
            return f"piece within {timeout:g} s"
        case steps.Spool(call, name):
            return f"spool {name} from {call.path}"
        case steps.WriteFrame(kind):
            return f"frame {kind}"
        case steps.Pause(seconds, jitter):
            return f"pause {seconds:g}" + (f" ±{jitter:.0%}" if jitter else "")
        case steps.Until(_, _, timeout, phase, waiting_for):
            return f"until {waiting_for} ({phase}, {'for ever' if timeout is None else f'{timeout:g} s'})"
    raise AssertionError(f"{step} is not written down")


def _place(call: Any) -> str:
    return call.path if call.host == "storage" else f"{call.host}{call.target}"


class Source(MediaSource):
    """A media source that remembers whether it was closed."""

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(name, len(content), content[:12])
        self.content = content
        self.closed = False

    def open(self) -> BinaryIO:
        return BytesIO(self.content)

    def close(self) -> None:
        self.closed = True


class Body:
    """An answer without an end that remembers whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Stage:
    """A client's state, and what the flows played on it have sent."""

    def __init__(self, **settings: Any) -> None:
        # Scripts of uploads are about signed URLs, unless they are about saved uploads.
        given: dict[str, Any] = {"api_key": "key", "auth_type": "api_key", "saved_uploads": False, **settings}
        self.state = ClientState(Settings(**given), "app-1")
        self.now = NOW
        self.seconds = 100.0
        self.frames: list[tuple[str, Any]] = []
        self.calls: list[HttpCall] = []
        self.sources: list[Source] = []
        self.topics: list[Any] = []
        self.on_the_way: list[tuple[str, Any]] = []
        """Frames that the socket has received and nobody has read yet."""
        self._ids = 0
        self._script: list[tuple[str, Any]] = []

    # -- what happens ----------------------------------------------------------

    def connects(self) -> Stage:
        """A socket is opened, and the service takes frames on it."""
        self.state.connection.request_connection()
        self.state.connection.phase = "connecting"
        self.state.opened(self.seconds)
        self.receives("authenticated", {"clientType": "artist"})
        self.state.out.tasks.clear()
        return self

    def drops(self, code: int = 1006) -> Stage:
        """The socket is gone."""
        self.state.lost(Closed(code), now=self.now, jitter=1.0)
        return self

    def reconnects(self) -> Stage:
        """The socket is gone, and another is there."""
        return self.drops().connects()

    def receives(self, kind: str, payload: Any) -> Stage:
        """A frame arrives."""
        self.state.receive(kind, payload, self.now)
        return self

    def passes(self, seconds: float) -> Stage:
        """Time passes."""
        self.now += seconds
        self.seconds += seconds
        return self

    # -- what is there ---------------------------------------------------------

    def knows_models(self, *, media: str = "image", **tier: Any) -> Stage:
        """The catalogue has been asked for."""
        self.state.catalogue.keep_models([model(media=media)], self.now)
        self.state.catalogue.keep_tiers({"tier": {"type": media, **tier}}, self.now)
        return self

    def project(self, project_id: str = PROJECT, *, sent: bool = True, tracked: bool = True, **params: Any) -> Any:
        """A tracked project that was sent on the present connection, in the hands of nobody."""
        state = self.state
        made = ProjectState(
            project_id,
            ImageProjectParams(model_id=MODEL, **params),
            state.out,
            now=self.now,
            kind="image",
            listening=state.listening,
        )
        made.app_id = state.app_id
        if sent:
            made.request = {"jobID": project_id}
            made.sent_generation = state.connection.generation
        if tracked:
            state.projects.track(made, self.now)
        return made

    def finished_job(self, project: ProjectState | None = None, job_id: str = JOB, **changes: Any) -> JobState:
        """A completed job with a result address."""
        job = JobState(project or self.project(), job_id, 4)
        job.change(**{"status": "completed", "result_url": "https://store/result?sig=1", **changes})
        job.project.add_restored(job)
        return job

    @property
    def begun(self) -> list[Any]:
        """The work that was asked for in the background, taken out."""
        begun = list(self.state.out.tasks)
        self.state.out.tasks.clear()
        return begun

    def told(self, event: str) -> list[Any]:
        """The values of the deliveries of one event."""
        return [delivery.value for delivery in self.state.out.deliveries if delivery.event == event]

    # -- playing ---------------------------------------------------------------

    def play(self, flow: Flow[R], *script: tuple[str, Any]) -> R:
        """Run a flow to its end; everything written down must have been asked for, in order."""
        self._script = list(script)
        try:
            outcome = self._drive(flow)
        except Stopped:
            outcome = None  # type: ignore[assignment]
        assert self._script == []
        return outcome

    def play_inside(self, flow: Flow[R], *script: tuple[str, Any]) -> R:
        """Run another flow while one waits, as a second thread would."""
        script_of_the_other = self._script
        try:
            return self.play(flow, *script)
        finally:
            self._script = script_of_the_other

    def fail(self, kind: type[E], flow: Flow[Any], *script: tuple[str, Any]) -> E:
        """Run a flow that ends with an error, and return that."""
        try:
            outcome = self.play(flow, *script)
        except kind as error:
            assert self._script == []
            return error
        raise AssertionError(f"no {kind.__name__} but {outcome}")

    def _drive(self, flow: Flow[R]) -> R:
        try:
            step = next(flow)
            while True:
                try:
                    answer = self._perform(step)
                except Exception as error:
                    step = flow.throw(error)
                except BaseException as interruption:
                    self._interrupted(flow, interruption)
                    raise
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            outcome: R = end.value
            return outcome
        finally:
            flow.close()

    def _interrupted(self, flow: Flow[Any], interruption: BaseException) -> None:
        """Changes of the state and the one frame that a flow may answer with."""
        try:
            step = flow.throw(interruption)
            while isinstance(step, steps.Change):
                step = flow.send(self._perform(step))
        except type(interruption):
            return
        assert isinstance(step, steps.WriteFrame)
        self._written(step)

    def _perform(self, step: Step) -> Any:
        match step:
            case steps.Change(function):
                return function(self.state, self.now)
            case steps.Clock():
                return self.seconds
            case steps.CatchUp():
                while self.on_the_way:
                    self.receives(*self.on_the_way.pop(0))
                return None
            case steps.NewId():
                self._ids += 1
                return f"ID-{self._ids}"
            case steps.RetriesOf():
                return self.state.settings.retry
            case steps.AppId():
                return self.state.app_id
            case steps.Compute():
                return step.function()
            case steps.UserCode():
                return step.function(*step.arguments, **step.named)
            case steps.Connect():
                return self.state.request_connection() and None
            case steps.OpenMedia(name, value):
                return self._opened(name, value)
            case steps.Together(flows):
                return [self._drive(flow) for flow in flows]
            case steps.Until():
                self.topics = list(step.topics)
                found = step.found(self.state)
                return found if found is not None else self._waited(step)
            case steps.WriteFrame():
                return self._written(step)
            case steps.Http(call) | steps.Upload(call, _):
                self.calls.append(call)
        return self._answer(step)

    def _answer(self, step: Step) -> Any:
        assert self._script, f"{said(step)!r} is not written down"
        expected, answer = self._script.pop(0)
        assert said(step) == expected
        if answer is STOP:
            raise Stopped
        if isinstance(answer, BaseException):
            raise answer
        return answer(self) if callable(answer) else answer

    def _written(self, step: steps.WriteFrame) -> None:
        if step.sending is not None:
            step.sending(self.state, self.now)
        self._answer(step)
        self.frames.append((step.kind, step.payload))

    def _waited(self, step: steps.Until) -> Any:
        if self._answer(step) is TIMEOUT:
            raise SogniTimeoutError("too late", phase=step.phase, timeout=step.timeout)
        found = step.found(self.state)
        assert found is not None, f"{said(step)!r} goes on"
        return found

    def _opened(self, name: str, value: Any) -> Source:
        checked = open_source(name, value)
        made = Source(checked.name, bytes(value))
        self.sources.append(made)
        return made


E = TypeVar("E", bound=Exception)


class Stopped(BaseException):
    """The flow is ended from outside."""


def model(**fields: Any) -> SupportedModel:
    """A model of the list."""
    return SupportedModel(**{"id": MODEL, "name": "Flux", "sid": 7, "tier": "tier", "media": "image", **fields})


PRESET = SizePreset(id="square", label="Square", width=512, height=512, ratio="1:1", aspect="1")
MODELS = (
    "GET socket/api/v1/models/list",
    bare([{"id": MODEL, "name": "Flux", "SID": 7, "tier": "tier", "media": "image"}]),
)
TIERS = ("GET socket/api/v2/models/tiers", bare({"tier": {"type": "image"}}))


def estimate(token: Any = "2.5") -> HttpReply:
    """An estimate."""
    return bare({"quote": {"project": {"costInToken": token, "costInUSD": "0.1"}}})
