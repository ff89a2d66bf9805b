"""Generate an image with asyncio: image.py with another import, and `await`."""

import argparse
import asyncio
import os

from sogni_async import SogniClient


async def main(prompt: str) -> None:
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


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("prompt", nargs="?", default="a lighthouse at dawn", help="what to draw (default: %(default)s)")
asyncio.run(main(parser.parse_args().prompt))
