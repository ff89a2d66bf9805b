"""Let a language model turn a sentence into an image and then into a video, with tools that run in the client."""

import argparse
import os

from sogni import SogniClient, SogniTools, ToolCall, ToolExecutionProgress


def show(call: ToolCall, progress: ToolExecutionProgress) -> None:
    if progress.status in ("creating", "completed", "failed"):
        print(f"{call.function.name}: {progress.status}")


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument(
    "sentence", nargs="?", default="Create an image of a lighthouse and then turn it into a video", help="what to make"
)
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    answer = client.chat.completions.create(
        messages=[{"role": "user", "content": args.sentence}],
        tools=SogniTools.direct,
        auto_execute_tools=True,
        on_tool_progress=show,
    )
    for path in client.chat.tools.save(answer, "out"):
        print(path)
