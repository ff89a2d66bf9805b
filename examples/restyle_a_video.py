"""Restyle a video: restyle_a_video.py VIDEO [canny|depth|pose|detailer] [IMAGE]

The control net determines what is kept: outlines, depth, poses (of the person in IMAGE), or everything.
"""

import os
import sys

from sogni import SogniClient

video = sys.argv[1]
name = sys.argv[2] if len(sys.argv) > 2 else "canny"
picture = sys.argv[3] if len(sys.argv) > 3 else None
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="video",
        model_id="ltx23-22b-fp8_v2v_distilled",
        positive_prompt="the same scene as an ink drawing on rough paper",
        reference_video=video,
        reference_image=picture,
        control_net={"name": name, "strength": 0.85 if name in ("pose", "detailer") else 0.6},
        generate_audio=False,
        duration=4,
        fps=24,
        width=640,
        height=640,
    )
    project.wait(progress=True)
    print(project.save("out")[0])
