"""Generate an image from a prompt.

Uses the account of SOGNI_API_KEY, or the embedded emulator without one.
"""

import os
import sys

from sogni import SogniClient

prompt = " ".join(sys.argv[1:]) or "a lighthouse at dawn"
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="image", model_id="flux1-schnell-fp8", positive_prompt=prompt, steps=4, width=768, height=512
    )
    project.wait(progress=True)
    for path in project.save("out"):
        print(path)
