"""Drive the published `openai` package through everything that `sogni serve` offers. Prints the answers as JSON.

Environment: URL, KEY, and LIMITED_URL, LIMITED_KEY of a server with limits; PICTURE, a PNG in base64.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import openai
from pydantic import BaseModel

MODEL, IMAGE_MODEL, VOICE_MODEL = (
    "qwen3.6-35b-a3b-gguf-iq4xs",
    "z_image_turbo_bf16",
    "qwen3_tts_1.7b_custom_voice_bf16",
)
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


async def got(value: Any) -> Any:
    """A result, whether it is awaited or not."""
    return await value if inspect.isawaitable(value) else value


async def items(stream: Any) -> list[Any]:
    stream = await got(stream)
    return [it async for it in stream] if hasattr(stream, "__aiter__") else list(stream)


def asked(text: Any) -> Any:
    return [{"role": "user", "content": text}]


class Steps:
    """The steps, for a client of either kind."""

    def __init__(self, client: Any, limited: Any, wrong: Any) -> None:
        self.client, self.limited, self.wrong = client, limited, wrong

    async def models(self) -> Any:
        listed = await items(self.client.models.list())
        return [MODEL in [it.id for it in listed], (await got(self.client.models.retrieve(MODEL))).owned_by]

    async def chat(self) -> Any:
        answer = await got(self.client.chat.completions.create(model=MODEL, messages=asked("Say hello")))
        usage = answer.usage
        return [answer.choices[0].message.content, answer.choices[0].finish_reason, usage.total_tokens > 0]

    async def reasoning(self) -> Any:
        answer = await got(
            self.client.chat.completions.create(model=MODEL, messages=asked("Say hello"), reasoning_effort="low")
        )
        return [answer.choices[0].message.reasoning_content, answer.choices[0].message.content]

    async def stream(self) -> Any:
        options: Any = {"stream": True, "stream_options": {"include_usage": True}}
        made = self.client.chat.completions.create(model=MODEL, messages=asked("Say hello"), **options)
        chunks = await items(made)
        text = "".join(it.choices[0].delta.content or "" for it in chunks if it.choices)
        return [text, len(chunks) > 10, chunks[-1].usage.completion_tokens > 0, chunks[-2].choices[0].finish_reason]

    async def tools(self) -> Any:
        question = asked("What is the weather in Oslo? city=Oslo")
        answer = await got(self.client.chat.completions.create(model=MODEL, messages=question, tools=TOOLS))
        message = answer.choices[0].message
        (call,) = message.tool_calls
        result: Any = {"role": "tool", "tool_call_id": call.id, "content": "Snow."}
        messages = [*question, message, result]
        end = await got(self.client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS))
        arguments = json.loads(call.function.arguments)
        return [
            answer.choices[0].finish_reason,
            call.function.name,
            arguments,
            "Snow." in end.choices[0].message.content,
        ]

    async def tools_streamed(self) -> Any:
        question = asked("What is the weather in Oslo? city=Oslo")
        made = self.client.chat.completions.create(model=MODEL, messages=question, tools=TOOLS, stream=True)
        calls = [it for chunk in await items(made) for it in chunk.choices[0].delta.tool_calls or ()]
        return [calls[0].function.name, json.loads("".join(it.function.arguments for it in calls))]

    async def json_schema(self) -> Any:
        made = self.client.chat.completions.parse(model=MODEL, messages=asked("A kite"), response_format=Kite)
        parsed = (await got(made)).choices[0].message.parsed
        return [type(parsed).__name__, sorted(parsed.model_dump())]

    async def vision(self) -> Any:
        parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": URI}}]
        answer = await got(self.client.chat.completions.create(model=MODEL, messages=asked(parts)))
        return "Images: 64 x 64." in answer.choices[0].message.content

    async def images(self) -> Any:
        made = self.client.images.generate(prompt="a kite", n=2, size="256x256", response_format="url")
        urls = [it.url[:4] for it in (await got(made)).data]
        made = self.client.images.generate(
            prompt="a kite", model=IMAGE_MODEL, size="256x256", quality="low", response_format="b64_json"
        )
        return [urls, kind(base64.b64decode((await got(made)).data[0].b64_json))]

    async def edit(self) -> Any:
        image = ("picture.png", PICTURE, "image/png")
        made = self.client.images.edit(image=[image, image], prompt="at night", response_format="b64_json")
        return kind(base64.b64decode((await got(made)).data[0].b64_json))

    async def partial_images(self) -> Any:
        made = self.client.images.generate(
            prompt="a kite", model=IMAGE_MODEL, size="256x256", stream=True, partial_images=2
        )
        events = await items(made)
        names = [it.type for it in events]
        images = {kind(base64.b64decode(it.b64_json)) for it in events[:-1]}
        return [names[-1], set(names[:-1]) <= {"image_generation.partial_image"}, images <= {"jpeg"}]

    async def edit_streamed(self) -> Any:
        image = ("picture.png", PICTURE, "image/png")
        events = await items(self.client.images.edit(image=image, prompt="at night", stream=True))
        return [events[-1].type, kind(base64.b64decode(events[-1].b64_json))]

    async def speech(self) -> Any:
        made = self.client.audio.speech.create(
            model=VOICE_MODEL, voice="alloy", input="Welcome aboard.", response_format="wav"
        )
        return kind(await got((await got(made)).read()))

    async def video(self) -> Any:
        image = ("picture.png", PICTURE, "image/png")
        made = self.client.videos.create_and_poll(
            prompt="a kite", seconds="2", size="480x480", input_reference=image, poll_interval_ms=100
        )
        video = await got(made)
        content = await got(self.client.videos.download_content(video.id))
        listed = [it.id for it in await items(self.client.videos.list())]
        removed = await got(self.client.videos.delete(video.id))
        return [video.status, video.seconds, kind(await got(content.read())), video.id in listed, removed.deleted]

    async def errors(self) -> Any:
        """Class, status and code of each error."""
        say, long = asked("hi"), asked([{"type": "text", "text": "x" * 2_000_000}])
        create, limited = self.client.chat.completions.create, self.limited.chat.completions.create
        return [
            await refusal(lambda: self.wrong.chat.completions.create(model=MODEL, messages=say)),
            await refusal(lambda: create(model="gpt-4o", messages=say)),
            await refusal(lambda: create(model=MODEL, messages=say, n=2)),
            await refusal(lambda: create(model=MODEL, messages=say, extra_body={"temprature": 1})),
            await refusal(lambda: limited(model=MODEL, messages=long)),
            await refusal(lambda: limited(model=MODEL, messages=say)),
            await refusal(lambda: self.limited.images.generate(prompt="a kite")),
            await refusal(lambda: self.client.embeddings.create(model=MODEL, input="hi")),
        ]


async def refusal(call: Callable[[], Any]) -> Any:
    try:
        await got(call())
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.code]
    return "no error"


def kind(content: bytes) -> str:
    marks = {b"\x89PNG": "png", b"RIFF": "wav", b"\xff\xd8": "jpeg"}
    if content[4:8] == b"ftyp":
        return "mp4"
    return next((name for mark, name in marks.items() if content.startswith(mark)), "another file")


async def main() -> dict[str, Any]:
    """Make every step with both clients."""
    url, key = os.environ["URL"], os.environ["KEY"]
    limits = {"base_url": os.environ["LIMITED_URL"], "api_key": os.environ["LIMITED_KEY"]}
    answers: dict[str, Any] = {}
    for name, client in (("sync", openai.OpenAI), ("async", openai.AsyncOpenAI)):
        steps = Steps(
            client(base_url=url, api_key=key), client(**limits), client(base_url=url, api_key="sk-wrong", max_retries=0)
        )
        for step in [name for name in vars(Steps) if not name.startswith("_")]:
            try:
                answers[f"{name} {step}"] = await getattr(steps, step)()
            except Exception as error:
                answers[f"{name} {step}"] = f"{type(error).__name__}: {error}"
    return answers


if __name__ == "__main__":
    json.dump(asyncio.run(main()), sys.stdout)
