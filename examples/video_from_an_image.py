"""Generate a video that starts with an image, and may end with another: video_from_an_image.py wan|ltx FIRST [LAST]"""

import os
import sys

from sogni import SogniClient

family, first = sys.argv[1:3]
last = sys.argv[3] if len(sys.argv) > 3 else None
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="video",
        model_id={"wan": "wan_v2.2-14b-fp8_i2v_lightx2v", "ltx": "ltx23-22b-fp8_i2v_distilled"}[family],
        positive_prompt="the camera moves slowly towards the window",
        reference_image=first,
        reference_image_end=last,
        duration={"wan": 1, "ltx": 4}[family],
        width=640,
        height=640,
    )
    project.wait(progress=True)
    print(project.save("out")[0])
