"""`POST /v1/audio/speech`."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from sogni.serve.costs import Charge
from sogni.serve.errors import FIELDS, invalid, unsupported_value
from sogni.serve.fields import Fields, nearest, shown
from sogni.serve.media import create, finished, parameters
from sogni.serve.requests import Call, Response, cost_headers

if TYPE_CHECKING:
    from sogni.serve.requests import Send
    from sogni_async import Job

_NAMES = {**FIELDS, "positive_prompt": "input", "output_format": "response_format"}
_TYPES: Mapping[str, str] = {"mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac"}
_FOREIGN = ("opus", "aac", "pcm")
CHUNK = 64 * 1024


async def create_speech(call: Call) -> Response:
    """Convert text to speech."""
    call.names = _NAMES
    fields = await call.json()
    text = fields.text("input")
    model = await call.models.resolve(fields.text("model"), "audio")
    voice = await _voice(call, fields, model)
    kind = fields.one_of("response_format", [*_TYPES, *_FOREIGN], "mp3") or "mp3"
    if kind in _FOREIGN:
        raise unsupported_value("response_format", f"response_format must be mp3, wav or flac, got {shown(kind)}.")
    fields.refuse({"speed": ((1, 1.0), "Sogni speaks at the speed of the voice; describe another in instructions")})
    as_events = fields.one_of("stream_format", ("audio", "sse"), "audio") == "sse"
    params: dict[str, Any] = {"type": "audio", "model_id": model, "positive_prompt": text, "speaker": voice}
    params |= {**parameters(fields), "output_format": kind}
    instructions = fields.string("instructions")
    if instructions:
        params["instruct"] = instructions
    fields.end()
    project, charge = await create(call, params)
    jobs = await finished(call, project, charge)
    return _Audio(jobs[0], charge, _TYPES[kind], as_events=as_events)


async def _voice(call: Call, fields: Fields, model: str) -> str:
    value = fields.take("voice")
    name = value.get("id") if isinstance(value, dict) else value
    if not isinstance(name, str) or not name:
        raise invalid("voice", "voice must be the name of a voice.")
    options = await call.client.projects.get_model_options(model)
    if options.speaker is None:
        raise unsupported_value("model", f"model must be one that speaks with given voices, got '{model}'.")
    voices = [str(it) for it in options.speaker.allowed]
    chosen = call.voices.get(name, name)
    if chosen not in voices:
        near = nearest(chosen, voices, 1)
        hint = f" The nearest is {near[0]}." if near else ""
        raise invalid(
            "voice",
            f"voice must be one of {', '.join(voices)}, got {shown(name)}.{hint} "
            "'sogni serve --voice NAME=VOICE' adds a name.",
        )
    return chosen


@frozen
class _Audio(Response):
    """The file with the speech, or events with its parts."""

    job: Job
    charge: Charge
    content_type: str
    as_events: bool

    async def send(self, send: Send) -> None:
        """Send the file."""
        kind = "text/event-stream; charset=utf-8" if self.as_events else self.content_type
        headers = {"content-type": kind, "x-sogni-project-id": self.job.project_id, **cost_headers(self.charge)}
        async with await self.job.open() as file:
            pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": pairs})
            while part := await file.read(CHUNK):
                await send({"type": "http.response.body", "body": self._part(part), "more_body": True})
        await send({"type": "http.response.body", "body": self._end()})

    def _part(self, part: bytes) -> bytes:
        if not self.as_events:
            return part
        return _event({"type": "speech.audio.delta", "audio": base64.b64encode(part).decode()})

    def _end(self) -> bytes:
        if not self.as_events:
            return b""
        usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        return _event({"type": "speech.audio.done", "usage": usage})


def _event(document: Any) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()
