"""Start a project in one process and collect it in another, like a web view and a cron job.

queue_and_collect.py start ticket     # writes a ticket
queue_and_collect.py collect ticket   # waits for the project and saves its images
"""

import pickle
import sys
from pathlib import Path

from sogni import SogniClient

step, ticket = sys.argv[1], Path(sys.argv[2])
with SogniClient() as client:  # reads SOGNI_API_KEY, or the endpoints of an emulator, from the environment
    if step == "start":
        project = client.projects.create(
            type="image",
            model_id="krea2_turbo_fp8_scaled",
            positive_prompt="a quiet harbour",
            steps=8,
            number_of_media=2,
            token_type="spark",
        )
        ticket.write_bytes(pickle.dumps(project))
        print("started", project.id)
    else:
        project = client.projects.attach(pickle.loads(ticket.read_bytes()))
        for path in project.wait(timeout=600).save("out"):
            print(path)
