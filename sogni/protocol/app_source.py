"""The name of the application a request comes from: decides which header tells it (chat §14.8).

Called for the routes that take it: hosted chats and tools, durable runs, workflows.
"""

from __future__ import annotations

MOST_CHARACTERS = 128


def app_source_headers(source: str | None) -> dict[str, str]:
    """The `X-App-Source` header; none without a source, and none for what no header can carry."""
    fits = source is not None and 0 < len(source) <= MOST_CHARACTERS and source.isascii() and source.isprintable()
    return {"X-App-Source": source} if source is not None and fits else {}
