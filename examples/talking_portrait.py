"""Make a portrait speak a recording.

What is not given is generated first: a portrait, and a sentence spoken by a speech model.
"""

import argparse
import os

from sogni import SogniClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--portrait", help="an image of a face")
parser.add_argument("--recording", help="an audio file of what it says")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    portrait, recording = args.portrait, args.recording
    if portrait is None:
        keeper = client.projects.create(
            type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="portrait of a lighthouse keeper"
        )
        portrait = keeper.wait().jobs[0]
    if recording is None:
        sentence = client.projects.create(
            type="audio",
            model_id="qwen3_tts_1.7b_custom_voice_bf16",
            positive_prompt="Welcome to the lighthouse.",
            speaker="ryan",
        )
        recording = sentence.wait().jobs[0]
    project = client.projects.create(
        type="video",
        model_id="wan_v2.2-14b-fp8_s2v_lightx2v",
        positive_prompt="a person talks to the camera",
        reference_image=portrait,
        reference_audio=recording,
        duration=1.5,
        width=480,
        height=480,
    )
    project.wait(progress=True)
    print(project.save("out")[0])
