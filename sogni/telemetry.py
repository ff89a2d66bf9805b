"""OpenTelemetry spans and metrics for all clients of the process, in both packages.

Needs the extra `otel`. Nothing is recorded, and OpenTelemetry is not imported, unless a program calls
`SogniInstrumentor().instrument()` or is run with the command `opentelemetry-instrument`.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import evolve

from sogni.core import tracing
from sogni.core.flow import Download, OpenStream, Spool, Upload
from sogni.core.http import HttpCall, HttpReply, Route
from sogni.errors import ClientClosedError, SogniError
from sogni.redaction import redact, without_query
from sogni.settings import VERSION, Settings

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

__all__ = ["SogniInstrumentor"]

MISSING = "telemetry needs the OpenTelemetry API, which is not installed: pip install 'sogni[otel]'"
_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_NAME = "sogni"
_BAD_REQUEST = 400
_PORTS = {"http": 80, "https": 443}
_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_OPERATION_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1280)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)
_ID = re.compile(r"(?=[^/]*\d)[^/]{8,}")
"""A part of a path that is an ID."""
_MAX_DESCRIPTION = 200
_CHAT_OPTIONS = ("max_tokens", "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed")


class SogniInstrumentor:
    """Turns spans and metrics on and off, for all clients of the process.

    It has the methods of the instrumentors of other libraries, so `opentelemetry-instrument` finds and calls it.

    Example:
        >>> from sogni.telemetry import SogniInstrumentor
        >>> SogniInstrumentor().instrument()
        >>> SogniInstrumentor().is_instrumented_by_opentelemetry
        True
        >>> SogniInstrumentor().uninstrument()
    """

    def instrument(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        capture_content: bool | None = None,
        propagate: bool = False,
        **_: Any,
    ) -> None:
        """Record spans and metrics from now on. Does nothing if they are being recorded.

        Args:
            tracer_provider: Provider of the spans. Default: the global one, even if it is set later.
            meter_provider: Provider of the metrics. Default: the global one, even if it is set later.
            capture_content: Record prompts, messages, answers and error messages, too. Default: the value of the
                variable ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``, or else False.
            propagate: Send the context to the service in headers such as `traceparent`. Default False: the service is
                not part of your system.
            **_: Further options of `opentelemetry-instrument`, which are ignored.

        Raises:
            ImportError: The OpenTelemetry API is not installed.

        Example:
            >>> SogniInstrumentor().instrument(capture_content=False)
            >>> SogniInstrumentor().uninstrument()
        """
        if tracing.observer is not None:
            return
        if capture_content is None:
            capture_content = os.environ.get(_CAPTURE, "").strip().lower() == "true"
        try:
            tracing.observer = _Observer(tracer_provider, meter_provider, capture_content, propagate)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "opentelemetry":
                raise
            raise ImportError(MISSING, name=error.name) from None

    def uninstrument(self, **_: Any) -> None:
        """Record nothing from now on. Spans that have begun still end.

        Args:
            **_: Options, which are ignored.

        Example:
            >>> SogniInstrumentor().uninstrument()
        """
        tracing.observer = None

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether spans and metrics are being recorded."""
        return tracing.observer is not None


class _Observer:
    """Receives the reports of `tracing`; one observer for all clients."""

    def __init__(self, tracer_provider: Any, meter_provider: Any, capture: bool, propagate: bool) -> None:
        from opentelemetry import context, metrics, trace
        from opentelemetry.propagate import inject

        self._context, self._trace, self._inject = context, trace, inject
        self.capture = capture
        self._propagate = propagate
        self._exchange: ContextVar[_Exchange | None] = ContextVar("sogni_exchange", default=None)
        self.tracer = trace.get_tracer(_NAME, VERSION, tracer_provider)
        meter = metrics.get_meter(_NAME, VERSION, meter_provider)

        def histogram(name: str, unit: str, description: str, boundaries: Sequence[float]) -> Any:
            return meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=list(boundaries))

        self.request_duration = histogram(
            "http.client.request.duration", "s", "Duration of requests to the service.", _REQUEST_SECONDS
        )
        self.operation_duration = histogram(
            "gen_ai.client.operation.duration", "s", "Duration of projects, chats and tools.", _OPERATION_SECONDS
        )
        self.tokens = histogram(
            "gen_ai.client.token.usage", "{token}", "Number of tokens of requests and answers of chats.", _TOKENS
        )
        self.running = meter.create_up_down_counter(
            "sogni.client.active_operations", "{operation}", "Number of projects, chats and tools that are running."
        )
        self.cost = meter.create_counter("sogni.client.cost", "{token}", "What projects and chats have cost.")
        self.transferred = meter.create_counter("sogni.client.transferred", "By", "Size of uploads and downloads.")

    # -- contexts

    def current(self) -> Any:
        return self._context.get_current()

    def detached(self) -> Context:
        copied = copy_context()
        copied.run(self._context.attach, self._context.Context())
        return copied

    # -- operations

    def project(self, params: Any) -> _Operation:
        attributes = {
            "gen_ai.operation.name": "generate_content",
            "gen_ai.request.model": params.model_id,
            "gen_ai.output.type": params.type,
            "gen_ai.request.choice.count": params.number_of_media if (params.number_of_media or 1) > 1 else None,
            "gen_ai.request.seed": params.seed,
        }
        prompt = [{"role": "user", "parts": [{"type": "text", "content": params.positive_prompt}]}]
        return self._operation(f"generate_content {params.model_id}", attributes, prompt)

    def chat(self, model: str, messages: Sequence[Any], options: Mapping[str, Any]) -> _Operation:
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": model,
            **{f"gen_ai.request.{name}": options.get(name) for name in _CHAT_OPTIONS},
            "sogni.token_type": options.get("token_type"),
        }
        return self._operation(f"chat {model}", attributes, messages)

    def tool(self, name: str) -> _Operation:
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
        return self._operation(f"execute_tool {name}", attributes, None)

    def _operation(self, name: str, attributes: Mapping[str, Any], content: Any) -> _Operation:
        given = {"gen_ai.provider.name": _NAME, **_plain(attributes)}
        if self.capture and content:
            given["gen_ai.input.messages"] = _json(content)
        span = self.tracer.start_span(name, kind=self._trace.SpanKind.CLIENT, attributes=given)
        return _Operation(self, span, self._trace.set_span_in_context(span), given)

    def fail(self, span: Span, kind: str, message: str) -> None:
        """Set the error of a span. Messages may quote what was requested, so they count as content."""
        span.set_attribute("error.type", kind)
        description = redact(message)[:_MAX_DESCRIPTION] if self.capture else kind
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, description))

    # -- requests

    @contextmanager
    def exchange(self, step: Any, call: HttpCall, settings: Settings) -> Iterator[_Exchange]:
        url = Route(call, settings).url
        kind = _kind(step, call)
        parts = urlsplit(url)
        attributes: dict[str, Any] = {
            "http.request.method": call.method,
            "server.address": parts.hostname or "",
            "server.port": parts.port or _PORTS[parts.scheme],
        }
        name = kind or f"{call.method} {_template(parts.path)}"
        context = self.current() if call.context is None else call.context
        span = self.tracer.start_span(
            name,
            context,
            kind=self._trace.SpanKind.CLIENT,
            attributes={**attributes, "url.full": without_query(url)},
        )
        inside = self._trace.set_span_in_context(span, context)
        if self._propagate and call.host != "storage":
            headers: dict[str, str] = {}
            self._inject(headers, inside)
            call = evolve(call, headers={**headers, **call.headers})
        exchange = _Exchange(self, span, call, step, attributes)
        attached = self._context.attach(inside)
        before = self._exchange.set(exchange)
        began = time.perf_counter()
        try:
            yield exchange
        except BaseException as error:
            exchange.error = _error_type(error)
            self.fail(span, exchange.error, str(error))
            raise
        finally:
            self._exchange.reset(before)
            self._context.detach(attached)
            if exchange.error is not None:
                attributes["error.type"] = exchange.error
            self.request_duration.record(time.perf_counter() - began, attributes, inside)
            span.end()

    def responded(self, url: str, status: int) -> None:
        exchange = self._exchange.get()
        if exchange is not None:
            exchange.responded(url, status)


class _Exchange:
    """One request."""

    def __init__(self, observer: _Observer, span: Span, call: HttpCall, step: Any, attributes: dict[str, Any]) -> None:
        self.call = call
        self.error: str | None = None
        self._observer, self._span, self._step, self._attributes = observer, span, step, attributes

    def responded(self, url: str, status: int) -> None:
        """Note the head of a response; after a redirect, the last one counts."""
        self._attributes["http.response.status_code"] = status
        self._span.set_attribute("http.response.status_code", status)
        self._span.set_attribute("url.full", without_query(url))
        if status >= _BAD_REQUEST:
            self.error = str(status)
            self._observer.fail(self._span, self.error, self.error)

    def answered(self, outcome: Any) -> Any:
        """Note the size of a transfer."""
        size = None
        if isinstance(self._step, Upload):
            size, name = self._step.source.size, "http.request.body.size"
        elif isinstance(outcome, Path):
            with suppress(OSError):  # the caller may have moved the file already
                size, name = outcome.stat().st_size, "http.response.body.size"
        elif isinstance(self._step, Spool) and not isinstance(outcome, HttpReply):
            size, name = outcome.size, "http.response.body.size"
        if size is not None and self.error is None:
            self._span.set_attribute(name, size)
            direction = "upload" if isinstance(self._step, Upload) else "download"
            self._observer.transferred.add(size, {"sogni.transfer.direction": direction})
        return outcome


class _Operation:
    """A project, a chat or a tool, from its request to its end."""

    def __init__(self, observer: _Observer, span: Span, context: Any, attributes: Mapping[str, Any]) -> None:
        self.context = context
        self._observer, self._span = observer, span
        self._began = time.time()
        self._lock = threading.Lock()
        self._ended = False
        names = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.tool.name")
        self._dimensions = {name: attributes[name] for name in names if name in attributes}
        observer.running.add(1, self._dimensions, context)

    def end(self, outcome: Any, at: float | None = None) -> None:
        """End with a project, a chat or a response."""
        if self._claim():
            attributes, failure = _outcome_of(outcome)
            content = _content_of(outcome) if self._observer.capture else None
            if content:
                attributes["gen_ai.output.messages"] = _json(content)
            self._span.set_attributes(_plain(attributes))
            self._measure(attributes)
            self._finish(failure, at)

    def failed(self, error: BaseException) -> None:
        """End with an error."""
        if self._claim():
            self._finish((_error_type(error), str(error)), None)

    def _claim(self) -> bool:
        """Return whether this call ends the operation: several threads may report its end."""
        with self._lock:
            ended, self._ended = self._ended, True
        return not ended

    def _measure(self, attributes: Mapping[str, Any]) -> None:
        for kind in ("input", "output"):
            count = attributes.get(f"gen_ai.usage.{kind}_tokens")
            if count is not None:
                self._observer.tokens.record(count, {**self._dimensions, "gen_ai.token.type": kind}, self.context)
        if attributes.get("sogni.cost"):
            token = _plain({"sogni.token_type": attributes.get("sogni.token_type")})
            self._observer.cost.add(attributes["sogni.cost"], {**self._dimensions, **token}, self.context)

    def _finish(self, failure: tuple[str, str] | None, at: float | None) -> None:
        observer = self._observer
        observer.running.add(-1, self._dimensions, self.context)
        dimensions = dict(self._dimensions)
        if failure is not None:
            observer.fail(self._span, *failure)
            dimensions["error.type"] = failure[0]
        seconds = max(0.0, (time.time() if at is None else at) - self._began)
        observer.operation_duration.record(seconds, dimensions, self.context)
        self._span.end(None if at is None else int(max(at, self._began) * 1e9))


def _outcome_of(outcome: Any) -> tuple[dict[str, Any], tuple[str, str] | None]:
    """Return the attributes of an outcome, and the type and message of its error."""
    if hasattr(outcome, "result_urls"):
        return _project_outcome(outcome)
    usage, cost = getattr(outcome, "usage", None), getattr(outcome, "cost", None)
    choices = getattr(outcome, "choices", None)
    reasons = [choice.finish_reason for choice in choices or ()] or [getattr(outcome, "finish_reason", None)]
    attributes = {
        "gen_ai.response.id": getattr(outcome, "id", None),
        "gen_ai.response.model": getattr(outcome, "model", None),
        "gen_ai.response.finish_reasons": [reason for reason in reasons if reason] or None,
        "gen_ai.usage.input_tokens": usage and usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage and usage.completion_tokens,
        "sogni.cost": cost and _number(cost.cost_in_token),
    }
    failure = getattr(outcome, "failure", None)
    return attributes, None if failure is None else (failure.error_code or failure.error or "_OTHER", failure.message)


def _project_outcome(project: Any) -> tuple[dict[str, Any], tuple[str, str] | None]:
    totals, error = project.totals, project.error
    attributes = {
        "sogni.project.id": project.id,
        "sogni.project.status": project.status,
        "sogni.project.results": len(project.result_urls),
        "sogni.token_type": project.token_type,
        "sogni.cost": totals and _number(totals.cost),
    }
    if project.status != "failed":
        return attributes, None
    return attributes, (str((error and error.code) or "_OTHER"), error.message if error else "")


def _content_of(outcome: Any) -> Any:
    """Return the answer of a chat."""
    text = outcome.text() if hasattr(outcome, "text") else getattr(outcome, "content", None)
    return [{"role": "assistant", "parts": [{"type": "text", "content": text}]}] if text else None


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that are set and that a span can have."""
    return {name: it for name, it in attributes.items() if isinstance(it, bool | int | float | str | list)}


def _json(value: Any) -> str:
    return redact(json.dumps(value, default=lambda it: getattr(it, "__dict__", None) or str(it), ensure_ascii=False))


def _error_type(error: BaseException) -> str:
    kind = type(error)
    known = isinstance(error, SogniError | ClientClosedError) or kind.__module__ == "builtins"
    return kind.__qualname__ if known else f"{kind.__module__}.{kind.__qualname__}"


def _kind(step: Any, call: HttpCall) -> str | None:
    """Return the name of the span of a transfer; None for a request."""
    if isinstance(step, Upload):
        return "upload"
    return "download" if isinstance(step, Download | Spool | OpenStream) or call.host == "storage" else None


def _template(path: str) -> str:
    """Return a path with IDs replaced, so that there are few names of spans."""
    return "/".join("{id}" if _ID.fullmatch(part) else part for part in path.split("/"))
