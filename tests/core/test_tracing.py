"""Reports to an observer of projects, chats, tools and their requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from sogni.core import outbox, tracing
from sogni.core.background import traced_flow_of
from sogni.core.chat.flows import begin_completion, complete, hosted_completion, run_hosted_tool
from sogni.core.flow import Flow, http, new_id, together
from sogni.core.http import get
from sogni.core.projects.create import create_once, create_project
from sogni.core.projects.project import ProjectTotals
from sogni.errors import ApiError, SogniTimeoutError
from sogni.models.projects import ErrorData
from tests.core.play import MODEL, PROJECT, TIMEOUT, Stage, bare, ok, refused

SENT = ("frame jobRequest", None)
ASKED = ("frame llmJobRequest", None)
HELLO = [{"role": "user", "content": "hello"}]
RECORD = f"GET rest/v1/projects/{PROJECT}"


class Watched:
    """A trace that keeps how it ended, each time."""

    def __init__(self, *what: Any) -> None:
        self.what = what
        self.context = what[0]
        self.ends: list[Any] = []

    def end(self, outcome: Any, at: float | None = None) -> None:
        self.ends.append((outcome, at))

    def failed(self, error: BaseException) -> None:
        self.ends.append(type(error).__name__)


class Watcher:
    """An observer that keeps the traces."""

    def __init__(self) -> None:
        self.traces: list[Watched] = []

    def _begin(self, *what: Any) -> Watched:
        self.traces.append(Watched(*what))
        return self.traces[-1]

    def project(self, params: Any) -> Watched:
        return self._begin("project", params.model_id)

    def chat(self, model: str, messages: Any, options: Any) -> Watched:
        return self._begin("chat", model, messages, options)

    def tool(self, name: str) -> Watched:
        return self._begin("tool", name)

    def current(self) -> str:
        return "caller"


@pytest.fixture
def watcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    watcher = Watcher()
    monkeypatch.setattr(tracing, "observer", watcher)
    return watcher  # type: ignore[return-value]  # monkeypatch restores it


@pytest.fixture
def stage() -> Stage:
    return Stage().connects().knows_models()


def contexts(stage: Stage) -> list[Any]:
    return [call.context for call in stage.calls]


def two_calls() -> Flow[Any]:
    yield from new_id()
    yield from http(get("/v1/a"))
    return (yield from together([http(get("/v1/b")), tracing.within("inner", http(get("/v1/c")))]))


def test_requests_belong_to_the_innermost_context(stage: Stage) -> None:
    script = [(f"GET rest/v1/{name}", ok()) for name in "abc"]
    stage.play(tracing.within("outer", two_calls()), *script)
    assert contexts(stage) == ["outer", "outer", "inner"]


def test_flows_of_other_threads_have_the_context_of_the_caller(stage: Stage, watcher: Watcher) -> None:
    stage.play(together(tracing.carried([http(get("/v1/a"))])), ("GET rest/v1/a", ok()))
    tracing.observer = None
    stage.play(together(tracing.carried([http(get("/v1/a"))])), ("GET rest/v1/a", ok()))
    assert contexts(stage) == ["caller", None]


def project_of(stage: Stage, watcher: Watcher) -> tuple[Any, Watched]:
    project = stage.play(create_project(None, {"type": "image", "model_id": MODEL}), SENT)
    (trace,) = watcher.traces
    assert (project.trace, trace.what, trace.ends) == (trace, ("project", MODEL), [])
    return project, trace


def test_a_completed_project_ends_once_its_cost_is_known(stage: Stage, watcher: Watcher) -> None:
    project, trace = project_of(stage, watcher)
    project.completed(stage.now)
    project.settle_anyway(stage.now)
    stage.state.out.make_calls()
    assert (project.settled, trace.ends) == (True, [])
    stage.passes(5)
    project.apply_totals(ProjectTotals(), stage.now)
    assert trace.ends == []  # not under the lock
    stage.state.out.make_calls()
    assert trace.ends == [(project, project.out.wall(project.settled_at))]


def test_a_project_whose_cost_is_known_ends_when_it_settles(stage: Stage, watcher: Watcher) -> None:
    project, trace = project_of(stage, watcher)
    project.apply_totals(ProjectTotals(), stage.now)
    project.completed(stage.now)
    project.settle_anyway(stage.now)
    stage.state.out.make_calls()
    assert trace.ends == [(project, project.out.wall(project.settled_at))]


def test_a_failed_project_ends_at_once(stage: Stage, watcher: Watcher) -> None:
    project, trace = project_of(stage, watcher)
    project.fail(ErrorData(code=1, message="no"), stage.now)
    stage.state.out.make_calls()
    assert [outcome for outcome, _ in trace.ends] == [project]


def test_a_project_that_is_not_sent_ends_with_the_error(stage: Stage, watcher: Watcher) -> None:
    created = create_project(None, {"type": "image", "model_id": MODEL})
    stage.drops().fail(SogniTimeoutError, created, ("until the socket (ready, 30 s)", TIMEOUT))
    assert watcher.traces[0].ends == ["SogniTimeoutError"]


def test_a_project_that_its_key_finds_has_ended(stage: Stage, watcher: Watcher) -> None:
    stage.state.account.wallet_address = "0x28578Fb373d3E2a2431cd7e2eCCed24a0eDE234E"
    found = stage.project("864A3E09-BD3A-4033-BC43-C68D5EAA07A4")
    assert stage.play(create_once("order 17", None, {"type": "image", "model_id": MODEL})) is found
    assert watcher.traces[0].ends == [(found, None)]


def test_background_tasks_are_part_of_their_project(stage: Stage, watcher: Watcher) -> None:
    project, trace = project_of(stage, watcher)
    project.id = PROJECT
    stage.state.projects.track(project, stage.now)
    for task, script in [
        (outbox.SyncProject(PROJECT), [(RECORD, ok({"project": {"id": PROJECT}}))]),
        (outbox.SyncProject("UNKNOWN"), [("GET rest/v1/projects/UNKNOWN", ok({"project": {"id": "UNKNOWN"}}))]),
        (outbox.FetchAccount(), [("GET rest/v1/account/me", ok({}))]),
    ]:
        stage.play(traced_flow_of(cast(Any, task), stage.state), *script)
    assert (contexts(stage), trace.ends) == (["project", "caller", "caller"], [])
    # A record that has no end: the cost stays unknown.
    project.completed(stage.now)
    project.settle_anyway(stage.now)
    flow = traced_flow_of(outbox.SyncProject(PROJECT), stage.state)
    stage.play(flow, (RECORD, refused(403)))
    assert [outcome for outcome, _ in trace.ends] == [project]
    tracing.observer = None
    stage.play(traced_flow_of(outbox.FetchAccount(), stage.state), ("GET rest/v1/account/me", ok({})))
    assert contexts(stage)[-1] is None


def chat_of(stage: Stage, watcher: Watcher) -> tuple[Any, Watched]:
    chat = stage.play(begin_completion("qwen", HELLO, {"temperature": 0.5}), ASKED)
    (trace,) = watcher.traces
    assert (chat.trace, trace.what) == (trace, ("chat", "qwen", HELLO, {"temperature": 0.5}))
    return chat, trace


@pytest.mark.parametrize(
    ("kind", "payload"), [("llmJobResult", {"timeTaken": 2}), ("llmJobError", {"error": "no"}), (None, None)]
)
def test_a_chat_ends_with_its_answer_its_error_or_its_reader(
    stage: Stage, watcher: Watcher, kind: str | None, payload: Any
) -> None:
    chat, trace = chat_of(stage, watcher)
    if kind is None:
        chat.leave()
    else:
        stage.receives(kind, {"jobID": chat.id, **payload})
    assert trace.ends == []
    stage.state.out.make_calls()
    assert trace.ends == [(chat, None)]


def test_a_chat_that_takes_too_long_ends_with_the_error(stage: Stage, watcher: Watcher) -> None:
    stage.fail(
        SogniTimeoutError,
        complete("qwen", HELLO, {}, 9),
        ASKED,
        ("until the response to chat job ID-1 (run, 9 s)", TIMEOUT),
    )
    assert watcher.traces[0].ends == ["SogniTimeoutError"]


def test_hosted_chats_and_tools(stage: Stage, watcher: Watcher) -> None:
    answer = stage.play(hosted_completion("qwen", HELLO, {}, None, None), ("POST rest/v1/chat/completions", bare({})))
    tool = run_hosted_tool("compose_lyrics", {}, None, None, token_type=None, safe_content_filter=None)
    stage.fail(ApiError, tool, ("POST rest/v1/creative-agent/tools/execute", refused(404)))
    assert [trace.ends for trace in watcher.traces] == [[(answer, None)], ["NotFoundError"]]
    assert contexts(stage) == ["chat", "tool"]


def test_what_runs_ends_with_the_client(stage: Stage, watcher: Watcher) -> None:
    project, of_project = project_of(stage, watcher)
    stage.project(PROJECT)
    watcher.traces.clear()
    chat, of_chat = chat_of(stage, watcher)
    tracing.observer = None
    stage.play(begin_completion("qwen", HELLO, {}), ASKED)
    stage.state.end_traces()
    assert (of_project.ends, of_chat.ends) == ([(project, None)], [(chat, None)])
