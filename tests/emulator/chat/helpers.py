"""Completions over the socket: requests, and the frames received."""

from __future__ import annotations

import base64
import io
from typing import Any

from attrs import frozen
from PIL import Image

from tests.emulator.wire import Payload, Wire, new_id, of_type

IDENTITY = "I am the Sogni emulator, not a language model."
MODEL = "qwen3.6-35b-a3b-gguf-iq4xs"
ENDS = ("llmJobResult", "llmJobError")


@frozen
class Said:
    """The frames of one completion."""

    job_id: str
    frames: list[tuple[str, Any]]

    @property
    def chunks(self) -> list[Any]:
        return of_type(self.frames, "jobTokens")

    @property
    def text(self) -> str:
        return "".join(chunk["content"] for chunk in self.chunks)

    @property
    def states(self) -> list[str]:
        return [state["type"] for state in of_type(self.frames, "jobState")]

    @property
    def finish_reason(self) -> str | None:
        reasons = [chunk["finishReason"] for chunk in self.chunks]
        return str(reasons[-1]) if reasons else None

    @property
    def result(self) -> Any:
        return of_type(self.frames, "llmJobResult")[0]

    @property
    def error(self) -> Any:
        return of_type(self.frames, "llmJobError")[0]

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Return names and arguments of the tool calls, assembled from deltas (chat §4)."""
        calls: dict[int, tuple[str, str]] = {}
        for chunk in self.chunks:
            for delta in chunk.get("tool_calls", ()):
                name, arguments = calls.get(delta["index"], ("", ""))
                function = delta["function"]
                calls[delta["index"]] = (function.get("name") or name, arguments + function.get("arguments", ""))
        return [calls[index] for index in sorted(calls)]


def user(content: Any) -> Payload:
    return {"role": "user", "content": content}


def system(content: str) -> Payload:
    return {"role": "system", "content": content}


def assistant(content: str) -> Payload:
    return {"role": "assistant", "content": content}


def chat_request(*messages: Payload | str, **changes: Any) -> Payload:
    turns = [user(message) if isinstance(message, str) else message for message in messages]
    return {"jobID": new_id(), "type": "llm", "model": MODEL, "messages": turns, **changes}


def picture(color: str, width: int, height: int, format: str = "PNG") -> str:
    """Return an image as a data URI."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, format)
    return f"data:image/{format.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def seeing(text: str, *urls: str) -> Payload:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return user([{"type": "text", "text": text}, *parts])


def on_delta(wire: Wire, job_id: str) -> Said:
    """Read until the completion has ended."""
    frames = wire.until(lambda name, data: name in ENDS and data["jobID"] == job_id)
    return Said(
        job_id, [(name, data) for name, data in frames if isinstance(data, dict) and data.get("jobID") == job_id]
    )


def ask(wire: Wire, *messages: Payload | str, **changes: Any) -> Said:
    request = chat_request(*messages, **changes)
    wire.send("llmJobRequest", request)
    return on_delta(wire, request["jobID"])
