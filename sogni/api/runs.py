# Generated from sogni_async/api/runs.py by tools/unasync.py. Do not edit.
"""Durable chat runs, which the service continues without a connected client: `client.chat.runs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sogni.api.streams import EventStream
from sogni.core.workflows import runs
from sogni.keywords import suggest_keywords
from sogni.models.base import BillingMode
from sogni.models.chat import ChatMessage, MediaContext
from sogni.models.runs import ChatRunEvent, ChatRunRecord, CostApprovalPreview, RunRuntimeConfig
from sogni.models.workflows import MediaReference
from sogni.settings import Attribution, TokenType, check_seconds
from sogni.transport.engine import Engine


@suggest_keywords
class ChatRuns:
    """Durable chat runs: the service runs the model and its tools. They need no socket.

    Example:
        >>> run = client.chat.runs.create(messages=[{"role": "user", "content": "Say one word"}])
        >>> run = client.chat.runs.wait(run.run_id, timeout=30)
        >>> run.status
        'completed'
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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
        attribution: Attribution | Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> ChatRunRecord:
        """Start a run and return while it is in progress.

        Args:
            messages: Dicts in the OpenAI form, or `ChatMessage` objects.
            tools: Tool definitions in the OpenAI form. Default: none.
            tool_choice: Which tool the model must call, in the OpenAI form. Default: the model decides.
            model: ID of the model. Default: that of the service.
            sampling: Sampling options, for example `{"temperature": 0.5}`.
            media_references: Media for the tools, by http or https URL; see `workflows.upload`.
            media_context: Media that the tools can refer to by index: a `MediaContext`, or a mapping with its fields.
                All entries are http or https URLs.
            max_estimated_capacity_units: Maximum estimate that is accepted, in capacity units. Default: none.
            confirm_cost: Accept the cost in advance. Default: that of the service.
            session_id: ID of the conversation that the run belongs to.
            client_message_id: ID of the message, chosen by the caller.
            token_type: Token that pays, `"sogni"` or `"spark"`. Default: that of the service.
            billing_mode: `"auto"`, `"subscription"` or `"tokens"`. Default: that of the service.
            runtime_config: Further options: a `RunRuntimeConfig`, or a mapping with its fields.
            app_source: Name of the application, as the service records it. Default: that of the client.
            attribution: Origin of this call, for statistics: an `Attribution`, or a mapping with its fields. It takes
                precedence over that of the client, field by field.
            idempotency_key: Calls with the same key start a single run. By default, each call has a new key, so that it
                can be repeated safely after a lost connection.

        Returns:
            The record of the run.

        Raises:
            ValidationError: An argument is invalid, or the service cannot reach a URL. Nothing has been sent.
            ApiError: The service refused the request. It is also a `ChatError` if the service gives a reason.

        Example:
            >>> run = client.chat.runs.create(
            ...     messages=[{"role": "user", "content": "Say one word"}], sampling={"temperature": 0}
            ... )
            >>> client.chat.runs.wait(run.run_id, timeout=30).status
            'completed'
        """
        given = {name: value for name, value in locals().items() if name != "self"}
        return self._engine.run(runs.create_run(given))

    def get(self, run_id: str) -> ChatRunRecord:
        """Fetch the record of a run.

        Args:
            run_id: ID of the run.

        Returns:
            The record.

        Raises:
            NotFoundError: The run does not exist.

        Example:
            >>> run = client.chat.runs.create(messages=[{"role": "user", "content": "Say one word"}])
            >>> client.chat.runs.get(run.run_id).run_id == run.run_id
            True
        """
        return self._engine.run(runs.get_run(run_id))

    def cancel(self, run_id: str, reason: str | None = None) -> ChatRunRecord:
        """Cancel a run.

        Args:
            run_id: ID of the run.
            reason: Reason to record. Default: none.

        Returns:
            The record.

        Raises:
            NotFoundError: The run does not exist.
            ApiError: The service refused the request. It is also a `ChatError` if the service gives a reason.

        Example:
            >>> run = client.chat.runs.create(messages=[{"role": "user", "content": "Count to 1000"}])
            >>> run = client.chat.runs.cancel(run.run_id, reason="no longer needed")
        """
        return self._engine.run(runs.cancel_run(run_id, reason))

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
        """Approve or reject the cost of a run that waits for its user; see `run.waiting.details`.

        Args:
            run_id: ID of the run.
            tool_call_id: The call that waits: `details.tool_call_id`.
            decision: `"confirm"` or `"cancel"`.
            accepted_cost_preview: The preview that the user has seen: `details.cost_approval_preview`, unchanged.
                Required to confirm.
            overrides: Changed arguments of the call.
            reason: Reason to record. Default: none.
            idempotency_key: Calls with the same key count once. By default, each call has a new key, so that it can be
                repeated safely after a lost connection.

        Returns:
            The record.

        Raises:
            ValidationError: An argument is invalid, or the preview is missing. Nothing has been sent.
            ConflictError: The preview is no longer valid. Fetch the run and ask the user again.
            ApiError: The service refused the request. It is also a `ChatError` if the service gives a reason.

        Example:
            >>> run = client.chat.runs.create(
            ...     messages=[{"role": "user", "content": "Create an image of a red kite"}],
            ...     runtime_config={"require_job_confirmation": True},
            ... )
            >>> run = client.chat.runs.wait(run.run_id, timeout=30)
            >>> details = run.waiting.details
            >>> run = client.chat.runs.confirm_cost(
            ...     run.run_id,
            ...     tool_call_id=details.tool_call_id,
            ...     decision="confirm",
            ...     accepted_cost_preview=details.cost_approval_preview,
            ... )
        """
        given = {name: value for name, value in locals().items() if name not in ("self", "run_id")}
        return self._engine.run(runs.confirm_cost(run_id, given))

    def stream_events(self, run_id: str, last_event_id: int | str | None = None) -> EventStream[ChatRunEvent]:
        """Iterate over the events of a run, past and future ones, until it ends.

        Lost connections are re-established, and every event is delivered once. The iterator can be closed.

        Args:
            run_id: ID of the run.
            last_event_id: Start after the event with this `sequence`.

        Returns:
            The stream. Iterating raises an `ApiError` if the service refuses it, and `SogniConnectionError` if the
            service cannot be reached for a long time.

        Raises:
            ValidationError: An argument is invalid.

        Example:
            >>> run = client.chat.runs.create(messages=[{"role": "user", "content": "Say one word"}])
            >>> [event.type for event in client.chat.runs.stream_events(run.run_id)][-1]
            'run_completed'
        """
        return EventStream(self._engine, runs.run_feed(run_id, last_event_id))

    def wait(self, run_id: str, timeout: float | None = None) -> ChatRunRecord:
        """Wait until a run ends or waits for its user (`waiting_for_user`).

        Args:
            run_id: ID of the run.
            timeout: Seconds to wait; None for no limit. A timeout cancels nothing.

        Returns:
            The record, whatever its status.

        Raises:
            NotFoundError: The run does not exist.
            SogniTimeoutError: The run was still in progress after `timeout`.

        Example:
            >>> run = client.chat.runs.create(messages=[{"role": "user", "content": "Say one word"}])
            >>> client.chat.runs.wait(run.run_id, timeout=30).final_response.finish_reason
            'stop'
        """
        seconds = check_seconds("timeout", timeout)
        return self._engine.run(runs.wait_for_run(run_id, seconds))
