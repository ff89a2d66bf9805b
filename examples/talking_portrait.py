"""Make a portrait speak a recording: talking_portrait.py IMAGE RECORDING"""

import os
import sys

from sogni import SogniClient

picture, recording = sys.argv[1:]
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="video",
        model_id="wan_v2.2-14b-fp8_s2v_lightx2v",
        positive_prompt="a person talks to the camera",
        reference_image=picture,
        reference_audio=recording,
        audio_start=0.5,  # skip half a second of silence
        duration=1.5,
        width=480,
        height=480,
    )
    project.wait(progress=True)
    print(project.save("out")[0])
