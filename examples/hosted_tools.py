"""Let the service run its tools.

A language model decides which; the service executes them and returns the results with the answer. One tool also runs
without a language model.
"""

import argparse
import mimetypes
import os
from pathlib import Path
from urllib.request import urlretrieve

from sogni import SogniClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument(
    "request", nargs="?", default="Create an image of a red kite, width=512 height=512", help="default: %(default)s"
)
args = parser.parse_args()

Path("out").mkdir(exist_ok=True)
with SogniClient(disable_socket=True) if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    answer = client.chat.hosted.create(
        messages=[{"role": "user", "content": args.request}], sogni_tools=True, sogni_tool_execution=True
    )
    for result in answer.sogni_tool_results or ():
        print(result.get("tool"), "succeeded" if result.get("success") else "failed")
        for artifact in result.get("artifacts", ()):
            suffix = mimetypes.guess_extension(artifact.get("mimeType", "")) or ""
            print(urlretrieve(artifact["url"], f"out/{artifact['id']}{suffix}")[0])

    written = client.chat.hosted.execute_tool("compose_lyrics", {"prompt": "a red kite over the harbor"})
    Path("out/lyrics.txt").write_text(written.data.result["lyrics"], encoding="utf-8")
    print("out/lyrics.txt")
