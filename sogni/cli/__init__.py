"""The command line: decides what `sogni …` does and how it ends. Extra: `cli`.

Called by the entry point `sogni` and by `python -m sogni`. It offers nothing that the library does not,
and nothing in the library needs it.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> None:
    """Run the command line with the arguments of this process, and exit."""
    for needed in ("click", "rich"):
        if find_spec(needed) is None:
            sys.exit(f"sogni: the command line needs {needed}, which is not installed: pip install 'sogni[cli]'")
    try:
        from .program import run
    except KeyboardInterrupt:
        print("sogni: interrupted", file=sys.stderr)
        sys.exit(130)
    run()
