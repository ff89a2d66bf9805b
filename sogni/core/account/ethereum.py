"""The signing library, without what its import does to the process.

Imported by whoever derives a wallet or checks a signature, at that moment; ImportError names the extra. A library
below eth-account raises the recursion limit of the whole process a hundredfold when it is imported. With that, a
deeply nested frame would overflow the stack and end the process, instead of being refused. This is a module of
its own because the interpreter runs one import of it at a time: threads cannot restore each other's limit.
"""

from __future__ import annotations

import sys

MISSING = "signing in with a password needs eth-account, which is not installed: pip install 'sogni[wallet]'"

_limit = sys.getrecursionlimit()
try:
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    # Its cryptography is imported by the first key, which a background thread may derive.
    Account.from_key(b"\x01" * 32)
except ImportError:
    raise ImportError(MISSING, name="eth_account") from None
finally:
    sys.setrecursionlimit(_limit)

__all__ = ["Account", "encode_typed_data"]
