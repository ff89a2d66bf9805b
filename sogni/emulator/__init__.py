"""An embedded Supernet for tests, examples and offline work: ``LocalSupernet`` and what it is scripted with.

Needs the extra ``emulator`` (aiohttp, NumPy, Pillow).
"""

from __future__ import annotations

import importlib.util

for _module in ("aiohttp", "numpy", "PIL"):
    if importlib.util.find_spec(_module) is None:
        raise ModuleNotFoundError(
            f"the emulator needs {_module}, which is not installed: pip install 'sogni[emulator]'",
            name=_module,
        )

from .accounts import Account, Balance, InsufficientFunds
from .faults import Faults
from .journal import RecordedFrame, RecordedRequest, RecordedUpgrade, Violation
from .supernet import LocalSupernet

__all__ = [
    "Account",
    "Balance",
    "Faults",
    "InsufficientFunds",
    "LocalSupernet",
    "RecordedFrame",
    "RecordedRequest",
    "RecordedUpgrade",
    "Violation",
]
