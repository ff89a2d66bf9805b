"""Generate four images and follow their progress with callbacks.

They run on a thread of the client.
"""

import argparse
import os

from sogni import Job, SogniClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("prompt", nargs="?", default="a paper boat on a lake, watercolor", help="what to draw")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="image",
        model_id="krea2_turbo_fp8_scaled",
        positive_prompt=args.prompt,
        number_of_media=4,
        number_of_previews=2,
        steps=8,
        token_type="spark",
    )

    @project.on("job_started")
    def started(job: Job) -> None:
        print("started", job.worker_name)
        job.on("preview", lambda url: print("preview of", job.id))

    @project.on("progress")
    def progressed(percent: int) -> None:
        print(f"{percent} %")

    @project.on("job_completed")
    def completed(job: Job) -> None:
        print("completed with seed", job.seed)

    project.wait()
    for path in project.save("out", name="boat-{index}"):
        print(path)
