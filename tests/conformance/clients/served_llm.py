"""Drive the command `llm` and its Python API through what it offers of `sogni serve`. Prints the answers as JSON.

The model is that of `extra-openai-models.yaml` in LLM_USER_PATH. Environment: PICTURE, a PNG in base64.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import llm

QUESTION = "What is the weather in Oslo?"
WEATHER = 'def get_weather(city: str) -> str:\n    "Get the weather of a city."\n    return f"Snow in {city}."\n'


def run(*arguments: str) -> str:
    """Run the command; returns what it prints."""
    command = [str(Path(sys.executable).with_name("llm")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL, check=False)
    return done.stdout.strip() or done.stderr.strip()


def command() -> dict[str, Any]:
    """The steps of the command."""
    asked = ("-m", "sogni")
    return {
        "command": run(*asked, "Say hello"),
        "command with a schema": sorted(json.loads(run(*asked, "--schema", "name, length int", "A kite"))),
        "command with a tool": "Snow in Oslo." in run(*asked, "--functions", WEATHER, f"{QUESTION} city=Oslo"),
    }


async def package() -> dict[str, Any]:
    """The steps of the Python API."""
    model = llm.get_model("sogni")
    picture = llm.Attachment(type="image/png", content=base64.b64decode(os.environ["PICTURE"]))
    chunks = list(model.prompt("Say hello"))
    later = [it async for it in llm.get_async_model("sogni").prompt("Say hello")]
    return {
        "chat": model.prompt("Say hello", stream=False).text(),
        "stream": ["".join(chunks), len(chunks) > 10],
        "async stream": ["".join(later), len(later) > 10],
        "vision": "Images: 64 x 64." in model.prompt("What?", attachments=[picture]).text(),
        "wrong model": refusal(llm.get_model("other").prompt("hi")),
        "wrong key": refusal(model.prompt("hi", key="sk-wrong")),
    }


def refusal(response: Any) -> Any:
    try:
        response.text()
    except Exception as error:
        return type(error).__name__
    return "no error"


if __name__ == "__main__":
    json.dump({**command(), **asyncio.run(package())}, sys.stdout)
