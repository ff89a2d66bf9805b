"""Calling a function of the user in the middle of a flow: in the thread that called us.

Called by the engine. It decides nothing; what the function raises is logged, so that it is not lost where a flow
goes on without it.
"""

from __future__ import annotations

import inspect
import logging
from typing import Any

from ..flows.steps import UserCode

logger = logging.getLogger("sogni")


def call_user_code(step: UserCode) -> Any:
    """Call it and return what it returns. TypeError for a coroutine: nobody here awaits it."""
    try:
        outcome = step.function(*step.arguments, **step.named)
        if inspect.isawaitable(outcome):
            if inspect.iscoroutine(outcome):
                outcome.close()
            raise TypeError(f"{step.what} returned {type(outcome).__name__}, which only sogni_async can await")
    except Exception:
        logger.exception("%s raised an error", step.what)
        raise
    return outcome
