"""The command line: decides what `sogni …` does and how it ends. Extra: `cli`.

Called by the entry point `sogni` and by `python -m sogni`. It offers nothing that the library does not,
and nothing in the library needs it.
"""

from __future__ import annotations

import sys
from importlib import import_module

__all__ = ["main"]

_NEEDED = ("click", "rich")


def main() -> None:
    """Run the command line with the arguments of this process, and exit."""
    try:
        for needed in _NEEDED:
            import_module(needed)
        from sogni.cli.program import run
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        sys.exit(f"sogni: the command line needs {error.name}, which is not installed: pip install 'sogni[cli]'")
    except KeyboardInterrupt:
        print("sogni: interrupted", file=sys.stderr)
        sys.exit(130)
    run()
