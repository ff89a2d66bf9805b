"""Completions over the socket: from ``llmJobRequest`` to ``llmJobResult`` or ``llmJobError`` (chat §3, §14.2).

Called by the socket endpoint: with requests, and when connections come and go. It decides who is served when and
what a client gets again that lost its connection; what is said is decided by the mind, what it costs by the bill.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import define, field

from sogni.emulator.account.accounts import Account, decimal_text
from sogni.emulator.chat import completions as bills
from sogni.emulator.chat.agent import Agent, Session, shelf_of
from sogni.emulator.chat.completions import Bill, usage_of
from sogni.emulator.chat.models import LANGUAGE_MODELS
from sogni.emulator.chat.requests import Asking, DeclinedError, check_frame
from sogni.emulator.chat.script import ChatFailure, Telling
from sogni.emulator.connections import RESTART, Connection
from sogni.emulator.projects.request_checks import check_project_id
from sogni.emulator.rendering.workers import Pace
from sogni.emulator.state import State
from sogni.emulator.tools.media_library import ToolError

_log = logging.getLogger(__name__)
_SAME_TURN = 16
"""Pieces sent before others have a turn, when tokens are as fast as possible."""


@define(eq=False)
class ChatJob:
    """One request. ``unwritten`` are the frames, by number, that no socket has taken yet: what a client that comes
    back is sent first."""

    id: str
    app_id: str
    asking: Asking
    bill: Bill
    connection: Connection | None
    failure: ChatFailure | None = None
    worker: str | None = None
    position: int = 0
    said: int = 0
    ended: bool = False
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    session: Session | None = None
    unwritten: dict[int, tuple[str, dict[str, Any]]] = field(factory=dict)
    _count: int = 0

    def usage(self, telling: Telling) -> dict[str, int]:
        return usage_of(self.asking, telling) if self.session is None else dict(self.session.usage)

    def settle(self, telling: Telling) -> dict[str, Any]:
        """Take the price, unless the rounds of a session were paid already, and return the ``cost`` of the result."""
        if self.session is None:
            return self.bill.settle(telling.output_tokens)
        usage = self.session.usage
        price = self.asking.model.price(usage["prompt_tokens"], usage["completion_tokens"])
        return price.settled(self.asking.token)

    def send(self, type: str, payload: Mapping[str, Any]) -> None:
        self._count += 1
        self.unwritten[self._count] = (type, {"jobID": self.id, **payload})
        self._write(self._count)

    def send_again(self) -> None:
        """Send what the last connection did not take."""
        for number in list(self.unwritten):
            self._write(number)

    def _write(self, number: int) -> None:
        connection, (kind, payload) = self.connection, self.unwritten[number]
        if connection is None:
            return
        if not connection.subscriptions.wants(kind):
            del self.unwritten[number]
            return

        def written() -> None:
            # A connection that was replaced may still write what it had; its client is gone.
            if self.connection is connection:
                self.unwritten.pop(number, None)

        connection.send(kind, payload, written)


@define(eq=False)
class SocketJobs:
    """The completions of all clients, and the workers that make them."""

    state: State
    agent: Agent
    workers: int
    pace: Pace
    _jobs: dict[str, ChatJob] = field(factory=dict)
    _waiting: deque[ChatJob] = field(factory=deque)
    _free: deque[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._free = deque(f"local-llm-{n + 1}" for n in range(self.workers))

    def swarm_models(self) -> dict[str, Any]:
        """The payload of ``swarmLLMModels``."""
        return {name: model.info(self.workers) for name, model in LANGUAGE_MODELS.items()}

    # Requests.

    def request(self, connection: Connection, payload: Any) -> None:
        """Act on an ``llmJobRequest`` frame."""
        job_id = payload.get("jobID") if isinstance(payload, dict) else None
        if not isinstance(job_id, str) or not job_id:
            self.state.journal.violation("llmJobRequest $.jobID", "must be a text; nobody can be told of the refusal")
            return
        wrong = check_project_id(job_id)
        if wrong is not None:
            self.state.journal.violation("llmJobRequest $.jobID", wrong)
        if job_id.upper() in self._jobs:
            self.state.journal.violation("llmJobRequest $.jobID", "is the id of a completion that is running")
            return
        try:
            self._accept(connection, job_id.upper(), payload)
        except DeclinedError as declined:
            connection.send("llmJobError", {"jobID": job_id.upper(), **declined.frame()})

    def _accept(self, connection: Connection, id: str, payload: Mapping[str, Any]) -> None:
        checked = check_frame(payload)
        for finding in checked.findings:
            self.state.journal.violation(f"llmJobRequest {finding.where}", finding.message)
        if checked.asking is None:
            raise DeclinedError(checked.error, checked.message)
        asking = checked.asking
        failure = self.agent.completer.mind.script.take(ChatFailure, asking)
        if failure is not None and failure.after_tokens is None:
            raise failure.declined()
        job = ChatJob(id, connection.app_id, asking, Bill.open(connection.account, asking), connection, failure)
        self._jobs[id] = job
        job.send("jobState", {"type": "pending", **self._estimate(job)})
        drop = self.state.faults.take_drop("request_received", -1)
        if drop is not None:
            connection.cut(drop)
        job.position = len(self._waiting) + 1
        job.send("jobState", {"type": "queued", "queuePosition": job.position, **self._estimate(job)})
        self._waiting.append(job)
        self._serve_next()

    def _estimate(self, job: ChatJob) -> dict[str, Any]:
        estimated = bills.estimate(job.asking).in_token(job.asking.token)
        return {"modelId": job.asking.model.id, "estimatedCost": decimal_text(estimated)}

    # Workers.

    def _serve_next(self) -> None:
        while self._free and self._waiting:
            job, worker = self._waiting.popleft(), self._free.popleft()
            job.worker = worker
            job.task = asyncio.get_running_loop().create_task(self._run(job))
            # Also when the task is cancelled before its first step.
            job.task.add_done_callback(partial(self._release, worker))
        for position, job in enumerate(self._waiting, 1):
            if job.position != position:
                job.position = position
                job.send("jobState", {"type": "queued", "queuePosition": position, **self._estimate(job)})

    def _release(self, worker: str, _: object) -> None:
        self._free.append(worker)
        self._serve_next()

    async def _run(self, job: ChatJob) -> None:
        try:
            await self.pace.running.wait()
            job.send("jobState", {"type": "assigned", "workerName": job.worker})
            job.send("jobState", {"type": "jobStarted", "workerName": job.worker})
            started = asyncio.get_running_loop().time()
            telling = await self._answer(job)
            await self._tell(job, telling)
            if job.failure is not None:
                raise job.failure.declined()
            taken = asyncio.get_running_loop().time() - started
            self._end(job, "llmJobResult", self._result(job, telling, taken))
        except DeclinedError as declined:
            job.bill.refund()
            self._end(job, "llmJobError", {**declined.frame(), "workerName": job.worker})
        except Exception as error:
            # A scripted answer that raises ends its own completion, not the worker.
            _log.exception("the emulator could not answer the completion %s", job.id)
            job.bill.refund()
            told = DeclinedError("server_error", f"The worker failed: {type(error).__name__}")
            self._end(job, "llmJobError", {**told.frame(), "workerName": job.worker})

    async def _answer(self, job: ChatJob) -> Telling:
        """Think, or let the service run its tools first; the rounds of that are paid one by one."""
        asking = job.asking
        if not asking.execute_tools or asking.sogni_tools is None:
            return await self.agent.completer.mind.think(asking, f"call-{job.id[:8].lower()}")
        job.bill.refund()
        try:
            library = await shelf_of(self.agent.tools, asking)
        except ToolError as refused:
            raise DeclinedError("invalid_request", refused.message) from refused
        job.session = Session(job.bill.account, asking, job.id, library)
        return await self.agent.run(job.session)

    async def _tell(self, job: ChatJob, telling: Telling) -> None:
        """Send the pieces, each when it is due: the role first, the finish reason and the usage last."""
        loop = asyncio.get_running_loop()
        rate = self.agent.completer.rate_of(job.asking)
        limit = None if job.failure is None else job.failure.after_tokens
        job.send("jobTokens", {"role": "assistant", "content": "", "finishReason": None})
        start = loop.time()
        for number, piece in enumerate(telling.pieces()[:limit], 1):
            if rate:
                await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
            elif number % _SAME_TURN == 0:
                await asyncio.sleep(0)
            await self.pace.running.wait()
            job.said = number
            job.send("jobTokens", {**piece, "finishReason": None})
        if limit is None:
            usage = job.usage(telling)
            job.send("jobTokens", {"content": "", "finishReason": telling.finish_reason, "usage": usage})

    def _result(self, job: ChatJob, telling: Telling, seconds: float) -> dict[str, Any]:
        return {
            "usage": job.usage(telling),
            "timeTaken": round(seconds, 3),
            "cost": job.settle(telling),
            "workerName": job.worker,
        }

    def _end(self, job: ChatJob, type: str, payload: Mapping[str, Any]) -> None:
        job.ended = True
        job.send(type, payload)
        self.state.journal.notify()
        self._forget_done()

    def _forget_done(self) -> None:
        for job in list(self._jobs.values()):
            if job.ended and not job.unwritten:
                self._forget(job.id)

    # Connections.

    def alive(self, account: Account, app_id: str) -> list[str]:
        """The ids of the completions that a client gets handed back."""
        self._forget_done()
        return [job.id for job in self._of(account, app_id)]

    def _of(self, account: Account, app_id: str) -> list[ChatJob]:
        return [job for job in self._jobs.values() if job.bill.account is account and job.app_id == app_id]

    def attach(self, connection: Connection) -> None:
        """Hand a client its completions back: first what it missed, then what comes."""
        for job in self._of(connection.account, connection.app_id):
            job.connection = connection
            if job.timer is not None:
                job.timer.cancel()
                job.timer = None
            job.send_again()

    def detach(self, connection: Connection) -> None:
        """Keep the completions of a client that is gone for a while; a restart forgets them (chat §14.2)."""
        self._forget_done()
        for job in list(self._jobs.values()):
            if job.connection is not connection:
                continue
            job.connection = None
            if connection.end_code == RESTART:
                job.bill.refund()
                self._abandon(job)
            else:
                loop = asyncio.get_running_loop()
                job.timer = loop.call_later(self.agent.completer.mind.script.kept_seconds, self._abandon, job)

    def _abandon(self, job: ChatJob) -> None:
        """Stop a completion nobody waits for; what was said of it is paid."""
        if not job.ended:
            job.bill.settle(job.said)
        if job.task is not None:
            job.task.cancel()
        elif job in self._waiting:
            self._waiting.remove(job)
        self._forget(job.id)

    def _forget(self, id: str) -> None:
        job = self._jobs.pop(id, None)
        if job is not None and job.timer is not None:
            job.timer.cancel()

    def cancel_all(self) -> None:
        """End every completion and free what is held for it."""
        for job in list(self._jobs.values()):
            job.bill.refund()
            self._abandon(job)

    async def stop(self) -> None:
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        self.cancel_all()
        await asyncio.gather(*tasks, return_exceptions=True)
