"""Durable workflows: plans, templates, runs that survive, and what the service refuses.

`desk` decides on requests, `engine` carries runs out, `runs` is what a run is; the routes are in
``routes_workflows``.
"""

from .desk import Desk, StartRequest
from .engine import Engine
from .runs import Run

__all__ = ["Desk", "Engine", "Run", "StartRequest"]
