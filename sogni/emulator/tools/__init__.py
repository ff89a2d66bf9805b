"""The hosted tools of the service's agent and of durable workflows, run by this emulator's workers.

``runner`` runs one tool and ``renderer`` renders and cuts media; ``image_tools``, ``video_tools``, ``editing_tools``,
``analysis_tools`` and ``text_tools`` implement the tools. Import the public names from here.
"""

from __future__ import annotations

from sogni.emulator.tools.media_library import Media, MediaLibrary, ToolError, UserNeededError
from sogni.emulator.tools.runner import Payments, ToolCall, ToolOutcome, ToolRunner

__all__ = ["Media", "MediaLibrary", "Payments", "ToolCall", "ToolError", "ToolOutcome", "ToolRunner", "UserNeededError"]
