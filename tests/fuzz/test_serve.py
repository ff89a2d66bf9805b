"""Requests to `sogni serve` in which fields have other types and values than they should: each has an answer."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from sogni.emulator import LocalSupernet

pytest.importorskip("starlette", reason="the extra 'serve' is not installed")

from sogni.serve.service import Service
from tests.serve.asgi import KEY, Caller

pytestmark = pytest.mark.fuzz

REQUESTS = 1500
CHAT, GENERATIONS, EDITS = "/v1/chat/completions", "/v1/images/generations", "/v1/images/edits"
SPEECH, VIDEOS = "/v1/audio/speech", "/v1/videos"
MODEL = "qwen3.6-35b-a3b-gguf-iq4xs"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5},
    GENERATIONS: {"prompt": "a kite", "size": "256x256"},
    EDITS: {"prompt": "a kite"},
    SPEECH: {"model": "qwen3_tts_1.7b_custom_voice_bf16", "input": "hi", "voice": "ryan"},
    VIDEOS: {"prompt": None, "seconds": "1"},
}
FIELDS = {
    CHAT: (
        "messages stream stream_options tools tool_choice response_format max_tokens temperature stop reasoning_effort "
        "chat_template_kwargs top_k n seed"
    ),
    GENERATIONS: (
        "prompt n size quality response_format output_format stream partial_images background sogni model mask "
        "output_compression"
    ),
    EDITS: "prompt image images n size sogni mask model",
    SPEECH: "input voice response_format speed instructions sogni stream_format",
    VIDEOS: "seconds size input_reference sogni model",
}
KEYS = [
    "type",
    "text",
    "image_url",
    "url",
    "role",
    "content",
    "function",
    "name",
    "json_schema",
    "schema",
    "seed",
    "steps",
    "loras",
    "enable_thinking",
    "include_usage",
    "id",
    "parameters",
    "tool_calls",
    "arguments",
    "fps",
    "network",
    "sampler",
    "lora_strengths",
    "guidance",
]
NUMBERS = [0, 1, -1, 2**70, 10**400, 1.5, 1e308, -0.0]
STRINGS = [
    "",
    "x",
    "�",
    "\x00",
    "256x256",
    "0x0",
    "99999x99999",
    "auto",
    "NaN",
    "-1",
    "http://a",
    "/etc/hosts",
    "data:,",
    "data:image/png;base64,",
    "user",
    "assistant",
    "tool",
    "text",
    "image_url",
    "function",
    "json_schema",
    "b64_json",
    "png",
    "low",
    "wav",
    "krea2_turbo_fp8_scaled",
]


class Values:
    """Random values."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        kind = self.random.randrange(10)
        if kind < 3 and depth < 3:
            return [self.value(depth + 1) for _ in range(self.random.randrange(3))]
        if kind < 6 and depth < 3:
            return {self.random.choice(KEYS): self.value(depth + 1) for _ in range(self.random.randrange(4))}
        return self.random.choice([None, True, False, self.random.choice(NUMBERS), *[self.random.choice(STRINGS)] * 4])

    def request(self) -> tuple[str, dict[str, Any]]:
        path = self.random.choice(list(BODIES))
        names = self.random.sample(FIELDS[path].split(), 2)
        return path, {**BODIES[path], **{name: self.value() for name in names}}


@pytest.mark.parametrize("seed", [1, 2])
async def test_any_request_has_an_answer(seed: int) -> None:
    values = Values(seed)
    with LocalSupernet(step_time=0) as supernet:
        async with supernet.async_client() as client:
            await client.connect()
            call = Caller(Service(client, KEY))
            for _ in range(REQUESTS):
                path, body = values.request()
                reply = await asyncio.wait_for(call("POST", path, json.dumps(body).encode()), 30)
                assert reply.status < 500, (path, body, reply.body)
                assert reply.status == 200 or reply.error["message"]
            await call.service.videos.close()
