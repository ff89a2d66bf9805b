"""Drive published clients of the OpenAI API, as black boxes, through everything that `sogni serve --local` offers.

Called by `.ci/run`. The clients are installed from the registry into a cache outside of the repository, like those of
`published.py`; if that fails, nothing is driven, and the reason printed. `clients/served_*.py` make the calls, each in
a process of its own; the answers that they must get are here, in `ANSWERS`. The examples of `PAGES` are run, too. Exit
code 1: an answer is another one, or an example fails.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image
from published import cache_directory, reason, run, serving

HERE = Path(__file__).parent
CLIENTS = ("openai==3.57.0", "langchain-openai==1.7.4", "litellm==1.110.2", "llm==0.36")
MODEL = "qwen3.6-35b-a3b-gguf-iq4xs"
SECONDS = 180.0
"""How long all steps of a client may take."""
HELLO = "You said: “Say hello”. I am the Sogni emulator, not a language model."
WEATHER = ["get_weather", {"city": "Oslo"}]

OPENAI: Mapping[str, Any] = {
    "models": [True, "sogni"],
    "chat": [HELLO, "stop", True],
    "reasoning": ["I do not think: I am the Sogni emulator.", HELLO],
    "stream": [HELLO, True, True, "stop"],
    "tools": ["tool_calls", *WEATHER, True],
    "tools_streamed": WEATHER,
    "json_schema": ["Kite", ["length", "name"]],
    "vision": True,
    "images": [["http", "http"], "png"],
    "edit": "png",
    "partial_images": ["image_generation.completed", True, True],
    "edit_streamed": ["image_edit.completed", "png"],
    "speech": "wav",
    "video": ["completed", "2", "mp4", True, True],
    "errors": [
        ["AuthenticationError", 401, "invalid_api_key"],
        ["NotFoundError", 404, "model_not_found"],
        ["BadRequestError", 400, "unsupported_parameter"],
        ["BadRequestError", 400, "unknown_parameter"],
        ["APIStatusError", 413, "request_too_large"],
        ["RateLimitError", 429, "spending_limit_exceeded"],
        ["RateLimitError", 429, "spending_limit_exceeded"],
        ["NotFoundError", 404, "unknown_url"],
    ],
}
ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "openai": {f"{kind} {step}": answer for kind in ("sync", "async") for step, answer in OPENAI.items()},
    "langchain": {
        "chat": [HELLO, True],
        "async chat": HELLO,
        "stream": [HELLO, True],
        "async stream": [HELLO, True],
        "tools": [WEATHER],
        "tools streamed": [WEATHER],
        "json_schema": ["length", "name"],
        "json by tool": ["length", "name"],
        "vision": True,
        "limit": ["OpenAIRateLimitError", 429],
        "wrong key": ["OpenAIAuthenticationError", 401],
    },
    "litellm": {
        "chat": [HELLO, True],
        "reasoning": "I do not think: I am the Sogni emulator.",
        "chat_async": HELLO,
        "stream": [HELLO, True],
        "stream_async": [HELLO, True],
        "tools": WEATHER,
        "json_schema": ["length", "name"],
        "vision": True,
        "image": ["http"],
        "edit": ["http"],
        "speech": "wav",
        "video": ["completed", "mp4"],
        "errors": [["NotFoundError", 404], ["AuthenticationError", 401], ["RateLimitError", 429]],
    },
    "llm": {
        "command": HELLO,
        "command with a schema": ["length", "name"],
        "command with a tool": True,
        "chat": HELLO,
        "stream": [HELLO, True],
        "async stream": [HELLO, True],
        "vision": True,
        "wrong model": "NotFoundError",
        "wrong key": "AuthenticationError",
    },
}
PAGES = ("openai-api.md", "litellm.md")
"""Pages whose examples need a server and a client, which the tests of the pages do not have."""
FENCE = re.compile(r"^<!-- skip -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXTRA_MODELS = """\
- model_id: sogni
  model_name: {model}
  api_base: "{url}"
  api_key_name: sogni
  supports_schema: true
  supports_tools: true
  vision: true
- model_id: other
  model_name: gpt-4o
  api_base: "{url}"
  api_key_name: sogni
"""


def install() -> Path:
    """Install the clients unless the cache has them; returns their Python. Raises if the registry does not deliver."""
    home = cache_directory() / f"served-{sha256(' '.join(CLIENTS).encode()).hexdigest()[:12]}"
    python = home / "bin" / "python"
    if not (home / "installed").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        run([sys.executable, "-m", "venv", "--without-pip", home])
        pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python]
        run([*pip, "install", "-q", "--no-compile", "--timeout=20", *CLIENTS], timeout=420)
        (home / "installed").touch()
    return python


def drive(client: str, python: Path, environment: Mapping[str, str]) -> list[str]:
    """Make all steps of a client; returns what is wrong."""
    script = HERE / "clients" / f"served_{client}.py"
    try:
        done = subprocess.run(
            [python, "-P", script],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        answers = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return [f"{client}: no answers within {SECONDS:g} s"]
    except ValueError:
        return [f"{client}: no answers: {done.stdout[-500:]}{done.stderr[-1500:]}"]
    expected = ANSWERS[client]
    steps = dict.fromkeys([*expected, *answers])
    wrong = [
        f"{client}: {step}: {json.dumps(answers.get(step))} instead of {json.dumps(expected.get(step))}"
        for step in steps
        if answers.get(step) != expected.get(step)
    ]
    print(f"{client}: {len(steps)} steps, {len(wrong)} wrong", flush=True)
    return wrong


def follow(page: str, python: Path, environment: Mapping[str, str]) -> list[str]:
    """Run the examples of a page, as a reader would who pastes them; returns what is wrong."""
    examples = FENCE.findall((HERE.parents[1] / "docs" / "how-to" / page).read_text(encoding="utf-8"))
    found = {"OPENAI_BASE_URL": environment["URL"], "OPENAI_API_KEY": environment["KEY"]}
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [python, "-P", "-c", "\n".join(examples)],
            cwd=directory,
            env=os.environ | environment | found,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    print(f"{page}: {len(examples)} examples", flush=True)
    return [] if done.returncode == 0 and examples else [f"{page}: {done.stderr[-1500:]}"]


def malformed(url: str, key: str) -> list[str]:
    """Send what no client sends; returns what is wrong."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/chat/completions", b'{"model":', headers)
    try:
        with urllib.request.urlopen(request, timeout=30):
            return ["malformed JSON: no error"]
    except urllib.error.HTTPError as error:
        found = (error.code, json.load(error)["error"]["code"])
    return [] if found == (400, "invalid_json") else [f"malformed JSON: {found}"]


def picture() -> str:
    content = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(content, format="PNG")
    return base64.b64encode(content.getvalue()).decode()


def main() -> int:
    """Install, drive and compare; 0 if every client got every answer."""
    try:
        python = install()
    except (OSError, subprocess.SubprocessError) as error:
        print(f"skipped: the clients could not be installed: {reason(error)}")
        return 0
    chosen = sys.argv[1:] or [*ANSWERS, *PAGES]
    limits = ("--max-cost-per-request", "0", "--max-body", "1")
    with (
        tempfile.TemporaryDirectory() as home,
        serving("serve", "--local", "--voice", "alloy=ryan") as started,
        serving("serve", "--local", *limits) as limited,
        ThreadPoolExecutor(len(chosen)) as pool,
    ):
        url, key = started["baseUrl"], started["apiKey"]
        Path(home, "extra-openai-models.yaml").write_text(EXTRA_MODELS.format(model=MODEL, url=url))
        Path(home, "keys.json").write_text(json.dumps({"sogni": key}))
        environment = {
            "URL": url,
            "KEY": key,
            "LIMITED_URL": limited["baseUrl"],
            "LIMITED_KEY": limited["apiKey"],
            "PICTURE": picture(),
            "LLM_USER_PATH": home,
            "NO_PROXY": "127.0.0.1",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        work = [pool.submit(drive, it, python, environment) for it in chosen if it in ANSWERS]
        work += [pool.submit(follow, it, python, environment) for it in chosen if it in PAGES]
        wrong = [line for it in work for line in it.result()]
        wrong += malformed(url, key)
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
