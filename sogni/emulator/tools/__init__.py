"""The hosted tools of the service's agent and of durable workflows, run by this emulator's workers.

``runner`` has the table of tools and runs one, ``media_tools`` and ``text_tools`` implement them, ``sizes`` selects
models, sizes and lengths, ``renderer`` renders, ``editing`` joins.
"""

from __future__ import annotations
