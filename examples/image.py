"""Generate an image from a prompt.

Uses the account of SOGNI_API_KEY, or the embedded emulator without one. Free monthly Spark pays for this model.
"""

import os
import sys

from sogni import SogniClient

prompt = " ".join(sys.argv[1:]) or "a lighthouse at dawn"
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="image",
        model_id="krea2_turbo_fp8_scaled",
        positive_prompt=prompt,
        width=1024,
        height=1024,
        steps=8,
        guidance=1,
        token_type="spark",
    )
    project.wait(progress=True)
    for path in project.save("out"):
        print(path)
