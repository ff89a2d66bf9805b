"""Generate a video for a recording, and for an image if given.

Without a recording, the example generates music first.
"""

import argparse
import os
from typing import Any

from sogni import SogniClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("recording", nargs="?", help="an audio file of at least four seconds")
parser.add_argument("image", nargs="?", help="the first frame")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    inputs: dict[str, Any] = {"reference_audio": args.recording}
    if args.recording is None:
        music = client.projects.create(
            type="audio", model_id="ace_step_1.5_turbo", positive_prompt="street musician, violin", duration=10
        )
        inputs["reference_audio"] = music.wait().jobs[0]
    if args.image is not None:
        inputs["reference_image"] = args.image
    project = client.projects.create(
        type="video",
        model_id=f"ltx23-22b-fp8_{'a2v' if args.image is None else 'ia2v'}_distilled",
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
