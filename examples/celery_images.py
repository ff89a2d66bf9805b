"""Generate images in Celery tasks.

With a broker in CELERY_BROKER_URL, workers run them ("celery -A celery_images worker"); without one, they run in this
process. A task that is repeated does not pay again.
"""

import argparse
import os
import sys
import uuid
from functools import cache

from sogni import ServerError, SogniClient, SogniConnectionError

try:
    from celery import Celery, group
except ModuleNotFoundError:
    sys.exit("this example needs Celery: pip install 'celery[redis]'")

BROKER = os.environ.get("CELERY_BROKER_URL")
app = Celery("celery_images", broker=BROKER, backend=BROKER or "cache+memory://")
app.conf.task_always_eager = BROKER is None


@cache
def sogni() -> SogniClient:
    """The client of this process. A worker opens its own, after Celery has forked it."""
    return SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local()


@app.task(acks_late=True, autoretry_for=(ServerError, SogniConnectionError), retry_backoff=True)
def illustrate(key: str, prompt: str) -> list[str]:
    """Generate and save an image. The key names the order: a second task with it gets the same project."""
    project = sogni().projects.create(
        type="image",
        model_id="krea2_turbo_fp8_scaled",
        positive_prompt=prompt,
        steps=8,
        token_type="spark",
        idempotency_key=key,
    )
    return [str(path) for path in project.wait(timeout=600).save("out")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", nargs="*", default=["a fox", "an owl"], metavar="prompt", help="what to draw")
    parser.add_argument("--order", default=uuid.uuid4().hex, help="name that a repeated run passes again")
    args = parser.parse_args()
    tasks = group(illustrate.s(f"{args.order}-{number}", prompt) for number, prompt in enumerate(args.prompts))
    for paths in tasks().get(timeout=900):
        print(*paths)
