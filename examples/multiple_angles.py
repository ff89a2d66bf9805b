"""Show an object from several sides.

Each angle is an edit of its image; all run at the same time. Without an image, the example generates one first.
"""

import argparse
import os

from sogni import SogniClient

ANGLES = ["front view", "right side view", "back view", "left side view"]

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("image", nargs="?", help="an image of one object")
parser.add_argument("--angles", nargs="+", default=ANGLES, metavar="ANGLE", help=f"default: {', '.join(ANGLES)}")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    image = args.image
    if image is None:
        teapot = client.projects.create(
            type="image",
            model_id="krea2_turbo_fp8_scaled",
            positive_prompt="a blue teapot, studio photo, gray background",
            token_type="spark",
        )
        image = teapot.wait().jobs[0]
    projects = {
        angle: client.projects.create(
            type="image",
            model_id="qwen_image_edit_2511_fp8_lightning",
            positive_prompt=f"the same object, {angle}, eye-level shot, medium shot",
            context_images=[image],  # transferred once for all of them
            width=768,
            height=768,
            seed=7,
        )
        for angle in args.angles
    }
    for angle, project in projects.items():
        print(*project.wait().save("out", name=angle.replace(" ", "-")))
