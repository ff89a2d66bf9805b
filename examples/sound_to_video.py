"""Generate a video for a recording, and for an image if given: sound_to_video.py RECORDING [IMAGE]"""

import os
import sys
from typing import Any

from sogni import SogniClient

inputs: dict[str, Any] = dict(zip(("reference_audio", "reference_image"), sys.argv[1:], strict=False))
workflow = "ia2v" if "reference_image" in inputs else "a2v"
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="video",
        model_id=f"ltx23-22b-fp8_{workflow}_distilled",
        positive_prompt="a street musician plays in the rain",
        audio_duration=4,
        duration=4,
        fps=24,
        width=640,
        height=640,
        **inputs,
    )
    project.wait(progress=True)
    print(project.save("out")[0])
