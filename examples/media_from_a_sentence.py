"""Turn a sentence into an image and then into a video: media_from_a_sentence.py SENTENCE"""

import os
import sys

from sogni import SogniClient, SogniTools, ToolCall, ToolExecutionProgress


def show(call: ToolCall, progress: ToolExecutionProgress) -> None:
    if progress.status in ("creating", "completed", "failed"):
        print(f"{call.function.name}: {progress.status}")


sentence = " ".join(sys.argv[1:]) or "Create an image of a lighthouse and then turn it into a video"
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    answer = client.chat.completions.create(
        messages=[{"role": "user", "content": sentence}],
        tools=SogniTools.direct,
        auto_execute_tools=True,
        on_tool_progress=show,
    )
    for path in client.chat.tools.save(answer, "out"):
        print(path)
