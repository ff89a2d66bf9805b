"""`client.chat.tools`: executing the tool calls of a language model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from ..flows import tools
from ..flows.steps import compute
from ..flows.transfers import save_addresses
from ..machine.numbered_files import next_number
from ..models.base import TokenType
from ..models.chat import ChatCompletionResult, ToolCall
from ..models.runs import MediaContext
from ..models.tools import ToolExecutionProgress, ToolExecutionResult
from ..protocol.field_checks import without_gaps
from ..protocol.tool_functions import refuse_async
from ..protocol.tool_history import names_of, results_of
from ..protocol.tool_set import as_tool_call
from ..settings import Network, check_seconds


class ChatTools:
    """Tool calls of a language model, executed here through `client.projects`.

    Six of the hosted tools run here: `generate_image`, `edit_image`, `generate_video`, `sound_to_video`,
    `video_to_video` and `generate_music` (`SogniTools.direct`).
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def execute(
        self,
        tool_call: ToolCall | Mapping[str, Any],
        *,
        on_progress: Callable[[ToolExecutionProgress], Any] | None = None,
        timeout: float | None = tools.USUAL_SECONDS,
        token_type: TokenType | None = None,
        network: Network | None = None,
        number_of_media: int = 1,
        media_context: MediaContext | Mapping[str, Any] | None = None,
    ) -> ToolExecutionResult:
        """Execute a call of a hosted tool and wait for its result; a failure is a result, too (tools §4).

        `on_progress` gets a `ToolExecutionProgress`. `timeout` is for everything, in seconds, None for ever;
        when it runs out, or the call is interrupted, the project is canceled. `number_of_media` counts when the call
        names no number.
        `media_context` says what indices in the arguments stand for: a `MediaContext`, or a dict of its
        fields whose entries may be finished jobs as well. A model without workers is replaced by another.
        Raises `ValidationError` only for a tool that is none of Sogni's.

        >>> call = {"id": "1", "function": {"name": "generate_image", "arguments": '{"prompt": "a red kite"}'}}
        >>> client.chat.tools.execute(call).success
        True
        """
        refuse_async(on_progress=on_progress)
        options = tools.ToolOptions(
            on_progress=on_progress,
            timeout=check_seconds("timeout", timeout),
            token_type=token_type,
            network=network,
            number_of_media=number_of_media,
            made=tools.made_from(media_context),
        )
        return self._engine.run(tools.execute_call(as_tool_call(tool_call), options))  # type: ignore[no-any-return]

    def execute_all(
        self,
        tool_calls: Sequence[ToolCall | Mapping[str, Any]],
        *,
        on_tool_call: Callable[[ToolCall], Any] | None = None,
        on_tool_progress: Callable[[ToolCall, ToolExecutionProgress], Any] | None = None,
        on_progress: Callable[[ToolExecutionProgress], Any] | None = None,
        timeout: float | None = tools.USUAL_SECONDS,
        token_type: TokenType | None = None,
        network: Network | None = None,
        number_of_media: int = 1,
        media_context: MediaContext | Mapping[str, Any] | None = None,
    ) -> list[ToolExecutionResult]:
        """Execute calls one after the other; one result for each, in the same order (tools §4.2).

        Calls of tools that are none of Sogni's go to `on_tool_call(call)`, whose text is the result; without
        it, and when it raises, the result is a failure. Progress goes to `on_tool_progress(call, progress)`,
        else to `on_progress(progress)`. `timeout` is for each call; the other options are those of `execute`.
        Raises `ValidationError` for more than 8 calls of tools that run here, before anything is executed.
        """
        refuse_async(on_tool_call=on_tool_call, on_tool_progress=on_tool_progress, on_progress=on_progress)
        options = tools.ToolOptions(
            on_tool_call=on_tool_call,
            on_tool_progress=on_tool_progress,
            on_progress=on_progress,
            timeout=check_seconds("timeout", timeout),
            token_type=token_type,
            network=network,
            number_of_media=number_of_media,
            made=tools.made_from(media_context),
        )
        calls = [as_tool_call(call) for call in without_gaps("tool_calls", tool_calls)]
        return self._engine.run(tools.execute_calls(calls, options))  # type: ignore[no-any-return]

    def save(
        self,
        results: ToolExecutionResult | ChatCompletionResult | Sequence[ToolExecutionResult],
        directory: str | PathLike[str],
    ) -> list[Path]:
        """Download the media of tools into a directory and return the paths, in the order they were made.

        `results` are those of `execute` and `execute_all`, or an answer with `tool_history`. Files are called after
        their tool, `generate_image-0.png`, numbers go on where those in the directory end, and files are there only
        when complete. Addresses are valid for an hour or so;
        later ones raise `ApiError`. Raises `SogniConnectionError` and `OSError`, too.
        """
        made = results_of(results)
        first = self._engine.run(compute("the names of files", lambda: next_number(directory)))
        urls, names = names_of(made, first)

        def path_for(place: int) -> Callable[[str], Path]:
            return lambda suffix: Path(directory) / (names[place] + suffix)

        return self._engine.run(save_addresses(urls, path_for))  # type: ignore[no-any-return]
