"""Generate a video from a prompt.

WAN 2.2 renders 16 frames per second without audio, LTX-2.3 any number with audio.
"""

import argparse
import os
from typing import Any

from sogni import SogniClient

FAMILIES: dict[str, dict[str, Any]] = {
    "wan": {"model_id": "wan_v2.2-14b-fp8_t2v_lightx2v", "duration": 2, "width": 640, "height": 480},
    "ltx": {"model_id": "ltx23-22b-fp8_t2v_distilled", "duration": 4, "fps": 25, "width": 768, "height": 640},
}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("prompt", nargs="?", default="waves roll onto a beach at dawn", help="default: %(default)s")
parser.add_argument("--family", choices=FAMILIES, default="wan", help="the model (default: %(default)s)")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(type="video", positive_prompt=args.prompt, **FAMILIES[args.family])
    project.wait(progress=True)
    print(project.save("out")[0])
