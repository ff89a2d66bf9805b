"""Drive LiteLLM through what it offers of `sogni serve`. Prints the answers as JSON.

Environment: URL, KEY, and LIMITED_URL, LIMITED_KEY of a server with limits; PICTURE, a PNG in base64.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import sys
import time
from typing import Any

# Otherwise it fetches a list of prices when it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from pydantic import BaseModel

litellm.telemetry = False
litellm.suppress_debug_info = True

MODEL = "openai/qwen3.6-35b-a3b-gguf-iq4xs"
SERVER: Any = {"api_base": os.environ["URL"], "api_key": os.environ["KEY"]}
PICTURE = base64.b64decode(os.environ["PICTURE"])
URI = f"data:image/png;base64,{os.environ['PICTURE']}"
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


class Kite(BaseModel):
    name: str
    length: int


def asked(text: Any) -> Any:
    return [{"role": "user", "content": text}]


def chat() -> Any:
    answer = litellm.completion(model=MODEL, messages=asked("Say hello"), **SERVER)
    return [answer.choices[0].message.content, answer.usage.total_tokens > 0]


def reasoning() -> Any:
    answer = litellm.completion(
        model=MODEL,
        messages=asked("Say hello"),
        reasoning_effort="low",
        allowed_openai_params=["reasoning_effort"],
        **SERVER,
    )
    return answer.choices[0].message.reasoning_content


async def chat_async() -> Any:
    answer = await litellm.acompletion(model=MODEL, messages=asked("Say hello"), **SERVER)
    return answer.choices[0].message.content


def stream() -> Any:
    chunks = list(litellm.completion(model=MODEL, messages=asked("Say hello"), stream=True, **SERVER))
    return ["".join(it.choices[0].delta.content or "" for it in chunks), len(chunks) > 10]


async def stream_async() -> Any:
    made = await litellm.acompletion(model=MODEL, messages=asked("Say hello"), stream=True, **SERVER)
    chunks = [it async for it in made]
    return ["".join(it.choices[0].delta.content or "" for it in chunks), len(chunks) > 10]


def tools() -> Any:
    question = asked("What is the weather in Oslo? city=Oslo")
    (call,) = litellm.completion(model=MODEL, messages=question, tools=TOOLS, **SERVER).choices[0].message.tool_calls
    return [call.function.name, json.loads(call.function.arguments)]


def json_schema() -> Any:
    answer = litellm.completion(model=MODEL, messages=asked("A kite"), response_format=Kite, **SERVER)
    return sorted(json.loads(answer.choices[0].message.content))


def vision() -> Any:
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": URI}}]
    answer = litellm.completion(model=MODEL, messages=asked(parts), **SERVER)
    return "Images: 64 x 64." in answer.choices[0].message.content


def image() -> Any:
    made = litellm.image_generation(
        model="openai/z_image_turbo_bf16", prompt="a kite", size="256x256", quality="low", **SERVER
    )
    return [it.url[:4] for it in made.data]


def edit() -> Any:
    file = io.BytesIO(PICTURE)
    file.name = "picture.png"
    made = litellm.image_edit(
        model="openai/qwen_image_edit_2511_fp8_lightning", image=[file], prompt="at night", **SERVER
    )
    return [(it.url or "")[:4] or kind(base64.b64decode(it.b64_json)) for it in made.data]


def speech() -> Any:
    made = litellm.speech(
        model="openai/qwen3_tts_1.7b_custom_voice_bf16",
        voice="ryan",
        input="Welcome aboard.",
        response_format="wav",
        **SERVER,
    )
    return kind(made.content)


def video() -> Any:
    made = litellm.video_generation(
        model="openai/wan_v2.2-14b-fp8_t2v_lightx2v", prompt="a kite", seconds="2", size="480x480", **SERVER
    )
    provider: Any = {"custom_llm_provider": "openai", **SERVER}
    status = made.status
    limit = time.monotonic() + 60
    while status in ("queued", "in_progress") and time.monotonic() < limit:
        time.sleep(0.1)
        status = litellm.video_status(video_id=made.id, **provider).status
    return [status, kind(litellm.video_content(video_id=made.id, **provider))]


def errors() -> Any:
    limited = {"api_base": os.environ["LIMITED_URL"], "api_key": os.environ["LIMITED_KEY"]}
    return [
        refusal(model="openai/gpt-4o", **SERVER),
        refusal(model=MODEL, **{**SERVER, "api_key": "sk-wrong"}),
        refusal(model=MODEL, **limited),
    ]


def refusal(**options: Any) -> Any:
    try:
        litellm.completion(messages=asked("hi"), **options)
    except Exception as error:
        return [type(error).__name__, getattr(error, "status_code", None)]
    return "no error"


def kind(content: bytes) -> str:
    if content[4:8] == b"ftyp":
        return "mp4"
    marks = {b"\x89PNG": "png", b"RIFF": "wav", b"\xff\xd8": "jpeg"}
    return next((name for mark, name in marks.items() if content.startswith(mark)), "another file")


async def main() -> dict[str, Any]:
    """Make every step."""
    answers: dict[str, Any] = {}
    steps = (chat, reasoning, chat_async, stream, stream_async, tools, json_schema, vision, image, edit, speech, video)
    for step in (*steps, errors):
        try:
            answers[step.__name__] = await step() if asyncio.iscoroutinefunction(step) else step()
        except Exception as error:
            answers[step.__name__] = f"{type(error).__name__}: {error}"
    return answers


if __name__ == "__main__":
    json.dump(asyncio.run(main()), sys.stdout)
