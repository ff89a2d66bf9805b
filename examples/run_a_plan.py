"""Check a plan from a file, start it once, follow it and save its results."""

import os
import sys
from pathlib import Path

from sogni import SogniClient, WorkflowInput

path = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("kite_teaser.yaml")
plan = WorkflowInput.load(path)
for finding in plan.check():
    print(finding.severity, finding)

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    started = client.workflows.start(input=plan, strict=True, confirm_cost=True)
    for event in client.workflows.stream_events(started.workflow_id):
        if event.status:
            print(event.status)
    record = client.workflows.get(started.workflow_id)
    for saved in client.workflows.save_artifacts(record.workflow_id, "out"):
        print(saved)
