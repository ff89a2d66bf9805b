"""Separate the reasoning of a language model from its answer while they stream."""

from __future__ import annotations

from sogni.models.answers import ThinkingFilter


class ReasoningFilter(ThinkingFilter):
    """A `ThinkingFilter` that keeps what it removes."""

    def __init__(self) -> None:
        super().__init__()
        self._reasoning = ""
        self._begun = False

    def _visible(self, text: str) -> str:
        if self._thinking:
            self._reasoning += text
        return super()._visible(text)

    def take(self) -> str:
        """Return the reasoning since the last call. Whitespace at both ends of the complete reasoning is dropped."""
        ready = self._reasoning.rstrip()
        self._reasoning = self._reasoning[len(ready) :]
        ready = ready if self._begun else ready.lstrip()
        self._begun = self._begun or bool(ready)
        return ready
