"""Command line interface of `sogni`. Requires the extra `cli`.

`main` is the entry point of the command `sogni` and of `python -m sogni`.
"""

from __future__ import annotations

import sys
from importlib import import_module

__all__ = ["main"]

_REQUIRED = ("click", "rich")


def main() -> None:
    """Run the command line with the arguments of this process, then exit."""
    try:
        for name in _REQUIRED:
            import_module(name)
        from sogni.cli.program import run
    except ModuleNotFoundError as error:
        if error.name not in _REQUIRED:
            raise
        sys.exit(f"sogni: the command line needs {error.name}, which is not installed: pip install 'sogni[cli]'")
    except KeyboardInterrupt:
        print("sogni: interrupted", file=sys.stderr)
        sys.exit(130)
    run()
