"""The language side of the emulator: models, requests, answers, and the jobs that bring them to a client.

``state.llm`` holds what the routes and the socket need of it; ``script`` is what tests see of it as
``supernet.chat``.
"""
