"""The language side of one emulator, put together: socket completions, hosted chat, durable runs.

Made by the server. It decides nothing; the rules are in the parts.
"""

from __future__ import annotations

from concurrent.futures import Executor

from aiohttp import web
from attrs import define

from .hosted import ToolRunner
from .job_run import Pace
from .llm.agent import Agent
from .llm.chat_runs import ChatRuns
from .llm.completing import Completer
from .llm.mind import Mind
from .llm.script import ChatScript
from .llm.socket_jobs import SocketJobs
from .routes_chat import add_chat_routes
from .routes_runs import add_run_routes
from .state import State
from .workflows import Desk


@define(eq=False)
class Language:
    """The parts that answer chats. Belongs to the server's event loop."""

    chats: SocketJobs
    agent: Agent
    runs: ChatRuns

    @classmethod
    def of(
        cls,
        state: State,
        tools: ToolRunner,
        desk: Desk,
        pace: Pace,
        *,
        script: ChatScript,
        executor: Executor,
        workers: int,
        token_rate: float,
    ) -> Language:
        """Make the parts; ``token_rate`` is in tokens per second, 0 as fast as possible."""
        completer = Completer(Mind(script, executor), token_rate)
        agent = Agent(completer, tools, desk)
        runs = ChatRuns(state, agent)
        runs.restore()
        return cls(SocketJobs(state, agent, workers, pace), agent, runs)

    def add_routes(self, app: web.Application, state: State) -> None:
        add_chat_routes(app, state, self.agent)
        add_run_routes(app, state, self.runs)

    def clear(self) -> None:
        """End and forget everything."""
        self.runs.clear()
        self.chats.cancel_all()

    async def stop(self) -> None:
        await self.runs.stop()
        await self.chats.stop()
