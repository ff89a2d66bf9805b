"""Spans and metrics of OpenTelemetry, with the context of the caller across threads and tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from sogni.telemetry import SogniInstrumentor
from tests.emulator.media.helpers import picture
from tests.scenarios.conftest import MODEL, Sdk, until

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry import context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

FACE = picture("darkred")
CHAT = "qwen3.6-35b-a3b-gguf-iq4xs"


class Recorded:
    """What was recorded."""

    def __init__(self) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.tracer = self.tracers.get_tracer("test")

    def instrument(self, **options: Any) -> None:
        SogniInstrumentor().uninstrument()
        SogniInstrumentor().instrument(tracer_provider=self.tracers, meter_provider=self.meters, **options)

    def shut_down(self) -> None:
        self.tracers.shutdown()
        self.meters.shutdown()

    def named(self, start: str) -> list[ReadableSpan]:
        """The spans whose name begins so."""
        return [span for span in self._exporter.get_finished_spans() if span.name.startswith(start)]

    def one(self, start: str) -> ReadableSpan:
        (span,) = self.named(start)
        return span

    def inside(self, parent: ReadableSpan) -> set[str]:
        """The names of the spans in another one."""
        spans = self._exporter.get_finished_spans()
        return {it.name for it in spans if it.parent is not None and it.parent.span_id == parent.context.span_id}

    def text(self) -> str:
        """Everything that would be exported."""
        return "".join(span.to_json() for span in self._exporter.get_finished_spans()) + str(self.points())

    def points(self) -> dict[str, list[Any]]:
        """The data points of every metric."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        metrics = [metric for it in data.resource_metrics for scope in it.scope_metrics for metric in scope.metrics]
        return {metric.name: list(metric.data.data_points) for metric in metrics}


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    recorded = Recorded()
    recorded.instrument()
    yield recorded
    SogniInstrumentor().uninstrument()
    recorded.shut_down()


def attributes(span: ReadableSpan, *names: str) -> tuple[Any, ...]:
    return tuple((span.attributes or {}).get(name) for name in names)


async def test_a_project_is_a_span_of_its_caller(
    sdk: Sdk, recorded: Recorded, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    with recorded.tracer.start_as_current_span("order") as order:
        project = await sdk.create(client, seed=7, starting_image=FACE)
        await sdk.call(project.wait, timeout=60)
    with recorded.tracer.start_as_current_span("saving"):
        await sdk.call(project.save, tmp_path)
    # The span ends once the cost is known.
    await until(lambda: recorded.named("generate_content"))
    span = recorded.one("generate_content")
    assert span.parent is not None
    assert (span.name, span.kind) == (f"generate_content {MODEL}", SpanKind.CLIENT)
    assert span.parent.span_id == order.get_span_context().span_id
    assert attributes(span, "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model") == (
        "generate_content",
        "sogni",
        MODEL,
    )
    assert attributes(span, "gen_ai.output.type", "gen_ai.request.seed", "sogni.token_type") == ("image", 7, "sogni")
    assert attributes(span, "sogni.project.id", "sogni.project.status", "sogni.project.results", "sogni.cost") == (
        project.id,
        "completed",
        1,
        float(project.cost),
    )
    # Uploads, and what is done in the background, are parts of the project.
    assert {"upload", "GET /v1/image/downloadUrl", "GET /v1/projects/{id}"} <= recorded.inside(span)
    assert "download" in recorded.inside(recorded.one("saving"))
    points = recorded.points()
    (cost,) = points["sogni.client.cost"]
    assert (cost.value, cost.attributes["sogni.token_type"]) == (pytest.approx(float(project.cost)), "sogni")
    assert [it.value for it in points["sogni.client.active_operations"]] == [0]
    moved = {it.attributes["sogni.transfer.direction"]: it.value for it in points["sogni.client.transferred"]}
    assert (moved["upload"], moved["download"]) == (len(FACE), next(tmp_path.iterdir()).stat().st_size)
    (duration,) = points["gen_ai.client.operation.duration"]
    assert (duration.count, duration.attributes["gen_ai.request.model"]) == (1, MODEL)


async def test_neither_secrets_nor_prompts_are_recorded(
    sdk: Sdk, recorded: Recorded, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    supernet.faults.http("/v1/account/me", status=403, message="no more lighthouses")
    with pytest.raises(sdk.PermissionDeniedError):
        await sdk.call(client.account.me)
    project = await sdk.create(client)
    await sdk.call(project.wait, timeout=60)
    await sdk.call(project.save, tmp_path)
    await sdk.call(client.chat.completions.create, model=CHAT, messages=[{"role": "user", "content": "lighthouse"}])
    await until(lambda: recorded.named("generate_content"))
    told = recorded.text()
    assert [word for word in (supernet.api_key, "lighthouse", "?", "X-Amz") if word in told] == []


async def test_requests_follow_the_conventions_of_http(
    sdk: Sdk, recorded: Recorded, client: Any, supernet: LocalSupernet
) -> None:
    supernet.faults.http("/v1/account/me", status=503, retry_after=0)
    await sdk.call(client.account.me)
    supernet.faults.http("/v1/account/me", disconnect=True, times=9)
    with pytest.raises(sdk.SogniConnectionError):
        await sdk.call(client.account.me)
    spans = recorded.named("GET /v1/account/me")
    names = ("http.response.status_code", "error.type")
    seen = [(*attributes(span, *names), span.status.status_code) for span in spans]
    assert seen[:3] == [
        (503, "503", StatusCode.ERROR),
        (200, None, StatusCode.UNSET),
        (None, "SogniConnectionError", StatusCode.ERROR),
    ]
    host, _, port = supernet.rest_endpoint.removeprefix("http://").partition(":")
    assert attributes(spans[0], "http.request.method", "server.address", "server.port", "url.full") == (
        "GET",
        host,
        int(port),
        f"{supernet.rest_endpoint}/v1/account/me",
    )
    durations = recorded.points()["http.client.request.duration"]
    assert {503, 200} <= {it.attributes.get("http.response.status_code") for it in durations}


async def test_chats(sdk: Sdk, recorded: Recorded, client: Any, supernet: LocalSupernet) -> None:
    messages = [{"role": "user", "content": "What is a lighthouse?"}]
    recorded.instrument(capture_content=True)
    with recorded.tracer.start_as_current_span("question") as question:
        stream = await sdk.call(
            client.chat.completions.create, model=CHAT, messages=messages, stream=True, temperature=0.5
        )
        text = "".join([chunk.content for chunk in await sdk.collect(stream)])
        hosted = await sdk.call(client.chat.hosted.create, model=CHAT, messages=messages)
    parent = question.get_span_context().span_id
    socket, rest = recorded.named("chat ")
    assert [it.parent.span_id for it in (socket, rest) if it.parent is not None] == [parent, parent]
    names = ("gen_ai.operation.name", "gen_ai.request.model", "gen_ai.response.finish_reasons")
    assert [attributes(it, *names) for it in (socket, rest)] == [("chat", CHAT, ("stop",))] * 2
    assert attributes(socket, "gen_ai.request.temperature", "gen_ai.response.id") == (0.5, stream.job_id)
    assert attributes(rest, "gen_ai.usage.input_tokens") == (hosted.usage.prompt_tokens,)
    given, answer = attributes(socket, "gen_ai.input.messages", "gen_ai.output.messages")
    assert "What is a lighthouse?" in given
    assert text.split()[0] in answer
    kinds = {it.attributes["gen_ai.token.type"] for it in recorded.points()["gen_ai.client.token.usage"]}
    assert kinds == {"input", "output"}
    assert recorded.inside(rest) == {"POST /v1/chat/completions"}


async def test_failures(sdk: Sdk, recorded: Recorded, client: Any, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job(times=1)
    project = await sdk.create(client)
    with pytest.raises(sdk.ProjectFailedError) as caught:
        await sdk.call(project.wait, timeout=60)
    failed = await until(lambda: recorded.named("generate_content"))
    assert (failed[0].status.status_code, attributes(failed[0], "sogni.project.status", "error.type")) == (
        StatusCode.ERROR,
        ("failed", str(caught.value.code)),
    )
    supernet.chat.fail("server_restarting", after_tokens=3)
    with pytest.raises(sdk.ChatError):
        await sdk.call(client.chat.completions.create, model=CHAT, messages=[{"role": "user", "content": "hi"}])
    assert recorded.one("chat").status.status_code == StatusCode.ERROR
    supernet.faults.http("/v1/creative-agent/tools/execute", status=500)
    with pytest.raises(sdk.ServerError):
        await sdk.call(client.chat.hosted.execute_tool, "compose_lyrics", {"prompt": "a fox"})
    assert attributes(recorded.one("execute_tool"), "gen_ai.tool.name", "error.type") == (
        "compose_lyrics",
        "ServerError",
    )


async def test_what_is_running_ends_with_the_client(sdk: Sdk, supernet: LocalSupernet, recorded: Recorded) -> None:
    supernet.pause_workers()
    async with sdk.client(supernet) as client:
        await sdk.create(client)
        assert recorded.named("generate_content") == []
    span = recorded.one("generate_content")
    assert attributes(span, "sogni.project.status", "error.type")[0] in ("pending", "queued")


@pytest.mark.parametrize("propagate", [False, True])
async def test_the_service_gets_the_context_only_on_request(
    sdk: Sdk, recorded: Recorded, client: Any, supernet: LocalSupernet, propagate: bool
) -> None:
    recorded.instrument(propagate=propagate)
    with recorded.tracer.start_as_current_span("order") as order:
        await sdk.call(client.account.me)
    (request,) = [it for it in supernet.requests if getattr(it, "path", "") == "/v1/account/me"]
    sent = request.headers.get("traceparent", "")
    assert (trace.format_trace_id(order.get_span_context().trace_id) in sent) is propagate


async def test_frames_do_not_belong_to_the_call_that_connected(
    sdk: Sdk, recorded: Recorded, client: Any, supernet: LocalSupernet
) -> None:
    with recorded.tracer.start_as_current_span("connecting") as connecting:
        await sdk.call(client.connect)
    supernet.faults.drop_socket(at="request_received")
    project = await sdk.create(client)
    await sdk.call(project.wait, timeout=60)
    await until(lambda: recorded.named("generate_content"))
    span = recorded.one("generate_content")
    assert (span.parent, span.context.trace_id == connecting.get_span_context().trace_id) == (None, False)
    assert context.get_current() == {}


async def test_without_instrumentation_nothing_is_recorded(sdk: Sdk, recorded: Recorded, client: Any) -> None:
    instrumentor = SogniInstrumentor()
    instrumentor.instrument()  # once is enough
    assert instrumentor.is_instrumented_by_opentelemetry
    instrumentor.uninstrument()
    await sdk.call(client.account.me)
    assert (recorded.text(), instrumentor.is_instrumented_by_opentelemetry) == ("{}", False)
