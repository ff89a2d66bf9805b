"""An embedded Supernet for tests, examples and offline work: ``LocalSupernet`` and what it is scripted with.

Needs the extra ``emulator`` (aiohttp, NumPy, Pillow, PyAV).
"""

from __future__ import annotations

_LIBRARIES = {"aiohttp": "aiohttp", "av": "PyAV", "numpy": "NumPy", "PIL": "Pillow"}

try:
    from .accounts import Account, Balance, InsufficientFundsError, NotFreeError
    from .faults import Faults
    from .journal import RecordedFrame, RecordedRequest, RecordedUpgrade, Violation
    from .llm.answers import Answer, Call
    from .llm.script import ChatScript
    from .memberships import Membership
    from .rewards import Reward
    from .supernet import LocalSupernet
except ModuleNotFoundError as error:
    _library = _LIBRARIES.get((error.name or "").partition(".")[0])
    if _library is None:
        raise
    raise ModuleNotFoundError(
        f"the emulator needs {_library}, which is not installed: pip install 'sogni[emulator]'", name=error.name
    ) from None

__all__ = [
    "Account",
    "Answer",
    "Balance",
    "Call",
    "ChatScript",
    "Faults",
    "InsufficientFundsError",
    "LocalSupernet",
    "Membership",
    "NotFreeError",
    "RecordedFrame",
    "RecordedRequest",
    "RecordedUpgrade",
    "Reward",
    "Violation",
]
