"""The language side of the emulator: models, requests, answers, and the jobs that bring them to a client.

`agent` runs the rounds of a model and its tools, `mind` says what is answered, `socket_jobs` and `chat_runs` carry
requests out; ``script`` is what tests see of it as ``supernet.chat``. ``language`` puts them together.
"""

from __future__ import annotations
