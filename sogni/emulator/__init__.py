"""An embedded Supernet for tests, examples and offline work: ``LocalSupernet`` and the classes that script it.

Requires the extra ``emulator`` (aiohttp, Jinja, NumPy, Pillow, PyAV).
"""

from __future__ import annotations

from sogni.keywords import suggest_keywords

_LIBRARIES = {"aiohttp": "aiohttp", "av": "PyAV", "jinja2": "Jinja", "numpy": "NumPy", "PIL": "Pillow"}

try:
    from sogni.emulator.account.accounts import Account, Balance, InsufficientFundsError, NotFreeError
    from sogni.emulator.account.memberships import Membership
    from sogni.emulator.account.rewards import Reward
    from sogni.emulator.chat.script import Answer, Call, ChatScript
    from sogni.emulator.clock import Clock
    from sogni.emulator.faults import Faults
    from sogni.emulator.projects.saved_uploads import UploadLimits
    from sogni.emulator.recorder import RecordedFrame, RecordedRequest, RecordedUpgrade, Violation
    from sogni.emulator.supernet import LocalSupernet
except ModuleNotFoundError as _error:
    _library = _LIBRARIES.get((_error.name or "").partition(".")[0])
    if _library is None:
        raise
    raise ModuleNotFoundError(
        f"the emulator requires {_library}, which is not installed: pip install 'sogni[emulator]'", name=_error.name
    ) from None

__all__ = [
    "Account",
    "Answer",
    "Balance",
    "Call",
    "ChatScript",
    "Clock",
    "Faults",
    "InsufficientFundsError",
    "LocalSupernet",
    "Membership",
    "NotFreeError",
    "RecordedFrame",
    "RecordedRequest",
    "RecordedUpgrade",
    "Reward",
    "UploadLimits",
    "Violation",
]

for _name in __all__:
    suggest_keywords(globals()[_name])
