"""Chat of the emulator: language models, request checks, generated answers, and the jobs that deliver them.

``completions`` answers and bills a request, ``agent`` runs the rounds of a model and its tools, ``socket_jobs`` and
``runs`` carry requests out, and ``script`` is what tests see as ``supernet.chat``.
"""

from __future__ import annotations
