"""Namespaces and objects of the asyncio client. Their methods run the flows of `sogni.core`."""

from __future__ import annotations
