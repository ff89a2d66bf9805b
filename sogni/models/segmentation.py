"""What SAM 3 is to find in an image (projects-5x §4.8).

Plain data in the caller's words: nothing here checks or sends. `protocol.sam3_rules` does the checking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

Sam3Label = Literal["positive", "negative"]


@frozen(kw_only=True)
class Sam3Point:
    """A point that belongs to what is looked for, or (`negative`) does not; `x` and `y` from 0 to 1."""

    x: float
    y: float
    label: Sam3Label


@frozen(kw_only=True)
class Sam3Box:
    """A box around what is looked for, or (`negative`) around what is not; its sides from 0 to 1, `x0` < `x1`."""

    x0: float
    y0: float
    x1: float
    y1: float
    label: Sam3Label = "positive"


@frozen(kw_only=True)
class Sam3Prompt:
    """What is looked for: `points`, `boxes` or a `text`, which does not go with points; at least one of them.

    - `points`: 32 at most. `boxes`: 16 at most; with points one, which is positive. `text`: 1 to 240 characters.
    - `threshold`: how sure a find must be, from 0 to 1; 0.5 when None.
    - `multimask`: whether several masks are considered, with points only; true when None.
    - `apply_mask`: the cut-out instead of the mask. `max_instances`: finds, from 1 to 16.
    """

    points: Sequence[Sam3Point | Mapping[str, Any]] = ()
    boxes: Sequence[Sam3Box | Mapping[str, Any]] = ()
    text: str | None = None
    threshold: float | None = None
    multimask: bool | None = None
    apply_mask: bool = False
    max_instances: int | None = None
