"""The command line: decides what `sogni …` does and how it ends. Extra: `cli`.

Called by the entry point `sogni` and by `python -m sogni`. It offers nothing that the library does not,
and nothing in the library needs it.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line with the arguments of this process, and exit."""
    try:
        from .program import run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("click", "rich"):
            raise
        sys.exit(f"sogni: the command line needs {missing}, which is not installed: pip install 'sogni[cli]'")
    run()
