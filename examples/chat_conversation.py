"""Hold a conversation of several turns and save it. The next run continues where this one ended."""

import argparse
import os
from pathlib import Path

from sogni import SogniClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--file", type=Path, default="talk.json", help="where it is kept (default: %(default)s)")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    conversation = client.chat.conversation(system="You are a helpful assistant.", max_tokens=500)
    if args.file.exists():
        conversation.load(args.file)
    for question in ("My name is Ada.", "What is my name?"):
        print(">", question)
        print(conversation.ask(question).content)
    conversation.save(args.file)
    print(args.file, "has", len(conversation.messages), "messages")
