"""Durable workflows: plans, templates and runs that survive restarts.

``service`` decides on requests, ``engine`` carries runs out, and ``runs`` defines their state; the routes are in
``routes.workflows``.
"""

from __future__ import annotations
