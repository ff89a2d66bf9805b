"""Generate an image from a prompt. Free monthly Spark pays for this model."""

import argparse
import os

from sogni import SogniClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("prompt", nargs="?", default="a lighthouse at dawn", help="what to draw (default: %(default)s)")
args = parser.parse_args()

# Uses the account of SOGNI_API_KEY, or the embedded emulator without one. So do all examples.
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="image",
        model_id="krea2_turbo_fp8_scaled",
        positive_prompt=args.prompt,
        width=1024,
        height=1024,
        steps=8,
        guidance=1,
        token_type="spark",
    )
    project.wait(progress=True)
    for path in project.save("out"):
        print(path)
