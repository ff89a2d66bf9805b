"""Generate an image from another one, and enhance it: from_an_image.py IMAGE"""

import os
import sys

from sogni import SogniClient

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="image",
        model_id="krea2_turbo_fp8_scaled",
        positive_prompt="the same scene on a winter night",
        starting_image=sys.argv[1],
        starting_image_strength=0.6,
        steps=8,
        token_type="spark",
        seed=7,
    )
    job = project.wait().jobs[0]
    print(job.save("out/winter"))
    print("costs", client.projects.estimate_enhancement_cost("light").spark, "Spark")
    job.enhance("light")
    assert job.enhanced_image is not None
    print(job.enhanced_image.status)
