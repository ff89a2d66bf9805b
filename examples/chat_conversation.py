"""Hold a conversation of several turns, save it and continue it later.

Uses the account of SOGNI_API_KEY, or the embedded emulator without one.
"""

import os
from pathlib import Path

from sogni import SogniClient

TALK = Path("talk.json")
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    conversation = client.chat.conversation(system="You are a helpful assistant.", max_tokens=500)
    if TALK.exists():
        conversation.load(TALK)
    for question in ("My name is Ada.", "What is my name?"):
        print(">", question)
        print(conversation.ask(question).content)
    conversation.save(TALK)
    print(len(conversation.messages), "messages")
