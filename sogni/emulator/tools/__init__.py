"""The hosted tools of the service's agent and of durable workflows, run by this emulator's workers.

``runner`` has the table of tools and runs one, ``media_tools`` and ``text_tools`` implement them, ``sizes`` selects
models, sizes and lengths, ``renderer`` renders, ``editing`` joins. Import the public names from here.
"""

from __future__ import annotations

from sogni.emulator.tools.media_library import Media, MediaLibrary, ToolError, UserNeededError
from sogni.emulator.tools.runner import Payments, ToolCall, ToolOutcome, ToolRunner

__all__ = ["Media", "MediaLibrary", "Payments", "ToolCall", "ToolError", "ToolOutcome", "ToolRunner", "UserNeededError"]
