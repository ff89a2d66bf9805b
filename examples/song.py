"""Generate a song in several versions: song.py [mp3|wav|flac] [VERSIONS]"""

import os
import sys
from typing import Any

from sogni import SogniClient

output_format: Any = sys.argv[1] if len(sys.argv) > 1 else "mp3"
versions = int(sys.argv[2]) if len(sys.argv) > 2 else 2
lyrics = """[verse]
The harbour lights are burning low
[chorus]
And home is where the tide will go
"""
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="audio",
        model_id="ace_step_1.5_turbo",
        positive_prompt="sea shanty, accordion, slow",
        lyrics=lyrics,
        language="en",
        duration=12,
        bpm=84,
        keyscale="A minor",
        timesignature="3",
        number_of_media=versions,
        output_format=output_format,
    )
    project.wait(progress=True)
    for path in project.save("out", name="shanty-{index}"):
        print(path)
