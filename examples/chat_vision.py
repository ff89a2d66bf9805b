"""Ask a question about an image.

Uses the account of SOGNI_API_KEY, or the embedded emulator without one.
"""

import os
import sys

import sogni

with sogni.SogniClient() if os.environ.get("SOGNI_API_KEY") else sogni.SogniClient.local() as client:
    message = {
        "role": "user",
        "content": [
            {"type": "text", "text": "What color is this image?"},
            sogni.image_part(sys.argv[1], resize=True),
        ],
    }
    print(client.chat.completions.create(messages=[message]).content)
