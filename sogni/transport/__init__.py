"""The blocking shell: the only modules that open sockets and start threads."""

from __future__ import annotations
