"""Everything durable of one emulator, put together: workflows, templates, replay records, on one archive.

Made by the server. It decides nothing; the rules are in the parts.
"""

from __future__ import annotations

from aiohttp import web
from attrs import define

from .archive import Archive
from .hosted import ToolRunner
from .replays import Replays
from .routes_replay import add_replay_routes
from .routes_templates import add_template_routes
from .routes_workflows import add_workflow_routes
from .state import State
from .templates import Templates
from .workflows import Desk, Engine


@define(eq=False)
class Durables:
    """The durable parts. Belongs to the server's event loop."""

    archive: Archive
    engine: Engine
    desk: Desk
    templates: Templates
    replays: Replays

    @classmethod
    def of(cls, state: State, tools: ToolRunner, limit: int) -> Durables:
        """Make the parts and read what an earlier emulator kept; nothing goes on yet."""
        archive = state.archive
        engine = Engine(tools, archive)
        made = cls(archive, engine, Desk(engine, limit), Templates(state, archive), Replays(state.clock, archive))
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
