"""Print an answer while it is being written.

Uses the account of SOGNI_API_KEY, or the embedded emulator without one.
"""

import os
import sys

from sogni import SogniClient

question = " ".join(sys.argv[1:]) or "Write 60 words about the sea"
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    stream = client.chat.completions.create(messages=[{"role": "user", "content": question}], stream=True)
    for chunk in stream:
        print(chunk.content, end="", flush=True)
    print()
    print("by", stream.worker_name)
