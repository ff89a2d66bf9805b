"""Check a plan from a file, start it once, follow it and save its results.

Without a file, it is kite_teaser.yaml.
"""

import argparse
import os
from pathlib import Path

from sogni import SogniClient, WorkflowInput

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("plan", nargs="?", default=Path(__file__).with_name("kite_teaser.yaml"), help="a YAML or JSON file")
args = parser.parse_args()

plan = WorkflowInput.load(args.plan)
for finding in plan.check():
    print(finding.severity, finding)

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    started = client.workflows.start(input=plan, strict=True, confirm_cost=True)
    for event in client.workflows.stream_events(started.workflow_id):
        if event.status:
            print(event.status)
    for path in client.workflows.save_artifacts(started.workflow_id, "out"):
        print(path)
