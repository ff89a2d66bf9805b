"""Durable workflows: plans, templates, runs that survive, and what the service refuses.

`desk` decides on requests, `engine` carries runs out, `runs` is what a run is; the routes are in
``routes_workflows``.
"""

from __future__ import annotations

from sogni.emulator.workflows.engine import Engine
from sogni.emulator.workflows.runs import Run
from sogni.emulator.workflows.service import StartRequest, WorkflowService

__all__ = ["Engine", "Run", "StartRequest", "WorkflowService"]
