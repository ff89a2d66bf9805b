"""Generate a song with lyrics, in several versions."""

import argparse
import os

from sogni import SogniClient

LYRICS = """[verse]
The harbor lights are burning low
[chorus]
And home is where the tide will go
"""

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("style", nargs="?", default="sea shanty, accordion, slow", help="default: %(default)s")
parser.add_argument("--format", choices=("mp3", "wav", "flac"), default="mp3", help="default: %(default)s")
parser.add_argument("--versions", type=int, default=2, help="default: %(default)s")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="audio",
        model_id="ace_step_1.5_turbo",
        positive_prompt=args.style,
        lyrics=LYRICS,
        language="en",
        duration=12,
        bpm=84,
        keyscale="A minor",
        timesignature="3",
        number_of_media=args.versions,
        output_format=args.format,
    )
    project.wait(progress=True)
    for path in project.save("out", name="shanty-{index}"):
        print(path)
