"""Run a batch on a Dask cluster, here of two local processes.

If one dies, Dask repeats its requests elsewhere, and what has been paid is not paid again. Run it again to continue.
"""

import argparse
import os
import sys

from sogni import SogniClient, batch

try:
    from distributed import Client
except ModuleNotFoundError:
    sys.exit("this example needs Dask: pip install 'dask[distributed]'")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", nargs="*", default=["a fox", "an owl", "a hare", "a trout"], metavar="prompt")
    parser.add_argument("--scheduler", help="address of the scheduler of a cluster, such as tcp://scheduler:8786")
    parser.add_argument(
        "--max-cost", type=float, default=50, help="limit for all together (default: %(default)s Spark)"
    )
    args = parser.parse_args()
    common = {"model_id": "krea2_turbo_fp8_scaled", "steps": 8, "token_type": "spark"}
    cluster = {} if args.scheduler else {"n_workers": 2, "threads_per_worker": 4, "dashboard_address": ":0"}
    with (
        SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client,
        Client(args.scheduler, **cluster) as dask,
    ):
        report = batch.run(
            args.prompts,
            "out",
            client=client,
            executor=dask.get_executor(retries=3),
            concurrency=sum(dask.nthreads().values()),
            max_cost=args.max_cost,
            defaults=common,
        )
    for item in report.items:
        print(*item.paths or [item.error])


if __name__ == "__main__":
    main()
