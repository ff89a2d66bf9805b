# Generated from sogni_async/api/runs.py by tools/unasync.py. Do not edit.
"""`client.chat.runs`: chats that the service carries on, whether or not anybody listens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sogni.api.streams import EventStream
from sogni.core.checks import naming_the_nearest
from sogni.core.workflows import runs
from sogni.models.base import BillingMode, TokenType
from sogni.models.chat import ChatMessage, MediaContext
from sogni.models.runs import ChatRunEvent, ChatRunRecord, CostApprovalPreview, RunRuntimeConfig
from sogni.models.workflows import MediaReference
from sogni.settings import check_seconds
from sogni.transport.engine import Engine


class ChatRuns:
    """Durable chat runs: the service runs the model and its tools. They need no socket.

    >>> from sogni import SogniClient
    >>> with SogniClient.local() as client:
    ...     run = client.chat.runs.create(messages=[{"role": "user", "content": "Say one word"}])
    ...     run = client.chat.runs.wait(run.run_id, timeout=30)
    >>> run.status
    'completed'
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @naming_the_nearest
    def create(
        self,
        *,
        messages: Sequence[ChatMessage | Mapping[str, Any]],
        tools: Sequence[Any] | None = None,
        tool_choice: Any = None,
        model: str | None = None,
        sampling: Mapping[str, Any] | None = None,
        media_references: Sequence[MediaReference | Mapping[str, Any]] | None = None,
        media_context: MediaContext | Mapping[str, Any] | None = None,
        max_estimated_capacity_units: float | None = None,
        confirm_cost: bool | None = None,
        session_id: str | None = None,
        client_message_id: str | None = None,
        token_type: TokenType | None = None,
        billing_mode: BillingMode | None = None,
        runtime_config: RunRuntimeConfig | Mapping[str, Any] | None = None,
        app_source: str | None = None,
        idempotency_key: str | None = None,
    ) -> ChatRunRecord:
        """Start a run; returns its record while it runs.

        `messages` and `tools` are dicts in the OpenAI form; temperature and its like go into `sampling`. Every
        medium is given by an http or https address (`workflows.upload` makes one). Repeated starts with the same
        `idempotency_key` are one run; without one a key is made for this call and kept when it has to be repeated
        (chat §12.1). Raises `ValidationError` before anything is sent, else an `ApiError`.
        """
        given = {name: value for name, value in locals().items() if name != "self"}
        return self._engine.run(runs.create_run(given))

    def get(self, run_id: str) -> ChatRunRecord:
        """The record of a run. NotFoundError."""
        return self._engine.run(runs.get_run(run_id))

    def cancel(self, run_id: str, reason: str | None = None) -> ChatRunRecord:
        """End a run."""
        return self._engine.run(runs.cancel_run(run_id, reason))

    @naming_the_nearest
    def confirm_cost(
        self,
        run_id: str,
        *,
        tool_call_id: str,
        decision: Literal["confirm", "cancel"],
        accepted_cost_preview: CostApprovalPreview | Mapping[str, Any] | None = None,
        overrides: Mapping[str, Any] | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> ChatRunRecord:
        """Decide about the cost of a run that waits for its user (`run.waiting.details`).

        To confirm, give back the `cost_approval_preview` the user has seen. Raises `ConflictError` when that is no
        longer valid: get the run anew and ask again (chat §14.6).
        """
        given = {name: value for name, value in locals().items() if name not in ("self", "run_id")}
        return self._engine.run(runs.confirm_cost(run_id, given))

    def stream_events(self, run_id: str, last_event_id: int | str | None = None) -> EventStream[ChatRunEvent]:
        """Iterate over the events of a run, those that were and those to come, until it has ended.

        `last_event_id` is the `sequence` of the last event that is known already. A lost connection is opened
        again, and every event comes once. The iterator can be closed.
        """
        return EventStream(self._engine, runs.run_feed(run_id, last_event_id))

    def wait(self, run_id: str, timeout: float | None = None) -> ChatRunRecord:
        """The record of a run once it has ended or is `waiting_for_user`, whatever its status.

        Raises `SogniTimeoutError` after `timeout` seconds; the run goes on.
        """
        seconds = check_seconds("timeout", timeout)
        return self._engine.run(runs.wait_for_run(run_id, seconds))
