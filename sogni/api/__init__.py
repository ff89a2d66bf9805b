# Generated from sogni_async/api/__init__.py by tools/unasync.py. Do not edit.
"""Namespaces and objects of the blocking client. Their methods run the flows of `sogni.core`."""

from __future__ import annotations
