"""The language side of one emulator, put together: socket completions, hosted chat, durable runs.

Made by the server. It decides nothing; the rules are in the parts.
"""

from __future__ import annotations

from concurrent.futures import Executor

from aiohttp import web
from attrs import define

from sogni.emulator.chat.agent import Agent
from sogni.emulator.chat.completions import ChatModel, Completer
from sogni.emulator.chat.runs import ChatRuns
from sogni.emulator.chat.script import ChatScript
from sogni.emulator.chat.socket_jobs import SocketJobs
from sogni.emulator.persistence import Archive
from sogni.emulator.rendering.workers import Pace
from sogni.emulator.replays import Replays
from sogni.emulator.routes.chat import add_chat_routes, add_run_routes
from sogni.emulator.routes.workflows import add_replay_routes, add_template_routes, add_workflow_routes
from sogni.emulator.state import State
from sogni.emulator.tools.runner import ToolRunner
from sogni.emulator.workflows.engine import Engine
from sogni.emulator.workflows.service import WorkflowService
from sogni.emulator.workflows.templates import Templates


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
        desk: WorkflowService,
        pace: Pace,
        *,
        script: ChatScript,
        executor: Executor,
        workers: int,
        token_rate: float,
    ) -> Language:
        """Make the parts; ``token_rate`` is in tokens per second, 0 as fast as possible."""
        completer = Completer(ChatModel(script, executor), token_rate)
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


# Everything durable of one emulator, put together: workflows, templates, replay records, on one archive.
#
# Made by the server. It decides nothing; the rules are in the parts.


@define(eq=False)
class DurableServices:
    """The durable parts. Belongs to the server's event loop."""

    archive: Archive
    engine: Engine
    desk: WorkflowService
    templates: Templates
    replays: Replays

    @classmethod
    def of(cls, state: State, tools: ToolRunner, limit: int) -> DurableServices:
        """Make the parts and read what an earlier emulator kept; nothing goes on yet."""
        archive = state.archive
        engine = Engine(tools, archive)
        made = cls(
            archive, engine, WorkflowService(engine, limit), Templates(state, archive), Replays(state.clock, archive)
        )
        made.desk.restore()
        made.templates.restore()
        made.replays.restore()
        return made

    def add_routes(self, app: web.Application, state: State) -> None:
        # ``templates`` would be the id of a workflow otherwise.
        add_template_routes(app, state, self.templates)
        add_workflow_routes(app, state, self.desk, self.templates)
        add_replay_routes(app, state, self.replays)

    def clear(self) -> None:
        """Forget everything, also what was kept."""
        self.engine.clear()
        self.desk.clear()
        self.templates.clear()
        self.replays.clear()
        self.archive.clear()
