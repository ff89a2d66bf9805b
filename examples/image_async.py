"""The same as image.py with asyncio: a different import, and `await`."""

import asyncio
import os
import sys

from sogni_async import SogniClient


async def main() -> None:
    prompt = " ".join(sys.argv[1:]) or "a lighthouse at dawn"
    async with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
        project = await client.projects.create(
            type="image",
            model_id="krea2_turbo_fp8_scaled",
            positive_prompt=prompt,
            width=1024,
            height=1024,
            steps=8,
            guidance=1,
            token_type="spark",
        )
        await project.wait(progress=True)
        for path in await project.save("out"):
            print(path)


asyncio.run(main())
