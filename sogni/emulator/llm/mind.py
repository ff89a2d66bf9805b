"""Who says what a request is answered with: the test's script, else the tools, else the responder.

Called by the socket jobs, the hosted route and the durable runs, in the server's loop; what takes time runs in the
threads that also render.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from attrs import define, field

from .answers import Answer, Telling, tell
from .asking import Asking
from .responder import Responder
from .script import ChatReply, ChatScript, answer_of


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
        return self.responder.answer(asking)
