"""A conversation as data: what is saved, and loaded again."""

from __future__ import annotations

from attrs import field, frozen

from .base import Model
from .chat import ChatMessage


@frozen(kw_only=True)
class ConversationRecord(Model):
    """All that was said, without the options it was asked with."""

    model: str
    system: str | None = None
    messages: list[ChatMessage] = field(factory=list)
