"""The namespaces and handles of the asyncio client: one-line methods over the flows."""

from __future__ import annotations
