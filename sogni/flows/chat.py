"""Language models: decides when their list is there (chat, transport §9)."""

from __future__ import annotations

from ..models.chat import LLMModelInfo
from ..protocol.client_state import CHAT_MODELS, CONNECTION, ClientState
from .steps import Flow, change, connect, until


def wait_for_models(timeout: float | None) -> Flow[dict[str, LLMModelInfo]]:
    """The language models as soon as there are any. SogniTimeoutError."""
    yield from change(lambda state, _: state.check_may_connect())
    yield from connect()

    def found(state: ClientState) -> dict[str, LLMModelInfo] | None:
        if not state.chat_models and state.connection.phase == "ended":
            raise state.why_closed()
        return dict(state.chat_models) or None

    return (
        yield from until(
            (CHAT_MODELS, CONNECTION),
            found,
            timeout=timeout,
            phase="ready",
            waiting_for="a language model with workers",
        )
    )
