"""Generate a video with Seedance 2.0 from a prompt and any mix of references.

A file is uploaded, an image as the first frame; any number of images, videos and audio files may be public https
URLs.
"""

import argparse
import mimetypes
import os
from typing import Any

from sogni import SogniClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("references", nargs="*", metavar="reference", help="a file or URL of an image, video or sound")
parser.add_argument("--prompt", default="a fox crosses a snowy clearing")
args = parser.parse_args()

inputs: dict[str, Any] = {}
for reference in args.references:
    kind = (mimetypes.guess_type(reference)[0] or "image").partition("/")[0]  # image, video or audio
    if reference.startswith("https://"):
        inputs.setdefault(f"reference_{kind}_urls", []).append(reference)
    else:
        inputs[f"reference_{kind}"] = reference
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="video",
        model_id="seedance-2-0",
        positive_prompt=args.prompt,
        duration=4,
        width=640,
        height=480,
        token_type="spark",  # models of other providers accept no other token
        **inputs,
    )
    project.wait(progress=True)
    print(project.save("out")[0])
