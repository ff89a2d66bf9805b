"""Save the images of a program that ended before they were finished, for example because it crashed.

One run starts an image and leaves. The next one, with the same app id, waits for it and saves it. Without an argument,
the example does both.
"""

import argparse
import os
from contextlib import nullcontext

from sogni import SogniClient
from sogni.emulator import LocalSupernet

APP = "harbor-painter"  # the same in every run, so that the service knows whose projects they are


def start(client: SogniClient) -> None:
    """Start a project. Returns as soon as its request has been sent."""
    project = client.projects.create(
        type="image",
        model_id="krea2_turbo_fp8_scaled",
        positive_prompt="a quiet harbor",
        steps=8,
        token_type="spark",
    )
    print("started", project.id)


def collect(client: SogniClient) -> None:
    """Wait for what earlier runs have started, and save what they have finished. Also after Ctrl-C."""
    for project in client.projects.sync().recovered_active:
        print("waiting for", project.id, project.params.positive_prompt)
        project.wait(timeout=600, check=False)
    for recent in client.projects.list_recent(app_source=APP):
        print("saving", recent.id)
        for path in client.projects.get_result(recent.id).save("out"):
            print(path)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("step", nargs="?", choices=("start", "collect"), help="default: both, one after the other")
args = parser.parse_args()

with nullcontext() if os.environ.get("SOGNI_API_KEY") else LocalSupernet() as emulator:
    for step in (start, collect):
        if args.step in (None, step.__name__):
            connect = emulator.client if emulator else SogniClient
            with connect(app_id=APP, app_source=APP) as client:
                step(client)
