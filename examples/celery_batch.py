"""Run a batch on Celery workers.

With a broker in CELERY_BROKER_URL, workers create and save the images ("celery -A celery_batch worker"); without one,
this process does. Run it again to continue: nothing is paid for twice.
"""

import argparse
import os
import pickle
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from sogni import SogniClient, batch

try:
    from celery import Celery
except ModuleNotFoundError:
    sys.exit("this example needs Celery: pip install 'celery[redis]'")

BROKER = os.environ.get("CELERY_BROKER_URL")
app = Celery("celery_batch", broker=BROKER, backend=BROKER or "cache+memory://")
app.conf.task_always_eager = BROKER is None
# Redis repeats a task that is not done after this time. That is harmless: it continues with the same project.
app.conf.broker_transport_options = {"visibility_timeout": 900}


@app.task(acks_late=True, reject_on_worker_lost=True)
def call(pickled: str) -> str:
    """Call a function. Anyone who can write to the broker can call any function, because pickle allows it."""
    function, arguments = pickle.loads(b64decode(pickled))
    return b64encode(pickle.dumps(function(*arguments))).decode()


class CeleryExecutor(ThreadPoolExecutor):
    """Runs each call in a task. A thread waits for its result."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        return super().submit(self._run, function, arguments)

    def _run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        pickled = b64encode(pickle.dumps((function, arguments))).decode()
        result = call.apply_async((pickled,), argsrepr="(...)")  # Celery would show the arguments in its events
        # Tasks of other threads may run in this process, if there is no broker.
        return pickle.loads(b64decode(result.get(timeout=900, disable_sync_subtasks=False)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", nargs="*", default=["a fox", "an owl"], metavar="prompt", help="what to draw")
    parser.add_argument("--tasks", type=int, default=8, help="tasks at once (default: %(default)s)")
    parser.add_argument(
        "--max-cost", type=float, default=50, help="limit for all together (default: %(default)s Spark)"
    )
    args = parser.parse_args()
    common = {"model_id": "krea2_turbo_fp8_scaled", "steps": 8, "token_type": "spark"}
    with (
        SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client,
        CeleryExecutor(args.tasks) as executor,
    ):
        report = batch.run(
            args.prompts,
            "out",
            client=client,
            executor=executor,
            concurrency=args.tasks,
            max_cost=args.max_cost,
            defaults=common,
        )
    for item in report.items:
        print(*item.paths or [item.error])
