"""Run a chat that the service carries on by itself.

It asks before it spends, and its events are printed as they happen, even if the connection is lost in between.
"""

import argparse
import mimetypes
import os
from pathlib import Path
from urllib.request import urlretrieve

from sogni import ChatRunRecord, SogniClient


def approve(client: SogniClient, run: ChatRunRecord) -> None:
    """Approve the cost of the run; a real program would ask its user."""
    details = run.waiting.details if run.waiting else None
    preview = details.cost_approval_preview if details else None
    if details is None or preview is None or details.tool_call_id is None:
        client.chat.runs.cancel(run.run_id, "nothing to approve")
        return
    print(f"approved {preview.total_estimated_capacity_units} {preview.token_type}")
    client.chat.runs.confirm_cost(
        run.run_id, tool_call_id=details.tool_call_id, decision="confirm", accepted_cost_preview=preview
    )


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument(
    "prompt", nargs="?", default="Create an image of a red kite, width=512 height=512", help="default: %(default)s"
)
args = parser.parse_args()

with SogniClient(disable_socket=True) if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    run = client.chat.runs.create(
        messages=[{"role": "user", "content": args.prompt}], runtime_config={"require_job_confirmation": True}
    )
    with client.chat.runs.stream_events(run.run_id) as events:
        for event in events:
            if event.type != "assistant_delta":
                print(event.type)
            if event.type == "run_waiting_for_user":
                approve(client, client.chat.runs.get(run.run_id))
    run = client.chat.runs.get(run.run_id)
    print(run.status)
    Path("out").mkdir(exist_ok=True)
    for number, artifact in enumerate(run.artifacts):
        if artifact.url:
            suffix = mimetypes.guess_extension(artifact.mime_type or "") or ""
            print(urlretrieve(artifact.url, f"out/{run.run_id}-{number}{suffix}")[0])
