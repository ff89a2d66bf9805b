"""Start a project in one process and collect it in another, like a web view and a cron job.

The ticket between them is a file. Without an argument, the example does both.
"""

import argparse
import os
import pickle
from contextlib import nullcontext
from pathlib import Path

from sogni import SogniClient
from sogni.emulator import LocalSupernet


def start(client: SogniClient, ticket: Path) -> None:
    """Start a project, and write a ticket for it."""
    project = client.projects.create(
        type="image",
        model_id="krea2_turbo_fp8_scaled",
        positive_prompt="a quiet harbor",
        steps=8,
        number_of_media=2,
        token_type="spark",
    )
    ticket.write_bytes(pickle.dumps(project))
    print("started", project.id)


def collect(client: SogniClient, ticket: Path) -> None:
    """Wait for the project of a ticket, and save its images."""
    project = client.projects.attach(pickle.loads(ticket.read_bytes()))
    for path in project.wait(timeout=600).save("out"):
        print(path)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("step", nargs="?", choices=("start", "collect"), help="default: both, one after the other")
parser.add_argument("--ticket", type=Path, default="ticket.pickle", help="the file (default: %(default)s)")
args = parser.parse_args()

with nullcontext() if os.environ.get("SOGNI_API_KEY") else LocalSupernet() as emulator:
    for step in (start, collect):
        if args.step in (None, step.__name__):
            with emulator.client() if emulator else SogniClient() as client:
                step(client, args.ticket)
