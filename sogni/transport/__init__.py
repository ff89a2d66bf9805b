"""The I/O of the blocking front end: the only modules of the package that open sockets and start threads."""

from __future__ import annotations
