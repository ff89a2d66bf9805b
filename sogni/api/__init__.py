# Generated from sogni_async/api/__init__.py by tools/unasync.py. Do not edit.
"""The namespaces and handles of the blocking client: one-line methods over the flows."""

from __future__ import annotations
