"""The modules that background threads use, imported by the thread that starts them.

A process that forks while another thread imports leaves the child with half a module, and with an import lock that
nobody there releases. So nothing is imported for the first time on a background thread, and a fork by another thread
waits for what is being imported here. `import sogni` stays light all the same: the engine calls `load_libraries`
before it starts its first thread.
"""

from __future__ import annotations

import os
import threading

_importing = threading.RLock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_importing.acquire, after_in_parent=_importing.release, after_in_child=_importing.release
    )


def load_libraries() -> None:
    """Import what the reader, transfers and background work need; quick once that is done."""
    with _importing:
        import encodings.idna  # noqa: F401  looking a host name up needs it

        from . import http, reader  # noqa: F401
