"""One completion from start to bill, for the surfaces that have no socket: hosted chat and durable runs.

Called by the agent. A script's failure, the balance and the pace apply as they do on the socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, frozen

from ..accounts import Account
from .answers import Telling
from .asking import Asking
from .bills import Bill
from .mind import Mind
from .script import ChatFailure

Hear = Callable[[Mapping[str, Any]], object]


@frozen
class Turn:
    """One completion: what was told, what it took, and the bill, which is still to be settled."""

    telling: Telling
    usage: Mapping[str, int]
    bill: Bill

    def settle(self) -> None:
        """Take the price."""
        self.bill.settle(self.telling.output_tokens)


@define(eq=False)
class Completer:
    """Makes completions. ``token_rate`` is in tokens per second, 0 as fast as possible."""

    mind: Mind
    token_rate: float = 0.0

    def rate_of(self, asking: Asking) -> float:
        """Return the tokens per second of a completion: what a script set last, else the emulator's own."""
        scripted = self.mind.script.rate_of(asking)
        return self.token_rate if scripted is None else scripted

    async def complete(self, account: Account, asking: Asking, call_id: str, hear: Hear | None = None) -> Turn:
        """Answer a request and hold its price, or raise ``DeclinedError``. ``hear`` gets the pieces as they come."""
        failure = self.mind.script.take(ChatFailure, asking)
        if failure is not None and failure.after_tokens is None:
            raise failure.declined()
        bill = Bill.open(account, asking)
        try:
            telling = await self.mind.think(asking, call_id)
            await self._tell(asking, telling, hear, None if failure is None else failure.after_tokens)
            if failure is not None:
                raise failure.declined()
        except BaseException:
            bill.refund()
            raise
        return Turn(telling, usage_of(asking, telling), bill)

    async def _tell(self, asking: Asking, telling: Telling, hear: Hear | None, limit: int | None) -> None:
        loop, rate = asyncio.get_running_loop(), self.rate_of(asking)
        start = loop.time()
        for number, piece in enumerate(telling.pieces()[:limit], 1):
            if rate:
                await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
            if hear is not None:
                hear(piece)


def usage_of(asking: Asking, telling: Telling) -> dict[str, int]:
    """The usage of a completion; the total is the sum."""
    read, said = asking.input_tokens, telling.output_tokens
    return {"prompt_tokens": read, "completion_tokens": said, "total_tokens": read + said}
