"""The same as image.py with asyncio: a different import, and `await`."""

import asyncio
import os
import sys

from sogni_async import SogniClient


async def main() -> None:
    prompt = " ".join(sys.argv[1:]) or "a lighthouse at dawn"
    async with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
        project = await client.projects.create(
            type="image", model_id="flux1-schnell-fp8", positive_prompt=prompt, steps=4, width=768, height=512
        )
        await project.wait(progress=True)
        for path in await project.save("out"):
            print(path)


asyncio.run(main())
