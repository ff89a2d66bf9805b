"""The hosted tools: what the service's agent and durable workflows can make, with this emulator's workers.

`runner` runs one tool; `studio` renders and cuts; `image_tools`, `video_tools`, `cutting_tools` and `looking_tools`
decide what each tool is. Whoever runs tools imports from here.
"""

from __future__ import annotations

from sogni.emulator.tools.media_library import Media, MediaLibrary, ToolError, UserNeededError
from sogni.emulator.tools.runner import Payments, ToolCall, ToolOutcome, ToolRunner

__all__ = ["Media", "MediaLibrary", "Payments", "ToolCall", "ToolError", "ToolOutcome", "ToolRunner", "UserNeededError"]
