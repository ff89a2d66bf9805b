"""Animate an image with the movement of a video.

`move` makes the person in the image move like the one in the video, `replace` puts them into the video instead. What
is not given is generated first.
"""

import argparse
import os
from typing import Any

from sogni import SogniClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("way", nargs="?", choices=("move", "replace"), default="move", help="default: %(default)s")
parser.add_argument("--person", help="an image of a person")
parser.add_argument("--dance", help="a video of a person who moves")
args = parser.parse_args()

# Position in the video of the person to replace, as fractions of width and height.
where: dict[str, Any] = {"sam2_coordinates": [{"x": 0.5, "y": 0.4}]} if args.way == "replace" else {}
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    person, dance = args.person, args.dance
    if person is None:
        portrait = client.projects.create(
            type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a sailor, full figure"
        )
        person = portrait.wait().jobs[0]
    if dance is None:
        clip = client.projects.create(
            type="video", model_id="wan_v2.2-14b-fp8_t2v_lightx2v", positive_prompt="a woman dances", duration=2
        )
        dance = clip.wait().jobs[0]
    project = client.projects.create(
        type="video",
        model_id=f"wan_v2.2-14b-fp8_animate-{args.way}_lightx2v",
        positive_prompt="a dancer on a stage",
        reference_image=person,
        reference_video=dance,
        video_start=0.5,
        duration=1,
        fps=32,  # WAN renders 16 and interpolates
        width=480,
        height=480,
        **where,
    )
    project.wait(progress=True)
    print(project.save("out")[0])
