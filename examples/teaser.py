"""Turn an image into a video with a durable workflow: teaser.py [PROMPT]

`teaser.py --watch WORKFLOW_ID` continues where another process stopped watching.
"""

import os
import sys

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


with SogniClient(disable_socket=True) if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    if sys.argv[1:2] == ["--watch"]:
        workflow_id = sys.argv[2]
    else:
        workflow_id = client.workflows.start(input=plan(" ".join(sys.argv[1:]) or "a red kite")).workflow_id
        print(f"started {workflow_id}", flush=True)
    with client.workflows.stream_events(workflow_id) as events:
        for event in events:
            if event.status:
                print(event.status, flush=True)
    for path in client.workflows.save_artifacts(workflow_id, "out"):
        print(path)
