"""Numbers in file names: decides where those of a directory go on, so that no earlier file is replaced.

Called by `chat.tools.save` of both packages. It reads a directory and writes nothing.
"""

from __future__ import annotations

import os
import re

_NUMBERED = re.compile(r"[a-z_]+-(\d{1,9})\.\w+")


def next_number(directory: str | os.PathLike[str]) -> int:
    """The number after the highest one in names like `generate_image-3.png`; 0 for a directory without any."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return 0
    return max((int(found[1]) + 1 for found in map(_NUMBERED.fullmatch, names) if found), default=0)
