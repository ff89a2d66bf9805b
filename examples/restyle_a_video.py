"""Restyle a video.

The control net determines what is kept: outlines (canny), depth, the movements of people (pose, with an image of the
person who should move), or everything (detailer). Without a video, the example generates one first.
"""

import argparse
import os

from sogni import SogniClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("video", nargs="?")
parser.add_argument("--control-net", choices=("canny", "depth", "pose", "detailer"), default="canny")
parser.add_argument("--image", help="for pose: the person who should move")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    video = args.video
    if video is None:
        waves = client.projects.create(
            type="video",
            model_id="wan_v2.2-14b-fp8_t2v_lightx2v",
            positive_prompt="waves roll onto a beach",
            duration=4,
        )
        video = waves.wait().jobs[0]
    project = client.projects.create(
        type="video",
        model_id="ltx23-22b-fp8_v2v_distilled",
        positive_prompt="the same scene as an ink drawing on rough paper",
        reference_video=video,
        reference_image=args.image,
        control_net={
            "name": args.control_net,
            "strength": 0.85 if args.control_net in ("pose", "detailer") else 0.6,
        },
        generate_audio=False,
        duration=4,
        fps=24,
        width=640,
        height=640,
    )
    project.wait(progress=True)
    print(project.save("out")[0])
