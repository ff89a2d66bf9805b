"""Serve chats and images with FastAPI.

Answers are streamed while they are written, the progress of an image as server-sent events. Try: curl -N
"http://127.0.0.1:8000/chat?question=Hello" and curl -N "http://127.0.0.1:8000/image?prompt=a+kite".
"""

import argparse
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sogni_async import SogniClient

try:
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse
except ModuleNotFoundError:
    sys.exit("this example needs FastAPI and uvicorn: pip install fastapi uvicorn")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for all requests of the process."""
    async with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as app.state.client:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/chat")
async def chat(question: str) -> StreamingResponse:
    client: SogniClient = app.state.client
    stream = await client.chat.completions.create(messages=[{"role": "user", "content": question}], stream=True)

    async def text() -> AsyncIterator[str]:
        async with stream:  # a browser that leaves ends the stream, too
            async for chunk in stream:
                yield chunk.content

    return StreamingResponse(text(), media_type="text/plain; charset=utf-8")


@app.get("/image")
async def image(prompt: str) -> StreamingResponse:
    client: SogniClient = app.state.client
    project = await client.projects.create(
        type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt=prompt, steps=8, token_type="spark"
    )

    async def events() -> AsyncIterator[str]:
        async for event in project.events():
            if event.name == "progress":
                yield f"event: progress\ndata: {event.value}\n\n"
        for path in await project.save("out"):
            yield f"event: saved\ndata: {path}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s")
    uvicorn.run(app, port=parser.parse_args().port)
