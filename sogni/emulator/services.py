"""The services of one emulator, which its routes use. Made by the server."""

from __future__ import annotations

from attrs import define

from sogni.emulator.chat.agent import Agent
from sogni.emulator.chat.completions import Completer
from sogni.emulator.chat.runs import ChatRuns
from sogni.emulator.chat.socket_jobs import SocketJobs
from sogni.emulator.rendering.workers import WorkerPool
from sogni.emulator.replays import Replays
from sogni.emulator.state import State
from sogni.emulator.tools.runner import ToolRunner
from sogni.emulator.workflows.engine import Workflows
from sogni.emulator.workflows.templates import Templates
from sogni.emulator.worlds import WorldBuilds


@define(eq=False)
class Services:
    """Everything that works. Belongs to the server's event loop."""

    state: State
    pool: WorkerPool
    tools: ToolRunner
    workflows: Workflows
    templates: Templates
    replays: Replays
    agent: Agent
    chats: SocketJobs
    runs: ChatRuns
    worlds: WorldBuilds

    @classmethod
    def of(cls, state: State, completer: Completer, workers: int, workflow_limit: int) -> Services:
        """Create the services with the data saved by an earlier emulator; unfinished work does not resume yet."""
        pool = WorkerPool(state, workers, state.clock)
        tools = ToolRunner(state, pool)
        workflows = Workflows(state, tools, workflow_limit)
        agent = Agent(completer, tools, workflows)
        services = cls(
            state=state,
            pool=pool,
            tools=tools,
            workflows=workflows,
            templates=Templates(state, state.archive),
            replays=Replays(state.clock, state.archive),
            agent=agent,
            chats=SocketJobs(state, agent, workers, state.clock),
            runs=ChatRuns(state, agent),
            worlds=WorldBuilds(state),
        )
        for part in (workflows, services.templates, services.replays, services.runs):
            part.restore()
        return services

    def resume(self) -> None:
        """Resume the unfinished work of an earlier emulator; it needs the URLs of the listeners."""
        self.workflows.resume_all()
        self.runs.resume_all()

    def clear(self) -> None:
        """Cancel and remove everything, including saved data."""
        for part in (self.runs, self.workflows, self.templates, self.replays, self.state.archive, self.worlds):
            part.clear()
        self.chats.cancel_all()
        self.pool.cancel_all()

    async def stop(self) -> None:
        for part in (self.workflows, self.runs, self.chats, self.worlds, self.pool):
            await part.stop()
