"""Durable workflows: plans, templates and runs that survive restarts.

``service`` decides on requests, ``engine`` carries runs out, and ``runs`` defines their state; the routes are in
``routes.workflows``.
"""

from __future__ import annotations

from sogni.emulator.workflows.engine import Engine
from sogni.emulator.workflows.runs import Run
from sogni.emulator.workflows.service import StartRequest, WorkflowService

__all__ = ["Engine", "Run", "StartRequest", "WorkflowService"]
