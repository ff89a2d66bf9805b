"""The tools of `sogni chat --tools`: decides what a model may call, what is told of it, and where files go.

Called by the command `chat`. What tools do is told on standard error; results are saved when an answer is whole.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ..models.chat import ToolCall
from ..models.tools import ToolExecutionProgress
from ..protocol.tool_set import SogniTools
from .ending import say
from .output import on_terminal
from .target import writing

if TYPE_CHECKING:
    from ..client import SogniClient

_TOLD = {"creating": "begins", "completed": "is done", "failed": "failed"}


@frozen
class Toolbox:
    """The media tools, and the directory for what they make."""

    directory: Path

    def options(self) -> dict[str, Any]:
        """What a completion is asked with."""
        return {"tools": SogniTools.direct, "auto_execute_tools": True, "on_tool_progress": self.tell}

    def tell(self, call: ToolCall, progress: ToolExecutionProgress) -> None:
        """Say when a tool begins and ends, where a person reads it."""
        if progress.status in _TOLD and on_terminal(sys.stderr):
            say(f"{call.function.name} {_TOLD[progress.status]}")

    def save(self, client: SogniClient, answer: Any) -> list[Path]:
        """Save what was made; reasons of what was not are told."""
        if answer is None:
            return []
        for turn in answer.tool_history or ():
            for result in turn.tool_results:
                if not result.success:
                    say(f"{result.tool_name}: {(result.error or '').removeprefix(f'{result.tool_name}: ')}")
        with writing(self.directory, "what the tools made is not saved"):
            return client.chat.tools.save(answer, self.directory)
