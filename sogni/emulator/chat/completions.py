"""One completion: generating the answer, billing it, and delivering it at the configured rate.

Answers come from the test's script, else from the test double; slow work runs in the threads that also render. The
price is reserved at the start and settled by the tokens generated; an estimate and a bill of the same tokens are equal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from decimal import Decimal
from typing import Any

from attrs import define, frozen

from sogni.emulator.account.accounts import ZERO, Account, InsufficientFundsError
from sogni.emulator.account.memberships import coverage_refusal
from sogni.emulator.chat.double import answer_to
from sogni.emulator.chat.models import Price
from sogni.emulator.chat.requests import ChatRequest, DeclinedError
from sogni.emulator.chat.script import Answer, ChatFailure, ChatReply, ChatScript, Completion, answer_of, completion_of


@define(eq=False)
class Bill:
    """The bill of one completion. ``covered`` ones are paid by a subscription."""

    account: Account
    chat_request: ChatRequest
    reserved: Decimal
    covered: bool = False
    _open: bool = True

    @classmethod
    def open(cls, account: Account, chat_request: ChatRequest) -> Bill:
        """Reserve the highest possible price of the completion, or raise ``DeclinedError``."""
        if chat_request.billing == "subscription":
            refused = coverage_refusal(account.membership)
            if refused is not None:
                raise DeclinedError("subscription_unavailable", refused[1], str(refused[0]))
            return cls(account, chat_request, ZERO, covered=True)
        maximum = estimate(chat_request).in_token(chat_request.token)
        try:
            account.funds.reserve(chat_request.token, maximum)
        except InsufficientFundsError as error:
            raise DeclinedError("insufficient_balance", str(error).replace("the project", "the completion")) from error
        return cls(account, chat_request, maximum)

    def settle(self, output_tokens: int) -> dict[str, object]:
        """Charge for what was used and free the rest; return the ``cost`` of a result."""
        price = self.chat_request.model.price(self.chat_request.input_tokens, output_tokens)
        if self.covered:
            price = Price(usd=ZERO, input_tokens=price.input_tokens, output_tokens=output_tokens)
        self._close(price.in_token(self.chat_request.token))
        return price.settled(self.chat_request.token)

    def refund(self) -> None:
        """Free the reservation."""
        self._close(ZERO)

    def _close(self, spent: Decimal) -> None:
        if self._open:
            self._open = False
            if not self.covered:
                self.account.funds.settle(self.chat_request.token, self.reserved, spent, description="LLM")


def estimate(chat_request: ChatRequest) -> Price:
    """Return the highest possible price of a completion."""
    return chat_request.model.price(chat_request.input_tokens, chat_request.output_limit)


_SAME_TURN = 16
"""Pieces sent before other completions get a turn when tokens are as fast as possible."""
OnDelta = Callable[[Mapping[str, Any]], object]


@frozen
class Turn:
    """A completion, its usage, and its bill, which is still to be settled."""

    completion: Completion
    usage: Mapping[str, int]
    bill: Bill

    def settle(self) -> None:
        """Charge the account."""
        self.bill.settle(self.completion.output_tokens)


@define(eq=False)
class Completer:
    """Answers the requests of all endpoints. ``token_rate`` is in tokens per second, 0 is as fast as possible."""

    script: ChatScript
    executor: Executor
    token_rate: float = 0.0

    async def think(self, chat_request: ChatRequest, call_id: str) -> Completion:
        """Return the answer, cut to the limits of the request; ``call_id`` is the prefix of tool call IDs."""
        loop = asyncio.get_running_loop()
        rule = self.script.take(ChatReply, chat_request)
        answer = await loop.run_in_executor(self.executor, _answer, chat_request, rule)
        return completion_of(
            answer, limit=chat_request.output_limit, stops=chat_request.stop, think=chat_request.think, call_id=call_id
        )

    def _rate_of(self, chat_request: ChatRequest) -> float:
        """Return the tokens per second of a completion: the rate of the script, else the emulator's default."""
        scripted = self.script.rate_of(chat_request)
        return self.token_rate if scripted is None else scripted

    async def complete(
        self, account: Account, chat_request: ChatRequest, call_id: str, on_delta: OnDelta | None = None
    ) -> Turn:
        """Answer a request and reserve its price, or raise ``DeclinedError``.

        ``on_delta`` receives the pieces as they are generated.
        """
        failure = self.script.take(ChatFailure, chat_request)
        if failure is not None and failure.after_tokens is None:
            raise failure.to_error()
        bill = Bill.open(account, chat_request)
        try:
            completion = await self.think(chat_request, call_id)
            async for piece in self.paced(chat_request, completion, failure):
                if on_delta is not None:
                    on_delta(piece)
            if failure is not None:
                raise failure.to_error()
        except BaseException:
            bill.refund()
            raise
        return Turn(completion, usage_of(chat_request, completion), bill)

    async def paced(
        self, chat_request: ChatRequest, completion: Completion, failure: ChatFailure | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield each piece when it is due, up to the failure if there is one."""
        loop, rate = asyncio.get_running_loop(), self._rate_of(chat_request)
        start = loop.time()
        for number, piece in enumerate(completion.pieces()[: None if failure is None else failure.after_tokens], 1):
            if rate:
                await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
            elif number % _SAME_TURN == 0:
                await asyncio.sleep(0)
            yield piece


def _answer(chat_request: ChatRequest, rule: ChatReply | None) -> Answer:
    scripted = None if rule is None else rule.answer
    reply = scripted([dict(message) for message in chat_request.messages]) if callable(scripted) else scripted
    return answer_to(chat_request) if reply is None else answer_of(reply)


def usage_of(chat_request: ChatRequest, completion: Completion) -> dict[str, int]:
    """Return the usage of a completion; the total is the sum."""
    prompt, generated = chat_request.input_tokens, completion.output_tokens
    return {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}
