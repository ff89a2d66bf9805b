"""Get one answer from a language model, and what it cost."""

import argparse
import os

from sogni import SogniClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("question", nargs="?", default="What is 6 times 7?")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    result = client.chat.completions.create(messages=[{"role": "user", "content": args.question}], max_tokens=500)
    print(result.content)
    print(f"{result.usage.completion_tokens} tokens, {result.cost.cost_in_token if result.cost else '?'} Sogni")
