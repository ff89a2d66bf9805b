"""Animate an image with the movement of a video: dance_along.py move|replace IMAGE VIDEO

`move` makes the person in the image move like the one in the video; `replace` puts them into the video instead.
"""

import os
import sys
from typing import Any

from sogni import SogniClient

way, picture, video = sys.argv[1:]
# Position in the video of the person to replace, as fractions of width and height.
person: dict[str, Any] = {"sam2_coordinates": [{"x": 0.5, "y": 0.4}]} if way == "replace" else {}
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="video",
        model_id=f"wan_v2.2-14b-fp8_animate-{way}_lightx2v",
        positive_prompt="a dancer on a stage",
        reference_image=picture,
        reference_video=video,
        video_start=0.5,
        duration=1,
        fps=32,  # WAN renders 16 and interpolates
        width=480,
        height=480,
        **person,
    )
    project.wait(progress=True)
    print(project.save("out")[0])
