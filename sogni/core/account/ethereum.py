"""Import eth-account without its side effect on the process.

A dependency of eth-account raises the recursion limit of the whole process a hundredfold when it is imported. A deeply
nested frame would then overflow the stack and crash the process instead of being rejected. This is a separate module
because the interpreter runs its import only once at a time, so threads cannot restore each other's limit.
"""

from __future__ import annotations

import sys

MISSING = "signing in with a password needs eth-account, which is not installed: pip install 'sogni[wallet]'"

_limit = sys.getrecursionlimit()
try:
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    # The first key imports its cryptography; do that here, not on a background thread.
    Account.from_key(b"\x01" * 32)
except ImportError:
    raise ImportError(MISSING, name="eth_account") from None
finally:
    sys.setrecursionlimit(_limit)

__all__ = ["Account", "encode_typed_data"]
