"""Who says what a request is answered with: the test's script, else the tools, else the responder.

Called by the socket jobs, the hosted route and the durable runs, in the server's loop; what takes time runs in the
threads that also render.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from attrs import define, field

from . import structured
from .answers import Answer, Telling, tell
from .asking import Asking
from .messages import as_read
from .responder import Responder
from .script import ChatReply, ChatScript, answer_of
from .tool_choice import ToolChoice


@define(eq=False)
class Mind:
    """Answers requests for all surfaces."""

    script: ChatScript
    executor: Executor
    responder: Responder = field(factory=Responder)

    async def think(self, asking: Asking, call_id: str) -> Telling:
        """Return what is told, cut as the request asks; ``call_id`` begins the ids of tool calls."""
        loop = asyncio.get_running_loop()
        rule = self.script.take(ChatReply, asking)
        answer = await loop.run_in_executor(self.executor, self._answer, asking, rule)
        return tell(answer, limit=asking.output_limit, stops=asking.stop, think=asking.think, call_id=call_id)

    def _answer(self, asking: Asking, rule: ChatReply | None) -> Answer:
        if rule is not None:
            given = rule.answer
            said = given([dict(message) for message in asking.messages]) if callable(given) else given
            if said is not None:
                return answer_of(said)
        asking = asking.saying([as_read(message) for message in asking.messages])
        chosen = ToolChoice(asking).answer()
        if chosen is None:
            return self.responder.answer(asking)
        if asking.response_format is None or chosen.calls:
            return chosen
        told = f"{asking.conversation.question} {chosen.text}"
        return Answer(structured.answer(asking.response_format, told, chosen.text))
