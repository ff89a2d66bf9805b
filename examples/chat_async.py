"""Get several answers concurrently, with asyncio.

Uses the account of SOGNI_API_KEY, or the embedded emulator without one.
"""

import asyncio
import os

from sogni_async import SogniClient

QUESTIONS = ["What is 6 times 7?", "What is 100 minus 58?", "What is 84 divided by 2?"]


async def answer(client: SogniClient, question: str) -> str:
    stream = await client.chat.completions.create(messages=[{"role": "user", "content": question}], stream=True)
    return "".join([chunk.content async for chunk in stream])


async def main() -> None:
    async with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
        for text in await asyncio.gather(*(answer(client, question) for question in QUESTIONS)):
            print(text)


asyncio.run(main())
