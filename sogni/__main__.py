"""Run the command line with `python -m sogni`."""

from __future__ import annotations

from sogni.cli import main

if __name__ == "__main__":
    main()
