"""Turn an image into a video with a durable workflow, which continues in the service when this program ends.

With --watch, another process continues where the first one stopped watching.
"""

import argparse
import os

from sogni import SogniClient, WorkflowDependency, WorkflowInput, WorkflowStep


def plan(prompt: str) -> WorkflowInput:
    still = WorkflowStep(
        id="still", tool_name="generate_image", arguments={"prompt": prompt, "width": 512, "height": 512}
    )
    animated = WorkflowStep(
        id="clip",
        tool_name="animate_photo",
        arguments={"prompt": "it moves in the wind", "duration": 2},
        depends_on=[
            WorkflowDependency(source_step_id="still", target_argument="sourceImageIndex", transform="image_index")
        ],
    )
    return WorkflowInput(title="Teaser", steps=[still, animated])


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("prompt", nargs="?", default="a red kite", help="what to draw (default: %(default)s)")
parser.add_argument("--watch", metavar="WORKFLOW_ID", help="watch this workflow instead of starting one")
args = parser.parse_args()

with SogniClient(disable_socket=True) if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    workflow_id = args.watch
    if workflow_id is None:
        workflow_id = client.workflows.start(input=plan(args.prompt)).workflow_id
        print("started", workflow_id, flush=True)
    with client.workflows.stream_events(workflow_id) as events:
        for event in events:
            if event.status:
                print(event.status, flush=True)
    for path in client.workflows.save_artifacts(workflow_id, "out"):
        print(path)
