"""Generate images for many prompts, a few at a time, within one budget.

Each is saved when it is finished.
"""

import argparse
import os

from sogni import ImageProjectParams, SogniClient

ANIMALS = ["a fox", "an owl", "a hare", "a trout", "a bee"]

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("subjects", nargs="*", default=ANIMALS, metavar="subject", help="what to engrave")
parser.add_argument("--max-cost", type=float, default=50, help="limit for all together (default: %(default)s Spark)")
args = parser.parse_args()

requests = [
    ImageProjectParams(
        model_id="krea2_turbo_fp8_scaled",
        positive_prompt=f"{subject} in the style of an old engraving",
        steps=8,
        width=512,
        height=512,
        token_type="spark",
    )
    for subject in args.subjects
]
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    for request, project in client.projects.map(requests, concurrency=3, max_cost=args.max_cost):
        if project.status == "completed":
            print(request.positive_prompt, *project.save("out"))
        else:
            print(request.positive_prompt, project.status, project.error)
