"""The chat services and the durable services of one emulator. Made by the server."""

from __future__ import annotations

from attrs import define

from sogni.emulator.chat.agent import Agent
from sogni.emulator.chat.runs import ChatRuns
from sogni.emulator.chat.socket_jobs import SocketJobs
from sogni.emulator.persistence import Archive
from sogni.emulator.replays import Replays
from sogni.emulator.state import State
from sogni.emulator.tools.runner import ToolRunner
from sogni.emulator.workflows.engine import Engine
from sogni.emulator.workflows.service import WorkflowService
from sogni.emulator.workflows.templates import Templates


@define(eq=False)
class ChatServices:
    """Socket completions, hosted chat and durable chat runs. Belongs to the server's event loop."""

    chats: SocketJobs
    agent: Agent
    runs: ChatRuns

    def clear(self) -> None:
        """Cancel and remove everything."""
        self.runs.clear()
        self.chats.cancel_all()

    async def stop(self) -> None:
        await self.runs.stop()
        await self.chats.stop()


@define(eq=False)
class DurableServices:
    """Workflows, templates and replay records in one archive. Belongs to the server's event loop."""

    archive: Archive
    engine: Engine
    workflow_service: WorkflowService
    templates: Templates
    replays: Replays

    @classmethod
    def of(cls, state: State, tools: ToolRunner, limit: int) -> DurableServices:
        """Create the services and read saved data; unfinished work does not resume yet."""
        archive = state.archive
        engine = Engine(tools, archive)
        services = cls(
            archive, engine, WorkflowService(engine, limit), Templates(state, archive), Replays(state.clock, archive)
        )
        services.workflow_service.restore()
        services.templates.restore()
        services.replays.restore()
        return services

    def clear(self) -> None:
        """Remove everything, including saved data."""
        self.engine.clear()
        self.workflow_service.clear()
        self.templates.clear()
        self.replays.clear()
        self.archive.clear()
