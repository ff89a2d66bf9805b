"""Put the things of several images into one.

The prompt refers to the images by their position. Without images, the example generates two first.
"""

import argparse
import os
from typing import Any

from sogni import SogniClient

PARTS = ["a teapot shaped like a lighthouse, white background", "a kitchen table by a window"]

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("images", nargs="*", metavar="image", help="up to three images")
parser.add_argument("--prompt", default="put the teapot of image 1 on the table of image 2")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    images: list[Any] = args.images
    if not images:
        projects = [
            client.projects.create(
                type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt=part, token_type="spark"
            )
            for part in PARTS
        ]
        images = [project.wait().jobs[0] for project in projects]
    project = client.projects.create(
        type="image",
        model_id="qwen_image_edit_2511_fp8_lightning",
        positive_prompt=args.prompt,
        context_images=images,
        width=1024,
        height=1024,
    )
    project.wait(progress=True)
    for path in project.save("out"):
        print(path)
