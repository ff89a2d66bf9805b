"""Chats: what becomes of a request for a completion (chat §3).

Called by the socket endpoint for each `llmJobRequest`. No language model has workers here, so every
request that is one is declined the way the service declines a model nobody serves.
"""

from __future__ import annotations

from typing import Any

from .connections import Connection
from .journal import Journal


class Chats:
    """Answers requests for completions."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def request(self, connection: Connection, payload: Any) -> None:
        """Decline a request; one without an id has nobody to tell."""
        job_id = payload.get("jobID") if isinstance(payload, dict) else None
        if not isinstance(job_id, str) or not job_id:
            self._journal.violation("llmJobRequest jobID", "is missing")
            return
        model = payload.get("model")
        error, message = "model_unavailable", f"No worker currently serves the language model {model!r}"
        if not isinstance(model, str) or not isinstance(payload.get("messages"), list):
            error, message = "invalid_request", "model must be a text and messages a list"
        connection.send("llmJobError", {"jobID": job_id, "error": error, "error_message": message})
