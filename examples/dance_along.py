"""The movement of a video for a picture: dance_along.py move|replace PICTURE VIDEO

`move` lets the person of the picture move like the one of the video; `replace` puts them in their place.
"""

import os
import sys
from typing import Any

from sogni import SogniClient

way, picture, video = sys.argv[1:]
# Where in the video the person is who is replaced, as shares of width and height.
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
        fps=32,  # WAN makes 16 and fills in between
        width=480,
        height=480,
        **person,
    )
    project.wait(progress=True)
    print(project.save("out")[0])
