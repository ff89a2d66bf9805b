"""`client.chat`: the language models of the network."""

from __future__ import annotations

from typing import Any

from ..flows import chat
from ..models.chat import LLMModelInfo
from ..protocol.client_state import CHAT_EVENTS
from ..protocol.listeners import Listeners
from ..protocol.views import Listening


class Chat(Listening):
    """Language models with workers now.

    Event: `models_updated` (dict of `LLMModelInfo` by id). `token`, `completed`, `error` and `job_state`
    are the events of completions.
    """

    _events = CHAT_EVENTS

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def _listeners(self) -> Listeners:
        return self._engine.state.chat_listeners  # type: ignore[no-any-return]

    def _heard(self) -> None:
        self._engine.state.listen()

    @property
    def models(self) -> dict[str, LLMModelInfo]:
        """Language models with workers now, by id, as last announced; empty before the socket has connected."""
        return dict(self._engine.state.chat_models)

    def wait_for_models(self, timeout: float | None = 10) -> dict[str, LLMModelInfo]:
        """The language models, as soon as any is announced; connects when needed.

        Raises `SogniTimeoutError` after `timeout` seconds.
        """
        return self._engine.run(chat.wait_for_models(timeout))  # type: ignore[no-any-return]
