"""Generate four images and follow their progress with callbacks."""

import os

from sogni import Job, SogniClient

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="image",
        model_id="krea2_turbo_fp8_scaled",
        positive_prompt="a paper boat on a lake, watercolor",
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
    print(len(project.save("out", name="boat-{index}")), "files")
