"""Generate images on a Dask cluster, here of two local processes.

Each process has a client of its own. If one dies, Dask repeats its tasks elsewhere, and what has been paid is not
paid again.
"""

import argparse
import os
import sys
import uuid
from contextlib import nullcontext
from typing import Any

from sogni import SogniClient
from sogni.emulator import LocalSupernet

try:
    from distributed import Client, LocalCluster, Worker, WorkerPlugin, get_worker
except ModuleNotFoundError:
    sys.exit("this example needs Dask: pip install 'dask[distributed]'")


class Sogni(WorkerPlugin):
    """Gives every worker process a client."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, worker: Worker) -> None:
        worker.sogni = SogniClient(**self.settings)

    def teardown(self, worker: Worker) -> None:
        worker.sogni.close()


def illustrate(prompt: str, key: str) -> list[str]:
    """Generate and save an image. A repeated task with the same key gets the same project."""
    project = get_worker().sogni.projects.create(
        type="image",
        model_id="krea2_turbo_fp8_scaled",
        positive_prompt=prompt,
        steps=8,
        token_type="spark",
        idempotency_key=key,
    )
    return [str(path) for path in project.wait(timeout=600).save("out")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", nargs="*", default=["a fox", "an owl", "a hare", "a trout"], metavar="prompt")
    parser.add_argument("--batch", default=uuid.uuid4().hex, help="name that a repeated run passes again")
    args = parser.parse_args()
    with (
        nullcontext() if os.environ.get("SOGNI_API_KEY") else LocalSupernet() as emulator,
        LocalCluster(n_workers=2, threads_per_worker=4, dashboard_address=None) as cluster,
        Client(cluster) as dask,
    ):
        settings = {}
        if emulator:
            settings = {
                "api_key": emulator.api_key,
                "rest_endpoint": emulator.rest_endpoint,
                "socket_endpoint": emulator.socket_endpoint,
            }
        dask.register_plugin(Sogni(**settings))
        keys = [f"{args.batch}-{number}" for number, _ in enumerate(args.prompts)]
        for paths in dask.gather(dask.map(illustrate, args.prompts, keys)):
            print(*paths)


if __name__ == "__main__":
    main()
