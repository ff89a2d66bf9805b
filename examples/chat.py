"""Get one answer from a language model.

Uses the account of SOGNI_API_KEY, or the embedded emulator without one.
"""

import os
import sys

from sogni import SogniClient

question = " ".join(sys.argv[1:]) or "What is 6 times 7?"
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    result = client.chat.completions.create(messages=[{"role": "user", "content": question}], max_tokens=500)
    print(result.content)
    print(f"{result.usage.completion_tokens} tokens, {result.cost.cost_in_token if result.cost else '?'} Sogni")
