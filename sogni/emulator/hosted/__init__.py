"""The hosted tools: what the service's agent and durable workflows can make, with this emulator's workers.

`runner` runs one tool; `studio` renders and cuts; `image_tools`, `video_tools`, `cutting_tools` and `looking_tools`
decide what each tool is. Whoever runs tools imports from here.
"""

from .payments import Payments
from .problems import ToolError, UserNeededError
from .runner import ToolCall, ToolOutcome, ToolRunner
from .shelf import Media, Shelf

__all__ = ["Media", "Payments", "Shelf", "ToolCall", "ToolError", "ToolOutcome", "ToolRunner", "UserNeededError"]
