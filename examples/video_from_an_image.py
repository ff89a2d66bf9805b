"""Generate a video that starts with an image, and may end with another.

Without an image, the example generates one first.
"""

import argparse
import os

from sogni import SogniClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("first", nargs="?", help="the image that the video starts with")
parser.add_argument("last", nargs="?", help="the image that it ends with")
parser.add_argument("--family", choices=("wan", "ltx"), default="wan", help="the model (default: %(default)s)")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    first = args.first
    if first is None:
        room = client.projects.create(
            type="image",
            model_id="krea2_turbo_fp8_scaled",
            positive_prompt="an attic with a window",
            token_type="spark",
        )
        first = room.wait().jobs[0]
    project = client.projects.create(
        type="video",
        model_id={"wan": "wan_v2.2-14b-fp8_i2v_lightx2v", "ltx": "ltx23-22b-fp8_i2v_distilled"}[args.family],
        positive_prompt="the camera moves slowly towards the window",
        reference_image=first,
        reference_image_end=args.last,
        duration={"wan": 1, "ltx": 4}[args.family],
        width=640,
        height=640,
    )
    project.wait(progress=True)
    print(project.save("out")[0])
