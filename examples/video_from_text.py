"""Generate a video from a prompt: video_from_text.py [wan|ltx] [PROMPT]

WAN 2.2 renders 16 frames per second without audio, LTX-2.3 any number with audio.
"""

import os
import sys
from typing import Any

from sogni import SogniClient

family = sys.argv[1] if len(sys.argv) > 1 else "wan"
prompt = " ".join(sys.argv[2:]) or "waves roll onto a beach at dawn"
how: dict[str, Any] = {
    "wan": {"model_id": "wan_v2.2-14b-fp8_t2v_lightx2v", "duration": 2, "width": 640, "height": 480},
    "ltx": {"model_id": "ltx23-22b-fp8_t2v_distilled", "duration": 4, "fps": 25, "width": 768, "height": 640},
}[family]
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(type="video", positive_prompt=prompt, **how)
    project.wait(progress=True)
    print(project.save("out")[0])
