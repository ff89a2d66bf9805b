"""`python -m sogni`: the same as the command `sogni`."""

from __future__ import annotations

from sogni.cli import main

if __name__ == "__main__":
    main()
