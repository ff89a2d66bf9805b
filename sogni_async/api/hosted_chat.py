"""`client.chat.hosted`: answers and tools over REST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Unpack

from sogni.flows.hosted_chat import hosted_completion, run_hosted_tool
from sogni.machine.run_recording import asking
from sogni.models.chat_options import HostedFields
from sogni.models.hosted_chat import HostedChatCompletionResult, HostedToolExecution
from sogni.protocol.chat_request import DEFAULT_MODEL


class HostedChat:
    """Chats that the service answers over REST, running its own tools if asked to; never streaming."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    async def create(
        self,
        *,
        messages: Sequence[Any],
        model: str = DEFAULT_MODEL,
        stream: Literal[False] | None = None,
        timeout: float | None = 300,
        **options: Unpack[HostedFields],
    ) -> HostedChatCompletionResult:
        """Ask a language model over REST; returns the whole answer in the OpenAI form.

        Takes the options of `completions.create`, and `media_references`, `api_media_references` and
        `chat_template_kwargs`, which outranks `think` (chat §11.1). `sogni_tools` offers the service's tools,
        `sogni_tool_execution=True` has the service run them. `timeout` is in seconds.

        Raises `TypeError` for an unknown option, `ValidationError` for `stream=True` and for what cannot be sent,
        `ApiError` when the service declines, which is a `ChatError` as well where it says why (chat §14.4).
        Nothing is asked a second time by itself.
        """
        with asking(self._engine, model, messages) as asked:
            flow = hosted_completion(model, messages, options, stream, timeout)
            asked.answer = await self._engine.run(flow)
            return asked.answer  # type: ignore[no-any-return]

    async def execute_tool(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        token_type: Literal["sogni", "spark", "auto"] | None = None,
        safe_content_filter: bool | None = None,
        app_source: str | None = None,
        timeout: float | None = 300,
    ) -> HostedToolExecution:
        """Have the service run one tool without a language model (chat §14.5).

        Known are `enhance_prompt`, `compose_script`, `compose_lyrics`, `compose_instrumental`, `compose_workflow`
        and `compose_workflow_template`. What it gave is `data.result`. Raises `ValidationError`, `ApiError`.
        """
        flow = run_hosted_tool(
            tool,
            arguments,
            timeout,
            app_source,
            token_type=token_type,
            safe_content_filter=safe_content_filter,
        )
        return await self._engine.run(flow)  # type: ignore[no-any-return]
