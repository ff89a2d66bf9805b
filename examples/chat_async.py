"""Get several answers concurrently, with asyncio."""

import argparse
import asyncio
import os

from sogni_async import SogniClient

QUESTIONS = [f"What is the capital of {country}?" for country in ("France", "Kenya", "Peru")]


async def answer(client: SogniClient, question: str) -> str:
    stream = await client.chat.completions.create(messages=[{"role": "user", "content": question}], stream=True)
    return "".join([chunk.content async for chunk in stream])


async def main(questions: list[str]) -> None:
    async with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
        for text in await asyncio.gather(*(answer(client, question) for question in questions)):
            print(text)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("questions", nargs="*", default=QUESTIONS, metavar="question", help="default: three capitals")
asyncio.run(main(parser.parse_args().questions))
