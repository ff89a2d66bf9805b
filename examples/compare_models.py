"""Compare models: draw the same prompt with each, and print a table of time and cost per image."""

import argparse
import os
import time

from sogni import SogniClient

MODELS = ["krea2_turbo_fp8_scaled", "z_image_turbo_bf16", "flux1-schnell-fp8"]

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("models", nargs="*", default=MODELS, metavar="model", help=f"default: {' '.join(MODELS)}")
parser.add_argument("--prompt", default="a lighthouse at dawn")
parser.add_argument("--images", type=int, default=2, help="images per model (default: %(default)s)")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    print(f"{'model':32} {'s/image':>8} {'cost/image':>16}  saved")
    for model in args.models:  # one after the other, so that they do not compete
        begin = time.monotonic()
        project = client.projects.create(
            type="image",
            model_id=model,
            positive_prompt=args.prompt,
            number_of_media=args.images,
            width=1024,
            height=1024,
            seed=7,
        ).wait(strict=True)
        seconds = (time.monotonic() - begin) / args.images
        record = client.projects.get(project.id)  # knows what has been paid
        cost = "?" if record.cost is None else f"{record.cost / args.images:.4f} {record.token_type}"
        print(f"{model:32} {seconds:8.2f} {cost:>16} ", *project.save("out", name=f"{model}-{{index}}"))
