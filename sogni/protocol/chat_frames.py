"""Frames about chats: decides which completion a frame reaches, and what a drop means for the open ones.

The part of the client state that knows language models; `client_state` mixes it in (chat §3, §6, §7).
"""

from __future__ import annotations

from typing import Any

from ..models.chat import ChatFailure, ChatJobState, LLMModelInfo
from ..models.converter import read
from .chat_state import ChatState, failure_of, lost
from .chores import EndLostChats
from .listeners import Listeners
from .outbox import Outbox

CHAT_EVENTS = frozenset({"token", "completed", "error", "job_state", "models_updated"})
CHAT_MODELS = "chat models"
SURVIVES_DROP = 35.0
"""Seconds an open completion waits for news after a drop (transport §13.3)."""


class ChatFrames:
    """Open completions, the list of language models, and the frames that change them."""

    out: Outbox
    chats: dict[str, ChatState]
    chat_listeners: Listeners
    chat_models: dict[str, LLMModelInfo]
    _ending_chats = False
    """Whether somebody looks after the completions that a drop has left without news."""

    def _swarm_llm_models(self, payload: Any, now: float) -> None:
        """An entry is a number of workers or an object (transport §9); no other is a model."""
        entries = payload if isinstance(payload, dict) else {}
        objects = {
            name: entry if isinstance(entry, dict) else {"workers": entry}
            for name, entry in entries.items()
            if isinstance(entry, dict | int | float)
        }
        self.chat_models = read(dict[str, LLMModelInfo], objects, "the swarmLLMModels frame")
        self.out.tell(self.chat_listeners, "models_updated", dict(self.chat_models))
        self.out.wake(CHAT_MODELS)

    def _chat(self, payload: Any) -> ChatState | None:
        return self.chats.get(payload.get("jobID", "")) if type(payload) is dict else None

    def _job_tokens(self, payload: Any, now: float) -> None:
        chat = self._chat(payload)
        chunk = chat.tokens(payload) if chat is not None else None
        if chunk is not None and self.chat_listeners.has("token"):
            self.out.tell(self.chat_listeners, "token", chunk)

    def _llm_result(self, payload: Any, now: float) -> None:
        chat = self._chat(payload)
        if chat is None:
            return
        try:
            chat.completed(payload)
        finally:
            # Whatever of the frame cannot be read, the answer is at its end.
            del self.chats[chat.id]
            self.out.tell(self.chat_listeners, "completed", chat.final_result)

    def _llm_error(self, payload: Any, now: float) -> None:
        chat = self._chat(payload)
        if chat is not None:
            self._end_chat(chat, failure_of(chat.id, payload), payload)

    def chat_job_state(self, payload: Any) -> bool:
        """A `jobState` frame; False when it is about no open completion."""
        chat = self._chat(payload)
        if chat is None:
            return False
        chat.worker(payload.get("workerName"))
        if self.chat_listeners.has("job_state"):
            self.out.tell(self.chat_listeners, "job_state", read(ChatJobState, payload, "the jobState frame"))
        return True

    def _end_chat(self, chat: ChatState, failure: ChatFailure, payload: Any = None) -> None:
        chat.failed(failure, payload)
        self.chats.pop(chat.id, None)
        self.out.tell(self.chat_listeners, "error", failure)

    def chats_after_drop(self, now: float) -> None:
        """The connection is gone for a while; what is open waits for the next one, but not for ever."""
        for chat in self.chats.values():
            if chat.lost_at is None:
                chat.lost_at = now
        if self.chats and not self._ending_chats:
            self._ending_chats = True
            self.out.begin(EndLostChats())

    def chats_after_return(self, alive: Any) -> None:
        """`authenticated` names the jobs that survived; the others end now. Without a list they go on waiting."""
        if not isinstance(alive, list):
            return
        ids = {str(job_id).upper() for job_id in alive}
        for chat in self._lost_chats():
            if chat.id in ids:
                chat.lost_at = None
            else:
                self._end_chat(chat, lost(chat.id, "the connection was lost and the answer with it"))

    def end_lost_chats(self, now: float) -> float | None:
        """Those nobody has spoken of since the drop for too long; returns the seconds until the next one is due."""
        left: list[float] = []
        for chat in self._lost_chats():
            due = (chat.lost_at or now) + SURVIVES_DROP
            if now < due:
                left.append(due - now)
                continue
            why = "the connection was lost and the service did not speak of the answer again"
            self._end_chat(chat, lost(chat.id, why))
        self._ending_chats = bool(left)
        return min(left, default=None)

    def lost_chats_unwatched(self, why: str) -> None:
        """Nobody looks after the completions without news any more: they end now."""
        self._ending_chats = False
        for chat in self._lost_chats():
            self._end_chat(chat, lost(chat.id, why))

    def _lost_chats(self) -> list[ChatState]:
        """The completions nobody has spoken of since a drop, without those that are yet to be sent."""
        return [chat for chat in self.chats.values() if chat.lost_at is not None and not chat.being_sent]

    def end_chats(self, why: str) -> None:
        """Every completion that waits for an answer fails; one that is yet to be sent is its sender's (chat §14.2)."""
        for chat in [chat for chat in self.chats.values() if not chat.being_sent]:
            self._end_chat(chat, lost(chat.id, why))
