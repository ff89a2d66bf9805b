"""Start images and leave; a later run lists, finishes and saves what earlier ones have left behind.

pick_up.py start a quiet harbor   # returns as soon as the project has been sent
pick_up.py collect                # also after a crash, or Ctrl-C while it waits
"""

import sys

from sogni import SogniClient

APP = "harbor-painter"  # the same in every run, so that the service knows whose projects they are
step, *words = sys.argv[1:]
with SogniClient(app_id=APP, app_source=APP) as client:  # reads SOGNI_API_KEY, or the endpoints of an emulator
    if step == "start":
        project = client.projects.create(
            type="image",
            model_id="krea2_turbo_fp8_scaled",
            positive_prompt=" ".join(words),
            steps=8,
            token_type="spark",
        )
        print("started", project.id)
    else:
        for project in client.projects.sync().recovered_active:
            print("waiting for", project.id, project.params.positive_prompt)
            project.wait(timeout=600, check=False)
        for recent in client.projects.list_recent(app_source=APP):
            print("saving", recent.id)
            for path in client.projects.get_result(recent.id).save("out"):
                print(path)
