"""What a tool made: values between the tools and the runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from .shelf import Media


@frozen
class Made:
    """``results`` go to the user and get numbers; ``parts`` are the clips a composed video consists of; ``facts``
    is what a tool found out."""

    results: Sequence[Media] = ()
    parts: Sequence[Media] = ()
    facts: Mapping[str, Any] = field(factory=dict)
