"""Print an answer while it is being written."""

import argparse
import os

from sogni import SogniClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("question", nargs="?", default="Write 60 words about the sea")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    stream = client.chat.completions.create(messages=[{"role": "user", "content": args.question}], stream=True)
    for chunk in stream:
        print(chunk.content, end="", flush=True)
    print()
    print("by", stream.worker_name)
