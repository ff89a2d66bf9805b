"""Generate a video with Seedance 2.0 from a prompt and any mix of references: seedance.py [FILE | URL]...

A file is uploaded, an image as the first frame; any number of images, videos and audio files may be public https
URLs.
"""

import mimetypes
import os
import sys
from typing import Any

from sogni import SogniClient

inputs: dict[str, Any] = {}
for given in sys.argv[1:]:
    kind = (mimetypes.guess_type(given)[0] or "image").partition("/")[0]  # image, video or audio
    if given.startswith("https://"):
        inputs.setdefault(f"reference_{kind}_urls", []).append(given)
    else:
        inputs[f"reference_{kind}"] = given
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="video",
        model_id="seedance-2-0",
        positive_prompt="a fox crosses a snowy clearing",
        duration=4,
        width=640,
        height=480,
        token_type="spark",  # models of other providers accept no other token
        **inputs,
    )
    project.wait(progress=True)
    print(project.save("out")[0])
