"""Conversations in files: decides that they are JSON, and that a file is whole or not there.

Called by `Conversation.save` and `Conversation.load` in both packages.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ValidationError
from ..models.chat import ImagePart
from ..protocol.field_checks import without_gaps
from .part_files import write_file
from .vision import image_part


def write_conversation(path: str | os.PathLike[str], data: dict[str, Any]) -> Path:
    """Write a conversation; an existing file is replaced. OSError."""
    text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    # A lone surrogate, as models write when half an emoji is cut off, becomes the escape that JSON has for it.
    return write_file(Path(path), text.encode("utf-8", "backslashreplace"))


def read_conversation(path: str | os.PathLike[str]) -> Any:
    """What a file holds. ValidationError when it is not there or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValidationError(
            f"cannot read the conversation {os.fspath(path)}: {why}",
            field="path",
            value=os.fspath(path),
            allowed="a file that `save` wrote",
        ) from error


def image_parts(images: Any) -> list[ImagePart]:
    """Image parts of one image or a list of them; parts that are made already stay as they are."""
    if images is None:
        return []
    given = images if isinstance(images, Sequence) and not isinstance(images, str | bytes | bytearray) else [images]
    return [image if isinstance(image, ImagePart) else image_part(image) for image in without_gaps("images", given)]
