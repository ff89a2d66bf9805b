"""Who says what a request is answered with: the test's script, else the tools, else the responder.

Called by the socket jobs, the hosted route and the durable runs, in the server's loop; what takes time runs in the
threads that also render.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from decimal import Decimal
from typing import Any

from attrs import define, field, frozen

from sogni.emulator.account.accounts import ZERO, Account, InsufficientFundsError
from sogni.emulator.chat import structured
from sogni.emulator.chat.messages import as_read
from sogni.emulator.chat.models import Price
from sogni.emulator.chat.requests import Asking, DeclinedError
from sogni.emulator.chat.responder import Responder
from sogni.emulator.chat.script import Answer, ChatFailure, ChatReply, ChatScript, Telling, answer_of, tell
from sogni.emulator.chat.tool_choice import ToolChoice


@define(eq=False)
class ChatModel:
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


# What a completion costs its account: held when it is asked for, settled by what was really said.
#
# Called by the three surfaces. An estimate and a bill of the same tokens are the same amount.


NOT_ENTITLED = "4078"
IN_GRACE = "4080"


@define(eq=False)
class Bill:
    """The bill of one completion. ``covered`` ones are paid by a subscription."""

    account: Account
    asking: Asking
    reserved: Decimal
    covered: bool = False
    _open: bool = True

    @classmethod
    def open(cls, account: Account, asking: Asking) -> Bill:
        """Hold what the completion may cost at most, or raise ``DeclinedError``."""
        if asking.billing == "subscription":
            _demand_subscription(account)
            return cls(account, asking, ZERO, covered=True)
        most = estimate(asking).in_token(asking.token)
        try:
            account.reserve(asking.token, most)
        except InsufficientFundsError as error:
            raise DeclinedError("insufficient_balance", str(error).replace("the project", "the completion")) from error
        return cls(account, asking, most)

    def settle(self, output_tokens: int) -> dict[str, Any]:
        """Take what was used, free the rest; return the ``cost`` of a result."""
        price = self.asking.model.price(self.asking.input_tokens, output_tokens)
        if self.covered:
            price = Price(usd=ZERO, input_tokens=price.input_tokens, output_tokens=output_tokens)
        self._close(price.in_token(self.asking.token))
        return price.settled(self.asking.token)

    def refund(self) -> None:
        """Free everything that is held."""
        self._close(ZERO)

    def _close(self, spent: Decimal) -> None:
        if self._open:
            self._open = False
            if not self.covered:
                self.account.settle(self.asking.token, self.reserved, spent, description="LLM")


def estimate(asking: Asking) -> Price:
    """Return what a completion may cost at most."""
    return asking.model.price(asking.input_tokens, asking.output_limit)


def _demand_subscription(account: Account) -> None:
    membership = account.membership
    if membership is not None and membership.active:
        return
    if membership is not None and membership.status == "grace":
        message = "The renewal of the subscription is being retried; use token billing meanwhile"
        raise DeclinedError("subscription_unavailable", message, IN_GRACE)
    raise DeclinedError("subscription_unavailable", "No active subscription covers this completion", NOT_ENTITLED)


# One completion from start to bill, for the surfaces that have no socket: hosted chat and durable runs.
#
# Called by the agent. A script's failure, the balance and the pace apply as they do on the socket.


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

    mind: ChatModel
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
