"""Drive LangChain's `ChatOpenAI` through what it offers of `sogni serve`. Prints the answers as JSON.

Environment: URL, KEY, and LIMITED_URL, LIMITED_KEY of a server with limits; PICTURE, a PNG in base64.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

MODEL = "qwen3.6-35b-a3b-gguf-iq4xs"
URI = f"data:image/png;base64,{os.environ['PICTURE']}"
QUESTION = "What is the weather in Oslo? city=Oslo"


class Kite(BaseModel):
    """A kite."""

    name: str
    length: int


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return "Snow."


def model(**options: Any) -> ChatOpenAI:
    return ChatOpenAI(**{"model": MODEL, "base_url": os.environ["URL"], "api_key": os.environ["KEY"], **options})


async def steps() -> dict[str, Any]:
    """Make every step."""
    chat = model()
    answer = chat.invoke("Say hello")
    chunks = list(chat.stream("Say hello"))
    later = [it async for it in chat.astream("Say hello")]
    called = chat.bind_tools([get_weather]).invoke(QUESTION)
    whole = None
    async for chunk in chat.bind_tools([get_weather]).astream(QUESTION):
        whole = chunk if whole is None else whole + chunk
    parts: Any = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": URI}}]
    limited = model(base_url=os.environ["LIMITED_URL"], api_key=os.environ["LIMITED_KEY"])
    return {
        "chat": [answer.text, answer.usage_metadata["total_tokens"] > 0],
        "async chat": (await chat.ainvoke("Say hello")).text,
        "stream": ["".join(it.text for it in chunks), len(chunks) > 10],
        "async stream": ["".join(it.text for it in later), len(later) > 10],
        "tools": [[it["name"], it["args"]] for it in called.tool_calls],
        "tools streamed": [[it["name"], it["args"]] for it in whole.tool_calls],
        "json_schema": sorted(dict(chat.with_structured_output(Kite, method="json_schema").invoke("A kite"))),
        "json by tool": sorted(dict(chat.with_structured_output(Kite, method="function_calling").invoke("A kite"))),
        "vision": "Images: 64 x 64." in (await chat.ainvoke([HumanMessage(content=parts)])).text,
        "limit": refusal(limited),
        "wrong key": refusal(model(api_key="sk-wrong")),
    }


def refusal(chat: ChatOpenAI) -> Any:
    try:
        chat.invoke("hi")
    except Exception as error:
        return [type(error).__name__, getattr(error, "status_code", None)]
    return "no error"


if __name__ == "__main__":
    json.dump(asyncio.run(steps()), sys.stdout)
