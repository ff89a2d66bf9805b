"""Calling a function of the user in the middle of a flow: in the event loop, awaited when it can be.

Called by the engine. It decides nothing; what the function raises is logged, so that it is not lost where a flow
goes on without it.
"""

from __future__ import annotations

import inspect
import logging
from typing import Any

from sogni.flows.steps import UserCode

logger = logging.getLogger("sogni")


async def call_user_code(step: UserCode) -> Any:
    """Call it and return what it returns, or what comes of awaiting that."""
    try:
        outcome = step.function(*step.arguments, **step.named)
        return await outcome if inspect.isawaitable(outcome) else outcome
    except Exception:
        logger.exception("%s raised an error", step.what)
        raise
