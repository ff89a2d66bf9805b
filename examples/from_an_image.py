"""Generate an image from another one, and enhance the result.

Without an image, the example generates one first.
"""

import argparse
import os
from urllib.request import urlretrieve

from sogni import SogniClient

MODEL = "krea2_turbo_fp8_scaled"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("image", nargs="?", help="the image to start from")
parser.add_argument("--prompt", default="the same scene on a winter night")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    scene = args.image
    if scene is None:
        village = client.projects.create(type="image", model_id=MODEL, positive_prompt="a village", token_type="spark")
        scene = village.wait().jobs[0]
    project = client.projects.create(
        type="image",
        model_id=MODEL,
        positive_prompt=args.prompt,
        starting_image=scene,
        starting_image_strength=0.6,
        steps=8,
        token_type="spark",
    )
    job = project.wait().jobs[0]
    print(job.save("out/winter"))
    print("enhancing costs", client.projects.estimate_enhancement_cost("light").spark, "Spark")
    path, _ = urlretrieve(job.enhance("light"), "out/winter-enhanced.png")
    print(path)
