"""The base class of the kinds of media, each of which checks requests and makes files in its own way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from sogni.emulator.media.codecs import form_of_role, misplaced, unreadable
from sogni.emulator.projects.orders import Order, Product
from sogni.emulator.projects.request_checks import Reading


class MediaKind(ABC):
    """One kind of media, registered under its ``Media`` name."""

    @abstractmethod
    def check(self, reading: Reading) -> Order | None:
        """Read a request; problems are added to the findings of the readers. None if no order can be built."""

    def wrong_uploads(self, inputs: Mapping[str, Path]) -> str | None:
        """Return a message about an upload whose first bytes do not fit its role, or None."""
        return misplaced(inputs)

    def broken_input(self, inputs: Mapping[str, Path]) -> str | None:
        """Return a message about an upload that a worker cannot read, or None. Runs in a thread."""
        for role, path in inputs.items():
            reason = unreadable(path, form_of_role(role))
            if reason:
                return f"{role}: {reason}"
        return None

    @abstractmethod
    def result(self, order: Order, seed: int, inputs: Mapping[str, Path]) -> Product:
        """Return the result for a seed."""

    def preview(self, order: Order, seed: int, inputs: Mapping[str, Path], done: float) -> Product | None:
        """Return a preview of the result after a share of the work, 0 to 1."""
        return None
